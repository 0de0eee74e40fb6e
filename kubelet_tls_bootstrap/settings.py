"""The types of the settings that a program gives: the keys are those of docs/settings.md.

Each key is checked when the program runs, so these types say no more than an editor needs: what may
come from a resource (`Input`), and which keys there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from pulumi import Input

Object = Mapping[str, Any]


class LayerArgs(TypedDict, total=False):
    """What the stack, a pool and a node can have."""

    preset: Literal["default", "classic", "cis"]
    kubernetesVersion: str
    kubelet: Object
    unsafe: Sequence[str]
    flags: Mapping[str, Any]
    labels: Mapping[str, Input[str] | None]
    annotations: Mapping[str, Input[str] | None]
    taints: Sequence[Input[str]]
    runtime: Literal["containerd", "crio", "cri-dockerd"]
    runtimeEndpoint: str
    unit: Literal["own", "drop-in"]
    watchdogSeconds: int
    paths: Object
    embedCa: bool
    skipChecks: Sequence[str]
    ssh: Object


class NodeArgs(LayerArgs, total=False):
    """A machine that joins as a node."""

    name: Required[str]
    """Of the Node; a machine that is made anew is another node."""
    address: Required[Input[str]]
    """The Node's address."""
    sshAddress: Input[str]
    """Where its sshd answers, if that is not `address`."""
    hostKey: Input[str]
    """The key that its sshd must have: `TYPE KEY`."""
    addresses: Sequence[Input[str]]
    certificateAddresses: Sequence[Input[str]]
    dnsNames: Sequence[Input[str]]
    generation: int
    repair: int
    force: bool
    """Its machine is gone: nothing connects to it."""


class PoolArgs(LayerArgs, total=False):
    """Nodes that are set up alike."""

    nodes: Sequence[NodeArgs]
    nodesFrom: Object
    repair: int
    token: Object
    approval: Object
    rollout: Object
    drain: Object
    maxRemovals: int | str
    cloudInit: bool | Object


class SettingsArgs(LayerArgs, total=False):
    """What a fleet is made from."""

    pools: Required[Mapping[str, PoolArgs]]
    """By their names."""
    cluster: Object
    token: Object
    approval: Object
    skipClusterChecks: Sequence[str]
    controlPlane: Object
    approver: Object
    rollout: Object
    stallSeconds: int
    repair: int
    drain: Object
    maxRemovals: int | str
