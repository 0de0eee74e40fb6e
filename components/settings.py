"""The settings of a stack: the one place that reads `pulumi.Config`, and checks it all at once.

What the keys mean is described in `Pulumi.yaml` and docs/settings.md. Every problem is found before
the first resource is declared and told in one message, each with its path and what to do.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import BeforeValidator, Field, ValidationError

from components import credentials
from components.conflicts import advice, conflicts
from components.credentials import Credentials
from components.layers import Bastion, Layer, Model, PathSettings, Ssh, over
from components.problems import Problem, SettingsError
from components.values import (
    Address,
    ClusterCheck,
    HostPath,
    Name,
    Namespace,
    Network,
    PoolName,
    Repair,
    Server,
)

# The keys of `pulumi.Config` that are no secrets, by the form of their values.
TEXTS = (*("kubeconfigPath", "kubernetesVersion", "preset", "runtime", "runtimeEndpoint", "unit"),)
NUMBERS = ("stallSeconds", "repair", "watchdogSeconds")
OBJECTS = (
    *("cluster", "ssh", "token", "controlPlane", "pools", "kubelet", "unsafe", "flags", "labels"),
    *("taints", "paths", "skipChecks", "skipClusterChecks", "approval", "approver"),
)
SECRETS = ("kubeconfig", "sshPrivateKey")
KEYS = frozenset({*TEXTS, *NUMBERS, "embedCa", *OBJECTS, *SECRETS})
# What pydantic says in words of Python, in those of YAML.
MESSAGES = {
    "missing": "is missing",
    "tuple_type": "is no list (lines that begin with -, or [ ])",
    "dict_type": "is no map (lines of key: value, or { })",
    "model_type": "is no map (lines of key: value, or { })",
}


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
    ssh: Ssh = Ssh()


class ControlPlaneSettings(Model):
    """The control plane's machines, and whether their flags may be changed."""

    manage: bool = False
    hosts: tuple[Host, ...] = ()
    signing_certificate: HostPath = "/etc/kubernetes/pki/ca.crt"
    signing_key: HostPath = "/etc/kubernetes/pki/ca.key"
    ssh: Ssh = Ssh()


class ApproverSettings(Model):
    """The resident approver of renewals, and how its pods reach the API server."""

    enabled: bool = False
    image: str | None = None
    replicas: Annotated[int, Field(ge=1, le=9)] = 2
    namespace: Namespace = "kube-system"
    host_network: bool = False
    server: Server | None = None


class NodeSettings(Layer, Host):
    """A machine that shall be a node."""

    addresses: tuple[Address, ...] = ()
    dns_names: tuple[Name, ...] = ()
    generation: Annotated[int, Field(ge=1)] = 1
    repair: Repair = 0
    force: bool = False

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """The primary address, then the others, each once."""
        return tuple(dict.fromkeys((self.address, *self.addresses)))

    @property
    def all_names(self) -> tuple[str, ...]:
        """The DNS names that the serving certificate may hold."""
        return tuple(dict.fromkeys((self.name, *self.dns_names)))


class CloudInit(Model):
    """User data for machines of a pool that create themselves; `true` takes the defaults."""

    with_token: bool = False


def _cloud_init(value: object) -> object:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class Pool(Layer):
    """Nodes that are set up alike and join with one token."""

    repair: Repair = 0
    cloud_init: Annotated[CloudInit | None, BeforeValidator(_cloud_init)] = None
    nodes: tuple[NodeSettings, ...] = ()


class Settings(Layer):
    """All settings of a stack, without its secrets and the content of files."""

    cluster: ClusterSettings = ClusterSettings()
    token: TokenSettings = TokenSettings()
    approval: ApprovalSettings = ApprovalSettings()
    skip_cluster_checks: tuple[ClusterCheck, ...] = ()
    control_plane: ControlPlaneSettings = ControlPlaneSettings()
    approver: ApproverSettings = ApproverSettings()
    pools: Mapping[PoolName, Pool] = {}
    stall_seconds: Annotated[int, Field(ge=5, le=3600)] = 120
    repair: Repair = 0
    kubeconfig_path: str | None = None

    def hosts(self) -> Iterator[tuple[str, Host, Ssh]]:
        """Yield each machine's path in the settings, itself, and how it is reached."""
        base = over(self.ssh, self.control_plane.ssh)
        for index, host in enumerate(self.control_plane.hosts):
            yield f"controlPlane.hosts[{index}]", host, over(base, host.ssh)
        for name, pool in self.pools.items():
            base = over(self.ssh, pool.ssh)
            for index, node in enumerate(pool.nodes):
                yield f"pools.{name}.nodes[{index}]", node, over(base, node.ssh)

    def ssh_layers(self) -> Iterator[tuple[str, Ssh]]:
        """Yield each place that says how machines are reached, and what it says."""
        yield "ssh", self.ssh
        yield "controlPlane.ssh", self.control_plane.ssh
        for name, pool in self.pools.items():
            yield f"pools.{name}.ssh", pool.ssh
        for place, host, _ in self.hosts():
            if host.ssh.model_fields_set:
                yield f"{place}.ssh", host.ssh


def read(config: pulumi.Config) -> tuple[Settings, Credentials]:
    """Return the stack's settings, and what the files and secrets that they name hold.

    Raises:
        SettingsError: something is missing or wrong; the message lists everything that is.
    """
    settings = parse(plain(config))
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
    for problem in advice(settings):
        pulumi.log.warn(str(problem))
    return settings, loaded


def plain(config: pulumi.Config) -> dict[str, Any]:
    """Return the keys of the settings that are no secrets, as `parse` takes them.

    Those that there are not are among them without their value, for `parse` to refuse.
    """
    prefix = f"{config.name}:"
    # pulumi.Config lists no keys; this is where it reads them itself.
    given = {*runtime_config.CONFIG.get(), *runtime_config.get_config_env()}
    named = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
    raw: dict[str, Any] = dict.fromkeys(sorted(named - KEYS))
    for key in TEXTS:
        if value := config.get(key):
            raw[key] = value
    for key in NUMBERS:
        if config.get(key):
            raw[key] = _of_type(config, key, config.get_int)
    if config.get("embedCa"):
        raw["embedCa"] = _of_type(config, "embedCa", config.get_bool)
    for key in OBJECTS:
        value = _of_type(config, key, config.get_object)
        if value:
            raw[key] = value
    return raw


def _of_type(config: pulumi.Config, key: str, read: Callable[[str], Any]) -> Any:
    """Return a key's value, or else its text, for `parse` to refuse with all other faults."""
    try:
        return read(key)
    except pulumi.ConfigTypeError:
        return config.get(key)


def parse(raw: Mapping[str, Any]) -> Settings:
    """Return the settings that the plain keys hold.

    Raises:
        SettingsError: a value is of the wrong form; the message lists each one.
    """
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError([_problem(raw, dict(e)) for e in error.errors()]) from None


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
    if error["type"] in MESSAGES:
        return Problem(path, MESSAGES[error["type"]])
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
        "cloudInit": CloudInit, "paths": PathSettings, "approver": ApproverSettings,
    }  # fmt: skip
    for index, part in enumerate(parents):
        model = Pool if index == 1 and parents[0] == "pools" else models.get(part, model)
    return [str(field.alias) for field in model.model_fields.values()]
