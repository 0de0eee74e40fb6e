"""The settings of a stack: the one place that reads `pulumi.Config`, and checks it all at once.

What the keys mean is described in `Pulumi.yaml` and docs/settings.md. Every problem is found before
the first resource is declared and told in one message, each with its path and what to do.
"""

import difflib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel

import node_files
from components import credentials
from components.credentials import Credentials
from components.problems import Problem, SettingsError

DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DNS_NAME = re.compile(rf"\A{DNS_LABEL}(\.{DNS_LABEL})*\Z")
TAINT = re.compile(
    r"\A[A-Za-z0-9][A-Za-z0-9_./-]*(=[A-Za-z0-9_.-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)\Z"
)
# pkg/controller/certificates/cleaner of Kubernetes: approvedExpiration.
LONGEST_GATED_TTL_MINUTES = 60
# cluster-bootstrap/token/api: BootstrapGroupPattern, what may follow `system:bootstrappers:`.
LONGEST_TOKEN_GROUP = 256
LABEL = re.compile(r"\A([A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?)?\Z")


def _name(value: str) -> str:
    if not DNS_NAME.match(value) or len(value) > 253:
        raise ValueError(
            "is not a name in lower-case letters, digits, - and . (RFC 1123); give the machine's"
            " Node name"
        )
    return value


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            "is not an IP address; give the address on which the machine's sshd listens"
        ) from None


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("is not a network such as 10.96.0.0/12") from None


def _server(value: str) -> str:
    if not re.match(r"\Ahttps://[A-Za-z0-9.:\[\]-]+\Z", value):
        raise ValueError("is not an https URL without a path; give the API server's")
    return value


def _taint(value: str) -> str:
    if not TAINT.match(value):
        raise ValueError("is not a taint such as key=value:NoSchedule")
    return value


def _label(value: str) -> str:
    if not LABEL.match(value):
        raise ValueError("is not a label's name or value: letters, digits, and - _ . / between")
    return value


Name = Annotated[str, AfterValidator(_name)]
# A pool's name stands in resource names and in the token's group, which takes no dot.
PoolName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Server = Annotated[str, AfterValidator(_server)]
Taint = Annotated[str, AfterValidator(_taint)]
Label = Annotated[str, AfterValidator(_label)]
Port = Annotated[int, Field(ge=1, le=65535)]
HostPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+$")]
Version = Literal["1.37"]
# The checks of admission/preflight.py.
ClusterCheck = Literal[
    "version", "rights", "clock", "token", "client-approval", "signer", "token-cleaner",
    "left-over-tokens", "kubelet-verification",
]  # fmt: skip


class Model(BaseModel):
    """Immutable, keys in camelCase, none but the known ones."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )


class Bastion(Model):
    """A host through which the machines are reached."""

    address: str
    port: Port = 22
    user: str = "root"
    host_key: str | None = None


class Ssh(Model):
    """How machines are reached: with the SSH agent, unless a key is given."""

    user: str = "root"
    port: Port = 22
    private_key_path: str | None = None
    known_hosts_path: str | None = None
    bastion: Bastion | None = None


class ClusterSettings(Model):
    """The cluster that machines join; what is not said comes from the kubeconfig."""

    name: Name = "kubernetes"
    server: Server | None = None
    ca_path: str | None = None
    service_cidr: Network = "10.96.0.0/12"
    dns_addresses: tuple[Address, ...] = ()
    dns_domain: Name = "cluster.local"


class ApprovalSettings(Model):
    """Who approves the first client certificates, and who the serving certificates."""

    client: Literal["controller-manager", "gate"] = "controller-manager"
    serving: Literal["gate", "manual"] = "gate"


class TokenSettings(Model):
    """For whom a bootstrap token is, how long it lives, and what becomes of it after the join."""

    scope: Literal["pool", "node"] = "pool"
    ttl_minutes: Annotated[int, Field(ge=5, le=1440)] = 60
    after_join: Literal["revoke", "expire", "keep"] = "revoke"


class Host(Model):
    """A machine that is reached over SSH."""

    name: Name
    address: Address
    host_key: str | None = None


class ControlPlaneSettings(Model):
    """The control plane's machines, and whether their flags may be changed."""

    manage: bool = False
    hosts: tuple[Host, ...] = ()
    signing_certificate: HostPath = "/etc/kubernetes/pki/ca.crt"
    signing_key: HostPath = "/etc/kubernetes/pki/ca.key"


