"""The settings of a stack as models. What the keys mean is in `Pulumi.yaml` and docs/settings.md.

`parsing` makes them from a stack's configuration, `checks` says whether they fit together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt

from settings.formats import (
    Address,
    ClusterName,
    CountOrPercent,
    DomainName,
    HostPath,
    Image,
    IpAddress,
    Name,
    Namespace,
    Networks,
    PoolName,
    Repair,
    Share,
    at_least,
    between,
)
from settings.host_formats import Server, SshAddress
from settings.kubelet_formats import ClusterCheck
from settings.layer import Layer, Model, Ssh, merge_models
from settings.outputs import ClusterFrom, NodesFrom


class ClusterSettings(Model):
    """The cluster that machines join; its server and CA come from the kubeconfig by default."""

    name: ClusterName = "kubernetes"
    server: Server | None = None
    ca_path: str | None = None
    service_cidr: Networks = ("10.96.0.0/12",)
    dns_addresses: tuple[IpAddress, ...] = ()
    dns_domain: DomainName = "cluster.local"
    source: ClusterFrom | None = Field(default=None, alias="from")
    """`stack.origins` puts what those outputs hold in the place of these settings."""


class ApprovalSettings(Model):
    """Who approves the first client certificates, and who the serving certificates."""

    client: Literal["controller-manager", "gate"] = "gate"
    serving: Literal["gate", "manual"] = "gate"


class PoolApprovalSettings(Model):
    """Who approves the first client certificates of a pool's nodes, if not as the stack says."""

    client: Literal["controller-manager", "gate"] | None = None


class TokenSettings(Model):
    """Who gets a bootstrap token, how long it lives, and what happens to it after the join."""

    scope: Literal["pool", "node"] = "node"
    ttl_minutes: Annotated[int, between(5, 1440)] = 60
    after_join: Literal["revoke", "expire", "keep"] = "revoke"


class Host(Model):
    """A machine that is reached over SSH."""

    name: Name
    address: Address
    ssh_address: SshAddress | None = None
    host_key: str | None = None
    ssh: Ssh = Ssh()

    @property
    def reached_at(self) -> str:
        """The address or the name at which its sshd answers."""
        return self.ssh_address or self.address


@dataclass(frozen=True)
class Machine:
    """A host in the settings, with its path there and its merged SSH settings."""

    path: str
    host: Host
    ssh: Ssh

    @property
    def destination(self) -> tuple[str, int, str]:
        """Where SSH leads: address or name, port, and the bastion that knows that address."""
        bastion = self.ssh.bastion.destination if self.ssh.bastion else ""
        return self.host.reached_at, self.ssh.port, bastion


class ControlPlaneSettings(Model):
    """The control plane's machines, and whether their flags may be changed."""

    manage: bool = False
    hosts: tuple[Host, ...] = ()
    signing_certificate: HostPath = "/etc/kubernetes/pki/ca.crt"
    signing_key: HostPath = "/etc/kubernetes/pki/ca.key"
    kube_api_qps: Annotated[int, between(20, 10_000)] | None = None
    ssh: Ssh = Ssh()


class ApproverSettings(Model):
    """The resident approver of renewals, and how its pods reach the API server."""

    enabled: bool = False
    image: Image | None = None
    replicas: Annotated[int, between(1, 9)] = 2
    namespace: Namespace = "kube-system"
    other_pools: tuple[PoolName, ...] | None = None
    allow_workers: bool = False
    admission_policy: bool = False
    host_network: bool = False
    server: Server | None = None


class RolloutSettings(Model):
    """How a change of files reaches the nodes of a pool: in waves, each proven before the next."""

    canary: Annotated[int, at_least(1)] = 1
    max_unavailable: Share = "10%"
    pause_seconds: Annotated[int, between(0, 86_400)] = 0
    health_seconds: Annotated[int, between(5, 600)] = 60


class DrainSettings(Model):
    """How nodes that leave are drained. `admission.drain_settings` reads them on that day."""

    timeout_seconds: Annotated[StrictInt, between(1, 86_400)] = 300
    grace_seconds: Annotated[StrictInt, between(0, 86_400)] | None = None
    delete_empty_dir_data: StrictBool = False
    force: StrictBool = False
    parallel: Annotated[StrictInt, between(1, 1000)] = 1


