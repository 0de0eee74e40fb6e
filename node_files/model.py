"""What the renderers take and return: a cluster, a node, its paths, and its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Where kubeadm looks for each runtime (cmd/kubeadm/app/constants/constants_unix.go).
RUNTIME_ENDPOINTS = {
    "containerd": "unix:///run/containerd/containerd.sock",
    "crio": "unix:///var/run/crio/crio.sock",
    "cri-dockerd": "unix:///var/run/cri-dockerd.sock",
}
DEFAULT_RUNTIME_ENDPOINT = RUNTIME_ENDPOINTS["containerd"]


class Effect(StrEnum):
    """What the node must do when a file changes."""

    NONE = "none"
    RESTART = "restart"  # the kubelet reads it when it starts
    UNIT = "unit"  # systemd reads it too: daemon-reload, then restart


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where things are on a node. The defaults are kubeadm's, where kube-bench looks for them."""

    kubelet: str = "/usr/bin/kubelet"
    config: str = "/var/lib/kubelet/config.yaml"
    kubeconfig: str = "/etc/kubernetes/kubelet.conf"
    bootstrap_kubeconfig: str = "/etc/kubernetes/bootstrap-kubelet.conf"
    ca: str = "/etc/kubernetes/pki/ca.crt"
    certificates: str = "/var/lib/kubelet/pki"
    arguments: str = "/etc/kubernetes/kubelet.env"
    unit: str = "/etc/systemd/system/kubelet.service"
    root: str = "/var/lib/kubelet"
    manifests: str = "/etc/kubernetes/manifests"
    state: str = "/var/lib/kubelet-tls-bootstrap"  # our manifest of what we wrote
    user: str = "root"
    group: str = "root"  # owner of the data directory
    root_selinux_type: str = ""  # of the data directory
    kubeconfig_acl: tuple[str, ...] = ()  # entries as for setfacl(1), such as u:kube:r


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What all nodes of a cluster share."""

    name: str
    server: str  # the API server's https URL
    ca_certificate: str  # PEM
    dns_addresses: tuple[str, ...] = ()
    dns_domain: str = "cluster.local"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine, and how its kubelet is to run."""

    name: str
    addresses: tuple[str, ...]  # node IPs, the primary one first; at most one of each family
    stack: str = ""  # whose it is, as ORGANIZATION/PROJECT/STACK
    version: str = "1.37"  # the kubelet's minor version
    generation: int = 1  # raised to write and join the machine again
    repair: int = 0  # raised to restore drifted files
    kubelet: Mapping[str, Any] = field(default_factory=dict)  # over our KubeletConfiguration
    unsafe: frozenset[str] = frozenset()  # paths of protected fields that `kubelet` may change
    flags: Mapping[str, str] = field(default_factory=dict)  # more flags, by name without dashes
    labels: Mapping[str, str] = field(default_factory=dict)  # of the Node
    annotations: Mapping[str, str] = field(default_factory=dict)  # of the Node; in no file
    taints: tuple[str, ...] = ()  # of the Node, as key[=value]:effect
    runtime_endpoint: str = DEFAULT_RUNTIME_ENDPOINT
    paths: Paths = Paths()
    skip_checks: tuple[str, ...] = ()
    unit_drop_in: bool = False  # only a drop-in is written; the kubelet's package has the unit
    runtime: str = "containerd"  # or crio, cri-dockerd
    embed_ca: bool = False  # the kubeconfig holds the CA instead of its path
    work_in_root: bool = False  # the data directory is the kubelet's working directory
    health_limit_s: int = 60  # within which a restarted kubelet must be healthy
    watchdog_s: int = 0  # systemd restarts a kubelet that is silent for this long; 0: never


@dataclass(frozen=True, kw_only=True)
class Directory:
    """A directory that must exist with this mode and owner; its content is not ours."""

    path: str
    mode: str  # octal, four digits
    owner: str = "root"
    group: str = "root"
    selinux_type: str = ""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file with its whole content, which ends with a line feed."""

    path: str
    mode: str
    content: str
    effect: Effect = Effect.RESTART
    owner: str = "root"
    group: str = "root"
    acl: tuple[str, ...] = ()  # entries as for setfacl(1), such as u:kube:r
    selinux_type: str = ""