class ApproverSettings(Model):
    """The resident approver of renewals, and how its pods reach the API server."""

    enabled: bool = False
    image: str | None = None
    replicas: Annotated[int, Field(ge=1, le=9)] = 2
    namespace: Annotated[str, Field(pattern=rf"^{DNS_LABEL}$")] = "kube-system"
    host_network: bool = False
    server: Server | None = None


class NodeSettings(Host):
    """A machine that shall be a node."""

    addresses: tuple[Address, ...] = ()
    dns_names: tuple[Name, ...] = ()
    generation: Annotated[int, Field(ge=1)] = 1
    force: bool = False
    kubelet: Mapping[str, Any] = {}
    labels: Mapping[Label, Label] = {}
    taints: tuple[Taint, ...] = ()

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """The primary address, then the others, each once."""
        return tuple(dict.fromkeys((self.address, *self.addresses)))

    @property
    def all_names(self) -> tuple[str, ...]:
        """The DNS names that the serving certificate may hold."""
        return tuple(dict.fromkeys((self.name, *self.dns_names)))


class Pool(Model):
    """Nodes that are set up alike and join with one token."""

    kubelet: Mapping[str, Any] = {}
    labels: Mapping[Label, Label] = {}
    taints: tuple[Taint, ...] = ()
    runtime_endpoint: Annotated[str, Field(pattern=r"^unix:///[A-Za-z0-9_./-]+$")] = (
        node_files.DEFAULT_RUNTIME_ENDPOINT
    )
    nodes: tuple[NodeSettings, ...] = ()


class Settings(Model):
    """All settings of a stack, without its secrets and the content of files."""

    cluster: ClusterSettings = ClusterSettings()
    ssh: Ssh = Ssh()
    token: TokenSettings = TokenSettings()
    approval: ApprovalSettings = ApprovalSettings()
    skip_cluster_checks: tuple[ClusterCheck, ...] = ()
    control_plane: ControlPlaneSettings = ControlPlaneSettings()
    approver: ApproverSettings = ApproverSettings()
    pools: Mapping[PoolName, Pool] = {}
    kubernetes_version: Version = "1.37"
    stall_seconds: Annotated[int, Field(ge=5, le=3600)] = 120
    kubeconfig_path: str | None = None


def read(config: pulumi.Config) -> tuple[Settings, Credentials]:
    """Return the stack's settings, and what the files and secrets that they name hold.

    Raises:
        SettingsError: something is missing or wrong; the message lists everything that is.
    """
    raw: dict[str, Any] = {
        "kubeconfigPath": config.get("kubeconfigPath") or None,
        "kubernetesVersion": config.get("kubernetesVersion") or "1.37",
    }
    for key in ("cluster", "ssh", "token", "approval", "controlPlane", "approver", "pools"):
        raw[key] = config.get_object(key) or {}
    raw["skipClusterChecks"] = config.get_object("skipClusterChecks") or []
    if config.get("stallSeconds"):
        raw["stallSeconds"] = config.get_int("stallSeconds")
    settings = parse(raw)
    found = list(conflicts(settings))
    loaded, faults = credentials.load(
        settings,
        kubeconfig=config.get_secret("kubeconfig") if config.get("kubeconfig") else None,
        private_key=config.get_secret("sshPrivateKey") if config.get("sshPrivateKey") else None,
        kubeconfig_text=config.get("kubeconfig") or None,
    )
    if found or faults:
        raise SettingsError([*found, *faults])
    assert loaded is not None  # noqa: S101 - for the type checker: there were no faults
    return settings, loaded


def parse(raw: Mapping[str, Any]) -> Settings:
    """Return the settings that the plain keys hold.

    Raises:
        SettingsError: a value is of the wrong form; the message lists each one.
    """
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError([_problem(raw, dict(e)) for e in error.errors()]) from None


