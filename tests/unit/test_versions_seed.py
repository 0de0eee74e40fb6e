"""What becomes of each field and flag of the manual procedure on a kubelet of 1.37.

The procedure dates from Kubernetes 1.10 to 1.18: half of its flags stop a current kubelet, and many
of its values are defaults, or were.
"""

from typing import Any

import pytest

from node_files import Cluster, Node, Paths, versions
from node_files.kubelet_configuration import kubelet_configuration
from node_files.versions.defaults import leaves

VERSION = "1.37"
PATHS = Paths(ca="/etc/kubernetes/ssl/ca.pem")
DEFAULT = "equals the default of 1.37 and is left out"
NO_EFFECT = "has no effect"
STAYS = ""

# Each field of /etc/kubernetes/kubelet.yaml there: its value, and what is reported about it. If
# nothing is, it stays in the file; "refused" is what the program decides.
FIELDS: dict[str, tuple[Any, str]] = {
    "kind": ("KubeletConfiguration", STAYS),
    "apiVersion": ("kubelet.config.k8s.io/v1beta1", STAYS),
    "address": ("0.0.0.0", DEFAULT),  # noqa: S104 - a setting, nothing listens
    "cgroupDriver": ("systemd", "applies only if the runtime does not report its own"),
    "cgroupsPerQOS": (True, DEFAULT),
    "authentication.anonymous.enabled": (False, STAYS),
    "authentication.webhook.enabled": (True, STAYS),
    "authentication.webhook.cacheTTL": ("2m0s", DEFAULT),
    "authentication.x509.clientCAFile": ("/etc/kubernetes/ssl/ca.pem", "refused"),
    "authorization.mode": ("Webhook", STAYS),
    "authorization.webhook.cacheAuthorizedTTL": ("5m0s", DEFAULT),
    "authorization.webhook.cacheUnauthorizedTTL": ("30s", DEFAULT),
    "readOnlyPort": (0, STAYS),
    "port": (10250, DEFAULT),
    "clusterDomain": ("cluster.local", STAYS),
    "clusterDNS": (["10.0.0.2"], STAYS),
    "configMapAndSecretChangeDetectionStrategy": ("Watch", DEFAULT),
    "containerLogMaxFiles": (5, DEFAULT),
    "containerLogMaxSize": ("10Mi", DEFAULT),
    "contentType": ("application/vnd.kubernetes.protobuf", DEFAULT),
    "cpuCFSQuota": (True, DEFAULT),
    "cpuCFSQuotaPeriod": ("100ms", DEFAULT),
    "cpuManagerPolicy": ("none", DEFAULT),
    "cpuManagerReconcilePeriod": ("10s", DEFAULT),
    "enableControllerAttachDetach": (True, DEFAULT),
    "enableDebuggingHandlers": (True, DEFAULT),
    "enableContentionProfiling": (True, STAYS),
    "serverTLSBootstrap": (True, STAYS),
    "enforceNodeAllocatable": (["pods"], DEFAULT),
    "eventBurst": (10, "10 was the default until 1.26; it is 100 in 1.37"),
    "eventRecordQPS": (5, "5 was the default until 1.26; it is 50 in 1.37"),
    "evictionHard": (
        {
            "imagefs.available": "15%",
            "memory.available": "100Mi",
            "nodefs.available": "10%",
            "nodefs.inodesFree": "5%",
        },
        STAYS,
    ),
    "evictionPressureTransitionPeriod": ("5m0s", DEFAULT),
    "failSwapOn": (True, DEFAULT),
    "fileCheckFrequency": ("20s", DEFAULT),
    "hairpinMode": ("promiscuous-bridge", NO_EFFECT),
    "healthzBindAddress": ("127.0.0.1", DEFAULT),
    "healthzPort": (10248, DEFAULT),
    "httpCheckFrequency": ("20s", DEFAULT),
    "imageGCHighThresholdPercent": (85, DEFAULT),
    "imageGCLowThresholdPercent": (80, DEFAULT),
    "imageMinimumGCAge": ("2m0s", DEFAULT),
    "iptablesDropBit": (15, "has no effect since 1.28"),
    "iptablesMasqueradeBit": (14, "has no effect since 1.28"),
    "kubeAPIBurst": (10, "10 was the default until 1.26; it is 100 in 1.37"),
    "kubeAPIQPS": (5, "5 was the default until 1.26; it is 50 in 1.37"),
    "makeIPTablesUtilChains": (True, DEFAULT),
    "maxOpenFiles": (1000000, DEFAULT),
    "maxPods": (110, DEFAULT),
    "nodeLeaseDurationSeconds": (40, DEFAULT),
    "nodeStatusReportFrequency": ("1m0s", STAYS),
    "nodeStatusUpdateFrequency": ("10s", DEFAULT),
    "oomScoreAdj": (-999, DEFAULT),
    "podPidsLimit": (-1, DEFAULT),
    "registryBurst": (10, DEFAULT),
    "registryPullQPS": (5, DEFAULT),
    "resolvConf": ("/etc/resolv.conf", DEFAULT),
    "rotateCertificates": (True, STAYS),
    "runtimeRequestTimeout": ("2m0s", DEFAULT),
    "serializeImagePulls": (True, DEFAULT),
    "staticPodPath": ("/etc/kubernetes/manifests", "refused"),
    "streamingConnectionIdleTimeout": ("4h0m0s", "has no effect since 1.34"),
    "syncFrequency": ("1m0s", DEFAULT),
    "topologyManagerPolicy": ("none", DEFAULT),
    "volumeStatsAggPeriod": ("1m0s", DEFAULT),
}

