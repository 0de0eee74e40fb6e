"""The settings of kubelets that a cluster, a pool and a node can have, and how they merge.

preset < cluster < pool < node. Maps merge key by key, a list or a single value replaces the one
below it, and null removes what the layers below set.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

import node_files
from settings.formats import (
    AclEntry,
    Endpoint,
    HostPath,
    LoginName,
    Port,
    SelinuxType,
    UnitPath,
    UserName,
)
from settings.host_formats import BastionAddress
from settings.kubelet_formats import (
    AnnotationName,
    CheckName,
    FlagName,
    FlagValue,
    Label,
    LabelName,
    ProtectedPath,
    Taint,
    Version,
    WatchdogSeconds,
)

ROOT = "root"


class Model(BaseModel):
    """Immutable, with keys in camelCase; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )


T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Bastion(Model):
    """A host through which the machines are reached."""

    address: BastionAddress
    port: Port = 22
    user: LoginName = ROOT
    host_key: str | None = None
    private_key_path: str | None = None

    @property
    def destination(self) -> str:
        """Its address and port, by which its pinned key is found."""
        return f"{self.address}:{self.port}"


class Ssh(Model):
    """How machines are reached over SSH: with the agent, unless a key is given."""

    user: LoginName = ROOT
    port: Port = 22
    sudo: bool = False
    private_key_path: str | None = None
    known_hosts_path: str | None = None
    bastion: Bastion | None = None

    @property
    def private_key_paths(self) -> tuple[str, ...]:
        """The files of the keys that log in, the bastion's included."""
        bastion = self.bastion and self.bastion.private_key_path
        return tuple(path for path in (self.private_key_path, bastion) if path)


class PathSettings(Model):
    """Where things are on a node, and who owns the data directory; null: as in the preset."""

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
    """What each layer can set; what none of them sets comes from the preset or the program."""

    preset: Literal["default", "classic", "cis"] | None = None
    kubernetes_version: Version | None = None
    kubelet: Mapping[str, Any] = {}
    unsafe: tuple[ProtectedPath, ...] | None = None
    flags: Mapping[FlagName, FlagValue | None] = {}
    labels: Mapping[LabelName, Label | None] = {}
    annotations: Mapping[AnnotationName, str | None] = {}
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


# Without the fields that only a cluster, a pool or a node has.
FIELDS = tuple(Layer.model_fields)


def merge_layers(*layers: Layer) -> Layer:
    """Return what the layers set together, the lowest first."""
    merged: dict[str, Any] = {}
    for layer in layers:
        given = layer.model_fields_set
        if "runtime" in given and "runtime_endpoint" not in given:
            # An endpoint in a lower layer belongs to the runtime of that layer.
            merged.pop("runtime_endpoint", None)
        for name in FIELDS:
            if name in given:
                merged[name] = _merge_values(merged.get(name), getattr(layer, name))
    return Layer.model_construct(set(merged), **merged)


def merge_models(lower: M, upper: M) -> M:
    """Return the lower model with what the upper one sets."""
    given = upper.model_fields_set
    if not given:
        return lower
    merged = {name: _merge_values(getattr(lower, name), getattr(upper, name)) for name in given}
    return lower.model_copy(update=merged)


def without_nulls(values: Mapping[str, T | None]) -> dict[str, T]:
    """Return the values without those that a null has removed."""
    return {name: value for name, value in values.items() if value is not None}


def _merge_values(lower: Any, upper: Any) -> Any:
    if isinstance(upper, Bastion):
        return upper  # as a whole: its host key belongs to its address
    if isinstance(lower, Model) and isinstance(upper, Model):
        return merge_models(lower, upper)
    if isinstance(lower, Mapping) and isinstance(upper, Mapping):
        return node_files.merge_patches(lower, upper)
    return upper