def conflicts(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with values that are right each by itself."""
    nodes = [
        (f"pools.{pool_name}.nodes[{index}]", node)
        for pool_name, pool in settings.pools.items()
        for index, node in enumerate(pool.nodes)
    ]
    hosts = [
        (f"controlPlane.hosts[{index}]", host)
        for index, host in enumerate(settings.control_plane.hosts)
    ]
    names = Counter(host.name for _, host in [*nodes, *hosts])
    addresses = Counter(
        [a for _, node in nodes for a in node.all_addresses] + [host.address for _, host in hosts]
    )
    service_network = ipaddress.ip_network(settings.cluster.service_cidr)
    for path, node in nodes:
        for address in node.all_addresses:
            if ipaddress.ip_address(address) in service_network:
                yield Problem(path, f'address "{address}" is one of cluster.serviceCidr')
        families = Counter(ipaddress.ip_address(a).version for a in node.all_addresses)
        if max(families.values()) > 1:
            yield Problem(path, "has two addresses of one family; a kubelet takes one of each")
    for path, host in [*nodes, *hosts]:
        if names[host.name] > 1:
            yield Problem(f"{path}.name", f'"{host.name}" is there twice; names are unique')
        if addresses[host.address] > 1:
            yield Problem(f"{path}.address", f'"{host.address}" is there twice')
    if settings.approver.enabled and not settings.approver.image:
        yield Problem(
            "approver.image", "is missing; build the Containerfile and give the image's name"
        )
    yield from _approval_conflicts(settings)
    for place, overrides in _overrides(settings):
        for name, problem in node_files.problems(overrides):
            yield Problem(f"{place}.{name}", problem)


def _approval_conflicts(settings: Settings) -> Iterator[Problem]:
    if settings.approval.client == "gate":
        if settings.token.scope != "node":
            yield Problem(
                "token.scope",
                'is "pool", and approval.client is "gate"; a token of the whole pool does not say'
                " which machine holds it, so set token.scope to node",
            )
        if settings.token.ttl_minutes > LONGEST_GATED_TTL_MINUTES:
            yield Problem(
                "token.ttlMinutes",
                f'"{settings.token.ttl_minutes}" is more than {LONGEST_GATED_TTL_MINUTES}, and'
                ' approval.client is "gate"; kube-controller-manager deletes approved requests'
                " after an hour, and with them the trace that a token has been used",
            )
    if settings.approval.serving == "manual" and settings.approver.enabled:
        yield Problem(
            "approval.serving",
            'is "manual", and approver.enabled is true; the resident approver approves what you'
            " want to look at, so set one of them otherwise",
        )
    for pool_name, pool in settings.pools.items() if settings.token.scope == "node" else ():
        for index, node in enumerate(pool.nodes):
            if len(pool_name) + len(node.name) >= LONGEST_TOKEN_GROUP:
                yield Problem(
                    f"pools.{pool_name}.nodes[{index}].name",
                    f"and the pool's have more than {LONGEST_TOKEN_GROUP} characters, too many for"
                    " a token's group; give one of them a shorter name",
                )


def _overrides(settings: Settings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for pool_name, pool in settings.pools.items():
        yield f"pools.{pool_name}.kubelet", pool.kubelet
        for index, node in enumerate(pool.nodes):
            yield f"pools.{pool_name}.nodes[{index}].kubelet", node.kubelet


def _problem(raw: Mapping[str, Any], error: Mapping[str, Any]) -> Problem:
    """One of pydantic's errors in our words."""
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    if error["type"] == "extra_forbidden":
        *parents, unknown = error["loc"]
        near = difflib.get_close_matches(str(unknown), _known_keys(parents), n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it; docs/settings.md lists all keys"
        return Problem(path, f"is no known key; {hint}")
    given = _value(raw, error["loc"])
    shown = f'"{given}" ' if isinstance(given, str | int | float) else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    return Problem(path, f"{shown}{message[0].lower()}{message[1:]}")


def _value(raw: Any, location: tuple[Any, ...]) -> Any:
    for part in location:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _known_keys(parents: list[Any]) -> list[str]:
    """The keys of the model that a path of keys and indices leads to."""
    model: type[Model] = Settings
    models: dict[str, type[Model]] = {
        "cluster": ClusterSettings, "ssh": Ssh, "bastion": Bastion, "token": TokenSettings,
        "approval": ApprovalSettings,
        "controlPlane": ControlPlaneSettings, "hosts": Host, "nodes": NodeSettings,
        "approver": ApproverSettings,
    }  # fmt: skip
    for index, part in enumerate(parents):
        model = Pool if index == 1 and parents[0] == "pools" else models.get(part, model)
    return [str(field.alias) for field in model.model_fields.values()]
