"""Kubelets' configurations of other projects can be pasted below `kubelet`.

Each is accepted for its version, or each field that is refused is one problem that says what to do
instead. Without these fields it is accepted and written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from node_files import Cluster, Node
from node_files.kubelet_configuration import kubelet_configuration
from settings import checks
from settings.kubelet_checks import warnings
from settings.parsing import parse

FILES = Path(__file__).parent / "real_kubelet_files"
CA = "authentication.x509.clientCAFile", "can't be overridden: it is the setting paths.ca;"
SOCKET = "containerRuntimeEndpoint", "can't be overridden: it is the setting runtimeEndpoint"
MANIFESTS = "staticPodPath", "can't be overridden: it is the setting paths.manifests"
TAINTS = "registerWithTaints", "can't be overridden: it is the setting taints"
CERTIFICATE = [
    (name, "can't be overridden: the serving certificate comes from the cluster; leave it out, or")
    for name in ("tlsCertFile", "tlsPrivateKeyFile")
]
OPEN = (
    "readOnlyPort",
    "can't be overridden: it serves the node's pods without authentication; leave it out, or",
)

# By the file's name, whose end is the version: the fields that are refused, and how that begins.
REAL: dict[str, list[tuple[str, str]]] = {
    "aks-1.24": [CA],
    "aks-1.27": [CA, *CERTIFICATE],
    "deckhouse-1.27": [
        ("configTrialDuration", "is not a field of KubeletConfiguration in 1.27"),
    ],
    "eks-al2-1.29": [],
    "eks-al2023-1.26": [],
    "eks-al2023-1.36": [],
    "gardener-1.34": [CA, TAINTS],
    "gke-1.24": [CA, OPEN],
    "gke-1.27": [CA, OPEN],
    "k3s-1.33": [CA, SOCKET, MANIFESTS, *CERTIFICATE],
    "kind-1.36": [],
    "kops-1.33": [],
    "kubeadm-1.24": [],
    "kubeadm-1.30": [],
    "kubeadm-1.36": [],
    "kubekey-1.24": [],
    "kubekey-1.33": [],
    "kubespray-1.33": [CA],
    "minikube-1.34": [CA],
    "openshift-1.31": [CA],
    "rke2-1.33": [CA, SOCKET, MANIFESTS, *CERTIFICATE],
    "talos-1.33": [],
    "the-hard-way-1.32": [CA, *CERTIFICATE],
    "typhoon-1.28": [CA],
}


def pasted(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    return document


def version_of(name: str) -> str:
    return name.rpartition("-")[2]


def told(kubelet: Mapping[str, Any], version: str, **layer: Any) -> list[str]:
    node = {"name": "n1", "address": "10.0.0.1"}
    raw = {"kubernetesVersion": version, "kubelet": kubelet, "pools": {"w": {"nodes": [node]}}}
    return [str(problem) for problem in checks.problems(parse(raw | layer))]


def without(document: dict[str, Any], path: str) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        document = document[parent]
    del document[name]


def test_each_file_is_in_the_table() -> None:
    assert sorted(REAL) == sorted(path.stem for path in FILES.glob("*"))


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_accepted_but_for_what_other_settings_say(name: str) -> None:
    found = told(pasted(name), version_of(name))
    assert len(found) == len(REAL[name]), found
    for problem, (path, said) in zip(found, REAL[name], strict=True):
        assert problem.startswith(f"kubelet.{path} {said}")


@pytest.mark.parametrize("name", REAL)
def test_without_the_refused_fields_it_is_accepted_and_written(name: str) -> None:
    kubelet, version = pasted(name), version_of(name)
    for path, _ in REAL[name]:
        without(kubelet, path)
    assert told(kubelet, version) == []
    cluster = Cluster(name="c", server="https://10.0.0.1:6443", ca_certificate="")
    node = Node(name="n1", addresses=("10.0.0.1",), version=version, kubelet=kubelet)
    written = kubelet_configuration(cluster, node)
    assert written["authentication"]["x509"]["clientCAFile"] == "/etc/kubernetes/pki/ca.crt"
    assert written["rotateCertificates"] is True
    assert written["staticPodPath"] == "/etc/kubernetes/manifests"
    assert None not in written.values()


@pytest.mark.parametrize("name", REAL)
def test_other_settings_take_what_is_refused(name: str) -> None:
    kubelet, paths, layer = pasted(name), {}, {}
    if CA in REAL[name]:
        paths["ca"] = kubelet["authentication"]["x509"]["clientCAFile"]
    if MANIFESTS in REAL[name]:
        paths["manifests"] = kubelet["staticPodPath"]
    if SOCKET in REAL[name]:
        layer["runtimeEndpoint"] = kubelet["containerRuntimeEndpoint"]
    if TAINTS in REAL[name]:
        layer["taints"] = [f"{t['key']}:{t['effect']}" for t in kubelet["registerWithTaints"]]
    said = [said for said in REAL[name] if said not in (CA, MANIFESTS, SOCKET, TAINTS)]
    found = told(kubelet, version_of(name), paths=paths, **layer)
    assert len(found) == len(said), found


SAME_SOCKET = [
    ("unix:///run/containerd/containerd.sock", True),
    ("unix:///var/run/containerd/containerd.sock", True),  # /var/run is a link to /run
    ("/run/containerd/containerd.sock", True),  # kubelets take a path as well
    ("/var/run/containerd/containerd.sock", True),
    (None, True),
    ("unix:///var/lib/containerd/containerd.sock", False),
    ("tcp:///run/containerd/containerd.sock", False),
    (1, False),
]


@pytest.mark.parametrize(("endpoint", "same"), SAME_SOCKET)
@pytest.mark.parametrize(
    "ours", ["unix:///run/containerd/containerd.sock", "unix:///var/run/containerd/containerd.sock"]
)
def test_a_socket_is_the_same_by_another_name(ours: str, endpoint: object, same: bool) -> None:
    found = told({"containerRuntimeEndpoint": endpoint}, "1.36", runtimeEndpoint=ours)
    assert (found == []) == same


NULLS = {
    # Where the kubelet's own default is what a join needs, null is as good.
    "address": True,
    "authentication.anonymous.enabled": True,
    "authentication.webhook.enabled": True,
    "authorization": True,
    "authorization.mode": True,
    "enableDebuggingHandlers": True,
    "enableServer": True,
    "port": True,
    "readOnlyPort": True,
    "registerNode": True,
    "registerWithTaints": True,
    "runOnce": True,
    "tlsCertFile": True,
    "tlsPrivateKeyFile": True,
    "apiVersion": False,
    "authentication": False,
    "authentication.x509": False,
    "authentication.x509.clientCAFile": False,
    "kind": False,
    "rotateCertificates": False,
    "serverTLSBootstrap": False,
    "staticPodPath": False,
}


@pytest.mark.parametrize("version", ["1.24", "1.37"])
@pytest.mark.parametrize("path", NULLS)
def test_a_null_is_refused_where_the_default_would_harm(path: str, version: str) -> None:
    kubelet: Any = None
    for name in reversed(path.split(".")):
        kubelet = {name: kubelet}
    assert (told(kubelet, version) == []) == NULLS[path]


def test_taints_are_the_same_in_both_places() -> None:
    taints = ["dedicated=db:NoSchedule", "a:NoExecute"]
    given = [
        {"key": "dedicated", "value": "db", "effect": "NoSchedule"},
        {"effect": "NoExecute", "key": "a"},
    ]
    assert told({"registerWithTaints": given}, "1.36", taints=taints) == []
    unset = [given[0] | {"timeAdded": None}, given[1] | {"value": ""}]
    assert told({"registerWithTaints": unset}, "1.36", taints=taints) == []
    # What is refused there can be moved as it is.
    assert told({"registerWithTaints": given}, "1.36", taints=unset) == []
    for other in (given[:1], given[::-1], [], None):
        (problem,) = told({"registerWithTaints": other}, "1.36", taints=taints)
        assert problem.startswith("kubelet.registerWithTaints can't be overridden: it is the")


def test_a_directory_may_end_with_a_slash() -> None:
    manifests = "/etc/kubernetes/manifests/"
    assert told({"staticPodPath": manifests}, "1.36") == []
    own = {"staticPodPath": "/etc/kubelet.d/"}
    assert told(own, "1.36", paths={"manifests": "/etc/kubelet.d/", "root": "/data/"}) == []
    assert len(told(own, "1.36")) == 1


def test_zero_is_taken_where_it_counts_as_not_set_and_that_is_said() -> None:
    kubelet = {"maxPods": 0, "nodeLeaseDurationSeconds": 0, "syncFrequency": "0s"}
    raw = {"kubernetesVersion": "1.36", "kubelet": kubelet}
    assert told(kubelet, "1.36") == []
    said = [text for text in warnings(parse(raw)) if "counts as not set" in text]
    assert [text.partition(" ")[0] for text in said] == [f"kubelet.{name}" for name in kubelet]
    for name, value in (("containerLogMaxFiles", 0), ("maxPods", -1), ("syncFrequency", "-1s")):
        (problem,) = told({name: value}, "1.36")
        assert "out of range" in problem


# Sections for the kubelet in the files of installers, and what is told of each refused key.
SECTIONS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "Talos": (
        {
            "image": "ghcr.io/siderolabs/kubelet:v1.34.0",
            "clusterDNS": ["10.96.0.10"],
            "defaultRuntimeSeccompProfileEnabled": True,
            "disableManifestsDirectory": True,
            "extraArgs": {"rotate-server-certificates": "true"},
            "extraConfig": {"maxPods": 150},
            "extraMounts": [{"destination": "/var/lib/longhorn"}],
            "nodeIP": {"validSubnets": ["10.0.0.0/8"]},
            "registerWithFQDN": True,
        },
        {
            "image": "the setting is kubernetesVersion",
            "defaultRuntimeSeccompProfileEnabled": "the field is seccompDefault",
            "disableManifestsDirectory": "the setting is paths.manifests",
            "extraArgs": "the setting is flags",
            "extraConfig": "put the fields that it holds in its place",
            "extraMounts": "leave it out",
            "nodeIP": "the settings are address and addresses",
            "registerWithFQDN": "the setting is the node's name",
        },
    ),
    "nodeadm of EKS": (
        {"config": {"maxPods": 100}, "flags": ["--node-labels=a=b"]},
        {"config": "put the fields that it holds in its place", "flags": "the setting is flags"},
    ),
    "kubeadm's nodeRegistration": (
        {"criSocket": "unix:///run/x.sock", "name": "n1", "taints": [], "kubeletExtraArgs": {}},
        {
            "criSocket": "the setting is runtimeEndpoint",
            "name": "the setting is the node's name",
            "taints": "the setting is taints",
            "kubeletExtraArgs": "the setting is flags",
        },
    ),
    "k3s and RKE2": (
        {
            "kubelet-arg": ["max-pods=250"],
            "node-label": ["a=b"],
            "node-ip": "10.0.0.1",
            "node-external-ip": "203.0.113.7",
            "protect-kernel-defaults": True,
        },
        {
            "kubelet-arg": "the setting is flags",
            "node-label": "the setting is labels",
            "node-ip": "the settings are address and addresses",
            "node-external-ip": "the setting is certificateAddresses",
            "protect-kernel-defaults": "the field is protectKernelDefaults",
        },
    ),
    "a Shoot of Gardener": (
        {"maxPods": 110, "evictionHard": {"memoryAvailable": "100Mi", "imageFSAvailable": "5%"}},
        {
            "evictionHard[imageFSAvailable]": "did you mean imagefs.available?",
            "evictionHard[memoryAvailable]": "did you mean memory.available?",
        },
    ),
    "a node pool of AKS": (
        {"cpuCfsQuota": True, "imageGcHighThreshold": 90, "podMaxPids": 100},
        {
            "cpuCfsQuota": "did you mean cpuCFSQuota?",
            "imageGcHighThreshold": "did you mean imageGCHighThresholdPercent?",
            "podMaxPids": "the field is podPidsLimit",
        },
    ),
    "kops": (
        {"anonymousAuth": False, "cloudProvider": "external", "logLevel": 2, "nodeLabels": {}},
        {
            "anonymousAuth": "the field is authentication.anonymous.enabled",
            "cloudProvider": "the setting is flags",
            "logLevel": "the field is logging.verbosity",
            "nodeLabels": "the setting is labels",
        },
    ),
    "what a kubelet says of itself (configz)": (
        {"kubeletconfig": {"maxPods": 110}},
        {"kubeletconfig": "put the fields that it holds in its place"},
    ),
    "an object's head": (
        {"kind": "KubeletConfiguration", "metadata": {"name": "a"}},
        {"metadata": "leave it out"},
    ),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_keys_of_installers_are_refused_with_the_setting_to_use(name: str) -> None:
    kubelet, wanted = SECTIONS[name]
    found = told(kubelet, "1.34")
    told_of = {text.partition(" ")[0]: text.rpartition("; ")[2] for text in found}
    assert told_of == {f"kubelet.{path}": remedy for path, remedy in wanted.items()}