class NodeSettings(Layer, Host):
    """A machine that joins as a node."""

    addresses: tuple[IpAddress, ...] = ()
    certificate_addresses: tuple[IpAddress, ...] = ()
    dns_names: tuple[Name, ...] = ()
    generation: Annotated[int, at_least(1)] = 1
    repair: Repair = 0
    # Also read as JSON, where only `true` is true.
    force: StrictBool = False

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """The primary address, then the others, each once."""
        return tuple(dict.fromkeys((self.address, *self.addresses)))

    @property
    def all_names(self) -> tuple[str, ...]:
        """The DNS names that the serving certificate may hold."""
        return tuple(dict.fromkeys((self.name, *self.dns_names)))


class CloudInit(Model):
    """User data for machines that an autoscaler or PXE creates; `true` takes the defaults."""

    with_token: bool = False


def _cloud_init(value: object) -> object:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class Pool(Layer):
    """Nodes that are set up alike."""

    repair: Repair = 0
    token: TokenSettings = TokenSettings()
    approval: PoolApprovalSettings = PoolApprovalSettings()
    rollout: RolloutSettings = RolloutSettings()
    drain: DrainSettings = DrainSettings()
    max_removals: CountOrPercent | None = None
    cloud_init: Annotated[CloudInit | None, BeforeValidator(_cloud_init)] = None
    nodes: tuple[NodeSettings, ...] = ()
    nodes_from: NodesFrom | None = None
    """`stack.origins` adds those nodes to `nodes`."""


class Settings(Layer):
    """All settings of a stack, without its secrets and the content of files."""

    cluster: ClusterSettings = ClusterSettings()
    token: TokenSettings = TokenSettings()
    approval: ApprovalSettings = ApprovalSettings()
    skip_cluster_checks: tuple[ClusterCheck, ...] = ()
    control_plane: ControlPlaneSettings = ControlPlaneSettings()
    approver: ApproverSettings = ApproverSettings()
    rollout: RolloutSettings = RolloutSettings()
    pools: Mapping[PoolName, Pool] = {}
    stall_seconds: Annotated[int, between(5, 3600)] = 120
    repair: Repair = 0
    drain: DrainSettings = DrainSettings()
    max_removals: CountOrPercent | None = None
    kubeconfig_path: str | None = None

    def token_of(self, pool: Pool) -> TokenSettings:
        """Return how the tokens of a pool are."""
        return merge_models(self.token, pool.token)

    def client_approval_of(self, pool: Pool) -> Literal["controller-manager", "gate"]:
        """Return who approves the first client certificates of a pool's nodes."""
        return pool.approval.client or self.approval.client

    def rollout_of(self, pool: Pool) -> RolloutSettings:
        """Return how changes reach the nodes of a pool."""
        return merge_models(self.rollout, pool.rollout)

    def machines(self) -> Iterator[Machine]:
        """Yield each machine of the control plane and of the pools."""
        ssh = merge_models(self.ssh, self.control_plane.ssh)
        for index, host in enumerate(self.control_plane.hosts):
            yield Machine(f"controlPlane.hosts[{index}]", host, merge_models(ssh, host.ssh))
        for name, pool in self.pools.items():
            ssh = merge_models(self.ssh, pool.ssh)
            for index, node in enumerate(pool.nodes):
                yield Machine(f"pools.{name}.nodes[{index}]", node, merge_models(ssh, node.ssh))

    def ssh_layers(self) -> Iterator[tuple[str, Ssh]]:
        """Yield each path at which SSH settings are, and those settings as they are there."""
        yield "ssh", self.ssh
        yield "controlPlane.ssh", self.control_plane.ssh
        for name, pool in self.pools.items():
            yield f"pools.{name}.ssh", pool.ssh
        for machine in self.machines():
            if machine.host.ssh.model_fields_set:
                yield f"{machine.path}.ssh", machine.host.ssh
