"""What can be said of a cluster's, a pool's and a node's kubelets, and how the layers merge.

preset < cluster < pool < node. A map merges key by key, a list or a single value replaces the one
below it, and null takes away what the layers below say.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

import node_files
from components.values import (
    AclEntry,
    CheckName,
    Endpoint,
    FlagName,
    FlagValue,
    HostPath,
    Label,
    LabelName,
    Port,
    ProtectedPath,
    SelinuxType,
    Taint,
    UnitPath,
    UserName,
    Version,
    WatchdogSeconds,
)

ROOT = "root"


class Model(BaseModel):
    """Immutable, keys in camelCase, none but the known ones."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )


T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Bastion(Model):
    """A host through which the machines are reached."""

    address: str
    port: Port = 22
    user: str = ROOT
    host_key: str | None = None
    private_key_path: str | None = None

    @property
    def destination(self) -> str:
        """Its address and port, by which its pinned key is found."""
        return f"{self.address}:{self.port}"


class Ssh(Model):
    """How machines are reached: with the SSH agent, unless a key is given."""

    user: UserName = ROOT
    port: Port = 22
    sudo: bool = False
    private_key_path: str | None = None
    known_hosts_path: str | None = None
    bastion: Bastion | None = None


class PathSettings(Model):
    """Where things are on a node, and whose the data directory is; null: where the preset says."""

    kubelet: HostPath | None = None
    config: HostPath | None = None
    kubeconfig: HostPath | None = None
    bootstrap_kubeconfig: HostPath | None = None
    ca: HostPath | None = None
    certificates: HostPath | None = None
    arguments: HostPath | None = None
    unit: UnitPath | None = None
    root: HostPath | None = None
    manifests: HostPath | None = None
    user: UserName | None = None
    group: UserName | None = None
    root_selinux_type: SelinuxType | None = None
    kubeconfig_acl: tuple[AclEntry, ...] | None = None


class Layer(Model):
    """What can be said at each layer; what is not said at any is the preset's or the program's."""

    preset: Literal["default", "classic", "cis"] | None = None
    kubernetes_version: Version | None = None
    kubelet: Mapping[str, Any] = {}
    unsafe: tuple[ProtectedPath, ...] | None = None
    flags: Mapping[FlagName, FlagValue | None] = {}
    labels: Mapping[LabelName, Label | None] = {}
    taints: tuple[Taint, ...] | None = None
    runtime: Literal["containerd", "crio", "cri-dockerd"] | None = None
    runtime_endpoint: Endpoint | None = None
    unit: Literal["own", "drop-in"] | None = None
    watchdog_seconds: WatchdogSeconds | None = None
    paths: PathSettings = PathSettings()
    embed_ca: bool | None = None
    skip_checks: tuple[CheckName, ...] | None = None
    ssh: Ssh = Ssh()

    @property
    def version(self) -> str:
        """The kubelets' minor version."""
        return self.kubernetes_version or node_files.SUPPORTED_VERSIONS[-1]


# One below the other: `Settings` and a pool have other fields too.
FIELDS = tuple(Layer.model_fields)


def merged(*layers: Layer) -> Layer:
    """Return what the layers say together, the lowest first."""
    said: dict[str, Any] = {}
    for layer in layers:
        given = layer.model_fields_set
        if "runtime" in given and "runtime_endpoint" not in given:
            # An endpoint that a lower layer names is that of its own runtime.
            said.pop("runtime_endpoint", None)
        for name in FIELDS:
            if name in given:
                said[name] = _merged(said.get(name), getattr(layer, name))
    return Layer.model_construct(set(said), **said)


def without_nulls(values: Mapping[str, T | None]) -> dict[str, T]:
    """Return the values without those that a null took away."""
    return {name: value for name, value in values.items() if value is not None}


def over(lower: M, upper: M) -> M:
    """Return the lower model with what was said in the upper one."""
    given = upper.model_fields_set
    if not given:
        return lower
    said = {name: _merged(getattr(lower, name), getattr(upper, name)) for name in given}
    return lower.model_copy(update=said)


def _merged(below: Any, value: Any) -> Any:
    if isinstance(value, Bastion):
        return value  # as a whole: its host key belongs to its address
    if isinstance(below, Model) and isinstance(value, Model):
        return over(below, value)
    if isinstance(below, Mapping) and isinstance(value, Mapping):
        return node_files.combine(below, value)
    return value