# Each flag of KUBELET_ARGS there, and why it is refused beside the program's own; "" if it is not.
FLAGS: dict[str, tuple[str, str]] = {
    "hostname-override": ("k8s-node-1", "is set by the program; it is the node's name"),
    "config": ("/etc/kubernetes/kubelet.yaml", "is set by the program"),
    "pod-infra-container-image": ("pause-amd64:3.1", "was removed in 1.35"),
    "bootstrap-kubeconfig": ("/etc/kubernetes/bootstrap.kubeconfig", "is set by the program"),
    "kubeconfig": ("/etc/kubernetes/kubelet.kubeconfig", "is set by the program"),
    "cert-dir": ("/etc/kubernetes/ssl", "is set by the program"),
    "root-dir": ("/data/kubelet", "is set by the program"),
    "network-plugin": ("cni", "was removed in 1.24"),
    "logtostderr": ("true", "was removed in 1.26"),
    "v": ("4", ""),
}


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def whole() -> dict[str, Any]:
    configuration: dict[str, Any] = {}
    for path, (value, fate) in FIELDS.items():
        below = configuration
        *parents, name = path.split(".")
        for parent in parents:
            below = below.setdefault(parent, {})
        if fate != "refused":
            below[name] = value
    return configuration


@pytest.mark.parametrize("path", [p for p, (_, fate) in FIELDS.items() if fate == "refused"])
def test_a_path_of_the_procedure_is_the_programs(path: str) -> None:
    ((said, problem),) = versions.problems(nested(path, FIELDS[path][0]), VERSION)
    assert said == path
    assert problem.startswith("can't be overridden")


def test_no_other_field_of_the_procedure_is_refused() -> None:
    assert list(versions.problems(whole(), VERSION)) == []


@pytest.mark.parametrize("path", [p for p, (_, fate) in FIELDS.items() if fate != "refused"])
def test_a_field_of_the_procedure_has_its_fate(path: str) -> None:
    said = dict(versions.warnings(whole(), VERSION))
    fate = FIELDS[path][1]
    if fate == STAYS:
        assert path not in said
    else:
        assert fate in said[path]
    written = dict(leaves(versions.without_defaults(whole(), VERSION)))
    defaults = {p: field.default for p, field in versions.fields(VERSION).items()}
    if path in written:
        assert written[path] == FIELDS[path][0]
    else:
        assert defaults[path] == FIELDS[path][0]
    assert (path not in written) == (fate == DEFAULT or path in UNWRITTEN)


# Without effect, and equal to the default beside.
UNWRITTEN = {
    "hairpinMode",
    "iptablesDropBit",
    "iptablesMasqueradeBit",
    "streamingConnectionIdleTimeout",
}


def test_the_file_of_the_procedure_is_short_in_1_37() -> None:
    cluster = Cluster(name="c", server="https://10.0.0.1:6443", ca_certificate="")
    node = Node(name="n", addresses=("10.0.0.2",), version=VERSION, kubelet=whole(), paths=PATHS)
    rendered = dict(leaves(kubelet_configuration(cluster, node)))
    assert rendered.keys() == {
        "apiVersion", "kind", "authentication.anonymous.enabled", "authentication.webhook.enabled",
        "authentication.x509.clientCAFile", "authorization.mode", "cgroupDriver", "clusterDNS",
        "clusterDomain", "containerRuntimeEndpoint", "enableContentionProfiling", "eventBurst",
        "eventRecordQPS", "kubeAPIBurst", "kubeAPIQPS", "nodeStatusReportFrequency", "readOnlyPort",
        "rotateCertificates", "seccompDefault", "serverTLSBootstrap", "staticPodPath",
    }  # fmt: skip
    assert rendered["authentication.x509.clientCAFile"] == "/etc/kubernetes/ssl/ca.pem"


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_of_the_procedure_is_refused_with_its_reason(name: str) -> None:
    value, reason = FLAGS[name]
    problems = dict(versions.flag_problems({name: value}, VERSION))
    assert (name in problems) == bool(reason)
    assert problems.get(name, "").startswith(reason)
