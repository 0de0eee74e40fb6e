"""Presets: the lowest layer of a node's settings, below its cluster's, its pool's and its own.

The modes and owners of files are the same in all presets (CIS 4.1.1, 4.1.2 and 4.1.5 to 4.1.10):
0600 and root:root, and 0644 for the CA. `bundle` and the kubelet set them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node_files import versions
from node_files.model import Paths
from node_files.versions.override_warnings import without_effect


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Fields and flags of the kubelet, and its paths."""

    kubelet: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    work_in_root: bool = False  # the data directory is the kubelet's working directory


# The layout of machines that were set up by hand: docs/seed.md. Listed are only the fields that a
# kubelet still reads, and whose values are neither defaults nor set by the program.
CLASSIC = Preset(
    kubelet={
        "enableContentionProfiling": True,
        "nodeStatusReportFrequency": "1m",
        "seccompDefault": None,  # pods ran unconfined there
    },
    flags={"v": "4"},
    paths=Paths(
        config="/etc/kubernetes/kubelet.yaml",
        kubeconfig="/etc/kubernetes/kubelet.kubeconfig",
        bootstrap_kubeconfig="/etc/kubernetes/bootstrap.kubeconfig",
        ca="/etc/kubernetes/ssl/ca.pem",
        certificates="/etc/kubernetes/ssl",
        arguments="/etc/kubernetes/kubelet",
        root="/data/kubelet",
        user="kube",
        group="kube",
        kubeconfig_acl=("u:kube:r",),
        root_selinux_type="svirt_sandbox_file_t",
    ),
    work_in_root=True,
)

# CIS Kubernetes Benchmark, section 4, as kube-bench tests it (cfg/cis-1.12/node.yaml). `default`
# already has 4.2.1 to 4.2.4, 4.2.10 (rotateCertificates), 4.2.14 (seccompDefault, where its gate is
# on), and, by serverTLSBootstrap, 4.2.9 and 4.2.11.
# Not followed: 4.2.7 (no --hostname-override), because a machine whose host name is not the node's
# name would request another node's certificate. Left out: 4.2.15 of cis-1.11 (IPAddressDeny=any),
# which needs a list of networks, and protectKernelDefaults (up to cis-1.24), with which a kubelet
# does not start on a machine whose sysctls nobody has set.
CIS = Preset(
    kubelet={
        "streamingConnectionIdleTimeout": "5m",  # 4.2.5
        "makeIPTablesUtilChains": True,  # 4.2.6
        # 4.2.8: the default since 1.27, ten times the earlier one. Never 0, which means no limit.
        "eventRecordQPS": 50,
        "eventBurst": 100,
        # 4.2.12: the names that kube-bench accepts; it knows ChaCha20 only without _SHA256.
        "tlsCipherSuites": [
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ],
        "podPidsLimit": 4096,  # 4.2.13
    },
)

PRESETS: Mapping[str, Preset] = {"default": Preset(), "classic": CLASSIC, "cis": CIS}


def preset_fields(name: str, version: str) -> dict[str, Any]:
    """Return the preset's fields that exist in the version and have an effect there."""
    return {
        path: value
        for path, value in PRESETS[name].kubelet.items()
        if path in versions.fields(version) and not without_effect(path, version)
    }
