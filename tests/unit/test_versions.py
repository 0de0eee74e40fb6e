"""What is wrong with overrides for a version of the kubelet: each kind of problem, no other."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import node_files
from node_files import Cluster, Node, Paths, versions
from node_files.kubelet_configuration import kubelet_configuration
from node_files.systemd import arguments
from node_files.versions import quantities, table
from node_files.versions.protection import FIXED, PROTECTED

GOLDEN = Path(__file__).parents[1] / "golden" / "versions"
PATHS = Paths()
LATEST = versions.SUPPORTED_VERSIONS[-1]

# Overrides, the version, the path that is named, and the start of the message.
WRONG: dict[str, tuple[Mapping[str, Any], str, str, str]] = {
    "a typing error": (
        {"rotateCertificate": True}, LATEST, "rotateCertificate",
        "is not a field of KubeletConfiguration in 1.37; did you mean rotateCertificates?",
    ),
    "the wrong case": ({"maxpods": 1}, LATEST, "maxpods", "is not a field of KubeletConfiguration "
                       "in 1.37; did you mean maxPods?"),
    "a field of another place": (
        {"cacheTTL": "1m"}, LATEST, "cacheTTL",
        "is not a field of KubeletConfiguration in 1.37;"
        " did you mean authentication.webhook.cacheTTL",
    ),
    "a flag's name": ({"event-qps": 1}, LATEST, "event-qps",
                      "is a flag, not a field; the field is eventRecordQPS"),
    "no field at all": ({"colour": 1}, LATEST, "colour",
                        "is not a field of KubeletConfiguration in 1.37"),
    "a nested typing error": (
        {"authentication": {"webhook": {"cacheTtl": "1m"}}}, LATEST,
        "authentication.webhook.cacheTtl",
        "is not a field of KubeletConfiguration in 1.37;"
        " did you mean authentication.webhook.cacheTTL",
    ),
    "a field to come": ({"failCgroupV1": False}, "1.30", "failCgroupV1",
                        "does not exist in 1.30; it was added in 1.31"),
    "text for a number": ({"maxPods": "110"}, LATEST, "maxPods",
                          '"110" is a string; give a whole number, without quotes'),
    "a fraction": ({"maxPods": 1.5}, LATEST, "maxPods", "1.5 is a number; give a whole number"),
    "a boolean for a number": ({"maxPods": True}, LATEST, "maxPods", "true is a boolean"),
    "a number for a boolean": ({"failSwapOn": 0}, LATEST, "failSwapOn",
                               "0 is a number; give true or false"),
    "a number for a duration": ({"syncFrequency": 60}, LATEST, "syncFrequency",
                                "60 is a number; give a string, in quotes"),
    "a number in a map": ({"evictionHard": {"pid.available": 1000}}, LATEST,
                          "evictionHard[pid.available]", "1000 is a number; give a string"),
    "a map for a list": ({"clusterDNS": {}}, LATEST, "clusterDNS", "is a map; give a list"),
    "text for a list": ({"clusterDNS": "10.0.0.1"}, LATEST, "clusterDNS", '"10.0.0.1" is a string'),
    "text for a structure": ({"logging": "json"}, LATEST, "logging", '"json" is a string; give '
                             "a map of fields"),
    "null in a list": ({"clusterDNS": [None]}, LATEST, "clusterDNS[0]", "is null"),
    "in a list of structures": (
        {"shutdownGracePeriodByPodPriority": [{"priority": 1, "seconds": 2}]}, LATEST,
        "shutdownGracePeriodByPodPriority[0].seconds", "is not a field",
    ),
    "no duration": ({"syncFrequency": "1 minute"}, LATEST, "syncFrequency",
                    '"1 minute" is not a duration; write one such as 30s'),
    "a negative duration": ({"syncFrequency": "-1s"}, LATEST, "syncFrequency", '"-1s" is out of'),
    "a short duration": ({"containerLogMonitorInterval": "1s"}, LATEST,
                         "containerLogMonitorInterval", '"1s" is out of range; give at least'),
    "a short shutdown": ({"shutdownGracePeriod": "10ms"}, LATEST, "shutdownGracePeriod",
                         '"10ms" is out of range; give 0s or at least 1s'),
    "too large": ({"imageGCHighThresholdPercent": 101}, LATEST, "imageGCHighThresholdPercent",
                  "101 is out of range; give 0 to 100"),
    "too small": ({"oomScoreAdj": -1001}, LATEST, "oomScoreAdj", "-1001 is out of range"),
    "beyond 32 bits": ({"eventBurst": 2**31}, LATEST, "eventBurst", "2147483648 is out of range"),
    "fewer than no pods": ({"maxPods": -1}, LATEST, "maxPods", "-1 is out of range; give 1 to"),
    "a constant of Go": ({"configMapAndSecretChangeDetectionStrategy": "watch"}, LATEST,
                         "configMapAndSecretChangeDetectionStrategy",
                         '"watch" is not one of its values; did you mean Watch?'),
    "an enumeration": ({"topologyManagerPolicy": "strict"}, LATEST, "topologyManagerPolicy",
                       '"strict" is not one of its values'),
    "a value to come": (
        {"enforceNodeAllocatable": ["kube-reserved-compressible"]}, "1.31",
        "enforceNodeAllocatable[0]",
        '"kube-reserved-compressible" does not exist in 1.31; it exists from 1.32',
    ),
    "a value of the past": ({"memorySwap": {"swapBehavior": "UnlimitedSwap"}}, LATEST,
                            "memorySwap.swapBehavior", '"UnlimitedSwap" does not exist in 1.37'),
    "a cipher": ({"tlsCipherSuites": ["TLS_AES_128_GCM"]}, LATEST, "tlsCipherSuites[0]",
                 '"TLS_AES_128_GCM" is not one of its values;'
                 " did you mean TLS_AES_128_GCM_SHA256?"),
    "an eviction signal": ({"evictionHard": {"memory.free": "1Gi"}}, LATEST,
                           "evictionHard[memory.free]", "is not an eviction signal"),
    "a signal to come": ({"evictionSoft": {"containerfs.available": "5%"}}, "1.28",
                         "evictionSoft[containerfs.available]",
                         "is not an eviction signal in 1.28"),
    "a threshold": ({"evictionHard": {"memory.available": "1 GB"}}, LATEST,
                    "evictionHard[memory.available]", '"1 GB" is neither a positive quantity'),
    "a share": ({"evictionHard": {"nodefs.available": "101%"}}, LATEST,
                "evictionHard[nodefs.available]", '"101%" is more than 100%'),
    "a reservation": ({"kubeReserved": {"memory": "lots"}}, LATEST, "kubeReserved[memory]",
                      '"lots" is not a quantity'),
    "a resource": ({"systemReserved": {"gpu": "1"}}, LATEST, "systemReserved[gpu]",
                   "can't be reserved"),
    "a locked gate": ({"featureGates": {"NodeSwap": False}}, LATEST, "featureGates[NodeSwap]",
                      "is locked to on in 1.37"),
    "a module's verbosity as JSON": (
        {"logging": {"format": "json", "vmodule": [{"filePattern": "a", "verbosity": 4}]}}, LATEST,
        "logging.vmodule", "works only with the text format, but logging.format is json",
    ),
    "a file pattern": ({"logging": {"vmodule": [{"filePattern": "a=4"}]}}, LATEST,
                       "logging.vmodule[0].filePattern", '"a=4" must not contain "=" or a comma'),
    "verbosity": ({"logging": {"verbosity": 2**31}}, LATEST, "logging.verbosity", "2147483648 is"),
    "split logs": ({"logging": {"format": "json", "options": {"json": {"splitStream": True}}}},
                   LATEST, "logging.options.json", "needs the feature gate LoggingAlphaOptions"),
    "no memory": ({"reservedMemory": [{"numaNode": 0, "limits": {"memory": 0}}]}, LATEST,
                  "reservedMemory[0].limits[memory]", "0 is not a positive quantity"),
    "a DNS name": ({"clusterDNS": ["dns"]}, LATEST, "clusterDNS[0]", '"dns" is not an IP address'),
    "a log path": ({"podLogsDir": "/var/log/../pods"}, LATEST, "podLogsDir", '"/var/log'),
    "CPUs": ({"reservedSystemCPUs": "0..3"}, LATEST, "reservedSystemCPUs",
             '"0..3" is not a list of'),
    "a gate to come": ({"featureGates": {"DefaultPodSysctls": True}}, "1.36",
                       "featureGates[DefaultPodSysctls]", "was added in 1.37, and a kubelet"),
    "a gate that is gone": ({"featureGates": {"CSIMigration": False}}, "1.27",
                            "featureGates[CSIMigration]", "was removed after 1.26, and a kubelet"),
    "no size": ({"containerLogMaxSize": "10MB"}, LATEST, "containerLogMaxSize",
                '"10MB" is not a whole number of bytes'),
    "odd blocks": ({"userNamespaces": {"idsPerPod": 1000}}, LATEST, "userNamespaces.idsPerPod",
                   "1000 is out of range; give 65536 to 4294967295"),
    "half a block": ({"userNamespaces": {"idsPerPod": 100_000}}, LATEST, "userNamespaces.idsPerPod",
                     "100000 is not a multiple of 65536"),
    "a gate before its time": ({"cpuCFSQuotaPeriod": "50ms"}, "1.35", "cpuCFSQuotaPeriod",
                               "needs the feature gate CustomCPUCFSQuotaPeriod, which is off by "
                               "default in 1.35"),
    "a gate switched off": (
        {"shutdownGracePeriod": "30s", "featureGates": {"GracefulNodeShutdown": False}}, "1.34",
        "shutdownGracePeriod", "needs the feature gate GracefulNodeShutdown, which is off in 1.34",
    ),
    "a gate of ours": (
        {"featureGates": {"RotateKubeletServerCertificate": False}}, LATEST,
        "featureGates[RotateKubeletServerCertificate]", "is off, but serverTLSBootstrap, which",
    ),
    "crossed limits": ({"imageGCHighThresholdPercent": 70}, LATEST, "imageGCHighThresholdPercent",
                       "makes imageGCLowThresholdPercent 80, which is not below"),
    "ages": ({"imageMaximumGCAge": "1m"}, LATEST, "imageMaximumGCAge", "must be greater than"),
    "pulls": ({"serializeImagePulls": True, "maxParallelImagePulls": 2}, LATEST,
              "maxParallelImagePulls", "is greater than 1 although"),
    "a part above the whole": (
        {"shutdownGracePeriod": "10s", "shutdownGracePeriodCriticalPods": "20s"}, LATEST,
        "shutdownGracePeriodCriticalPods", "is longer than shutdownGracePeriod",
    ),
    "nothing to enforce with": ({"cgroupsPerQOS": False}, LATEST, "cgroupsPerQOS",
                                "is false, so nothing can be enforced"),
    "a cgroup missing": ({"enforceNodeAllocatable": ["pods", "kube-reserved"]}, LATEST,
                         "enforceNodeAllocatable", "lists kube-reserved, which needs "
                         "kubeReservedCgroup"),
    "a grace period missing": ({"evictionSoft": {"memory.available": "1Gi"}}, LATEST,
                               "evictionSoft[memory.available]", "needs a grace period in"),
    "a root missing": ({"systemCgroups": "/system"}, LATEST, "systemCgroups", "needs cgroupRoot"),
    "a null above what is protected": ({"authentication": None}, LATEST, "authentication",
                                       "can't be overridden"),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "version", "path", "said"), WRONG.values(), ids=WRONG)
def test_what_must_not_be_is_reported_with_its_path(
    overrides: Mapping[str, Any], version: str, path: str, said: str
) -> None:
    ((where, problem),) = versions.problems(overrides, version)
    assert where == path
    assert problem.startswith(said)


RIGHT: dict[str, tuple[Mapping[str, Any], str]] = {
    "nothing": ({}, "1.24"),
    "a null": ({"cgroupDriver": None, "evictionHard": {"pid.available": None}}, LATEST),
    "what the webhook may cache": (
        {"authentication": {"webhook": {"cacheTTL": "1m"}},
         "authorization": {"webhook": {"cacheAuthorizedTTL": "1m"}}}, LATEST,
    ),
    "protected fields as they are": (
        {"rotateCertificates": True, "readOnlyPort": 0, "authorization": {"mode": "Webhook"}},
        LATEST,
    ),
    "a gated default": ({"cpuCFSQuotaPeriod": "100ms"}, "1.24"),
    "a gate and its field": (
        {"cpuCFSQuotaPeriod": "50ms", "featureGates": {"CustomCPUCFSQuotaPeriod": True}}, "1.35",
    ),
    "a gated field in time": ({"cpuCFSQuotaPeriod": "50ms"}, "1.36"),
    "a lab's node": (
        {"cgroupDriver": "cgroupfs", "cgroupsPerQOS": False, "enforceNodeAllocatable": [],
         "failCgroupV1": False, "failSwapOn": False, "localStorageCapacityIsolation": False},
        LATEST,
    ),
    "reservations": (
        {"systemReserved": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1e9"},
         "enforceNodeAllocatable": ["pods", "system-reserved"], "systemReservedCgroup": "/system"},
        LATEST,
    ),
    "soft eviction": (
        {"evictionSoft": {"memory.available": "10%"},
         "evictionSoftGracePeriod": {"memory.available": "1m30s"}}, LATEST,
    ),
    "structures in lists": (
        {"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi", "hugepages-2Mi": 4096}}],
         "logging": {"flushFrequency": 5000000000,
                     "vmodule": [{"filePattern": "kubelet*", "verbosity": 4}]}}, LATEST,
    ),
    "swap": ({"memorySwap": {"swapBehavior": "LimitedSwap"}, "failSwapOn": False}, "1.30"),
    "split logs": (
        {"logging": {"options": {"text": {"splitStream": True, "infoBufferSize": "1Mi"}}},
         "featureGates": {"LoggingAlphaOptions": True}}, LATEST,
    ),
    "logs as JSON": ({"logging": {"format": "json", "verbosity": 2}}, LATEST),
    "what is not set": ({"tlsMinVersion": "", "memorySwap": {"swapBehavior": ""}}, LATEST),
    "a gate that a library has": ({"featureGates": {"RetryGenerateName": True}}, "1.35"),
    "a zero that is not set": ({"maxPods": 0, "nodeLeaseDurationSeconds": 0}, LATEST),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "version"), RIGHT.values(), ids=RIGHT)
def test_what_may_be_is_not_refused(overrides: Mapping[str, Any], version: str) -> None:
    assert list(versions.problems(overrides, version)) == []


def test_all_problems_come_at_once() -> None:
    overrides = {"maxPod": 1, "readOnlyPort": 10255, "syncFrequency": "x", "clusterDNS": ["x", 1]}
    assert [path for path, _ in versions.problems(overrides, LATEST)] == [
        "clusterDNS[0]", "clusterDNS[1]", "maxPod", "readOnlyPort", "syncFrequency",
    ]  # fmt: skip


def test_of_a_layer_nothing_is_said_that_another_may_complete() -> None:
    overrides = {"imageGCHighThresholdPercent": 70, "cpuCFSQuotaPeriod": "50ms"}
    assert list(versions.problems(overrides, "1.35", partial=True)) == []
    assert len(list(versions.problems(overrides, "1.35"))) == 2


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


@pytest.mark.parametrize("path", PROTECTED)
def test_a_protected_field_changes_only_when_the_user_says_so(path: str) -> None:
    value: Any = {"*bool": False, "bool": False, "int32": 10255}.get(
        table.fields(LATEST)[path].type, "10.0.0.1"
    )
    if path == "authentication.anonymous.enabled":
        value = True
    if path == "authorization.mode":
        value = "AlwaysAllow"
    ((where, problem),) = versions.problems(nested(path, value), LATEST)
    assert where == path
    assert PROTECTED[path].reason in problem
    assert f"list {path} in unsafe" in problem
    assert list(versions.problems(nested(path, value), LATEST, [path])) == []


@pytest.mark.parametrize("path", FIXED)
def test_some_fields_never_change(path: str) -> None:
    for unsafe in ([], [path]):
        said = dict(versions.problems(nested(path, "x"), LATEST, unsafe))
        assert FIXED[path].reason in said[path]


def test_what_is_not_protected_is_not_unsafe() -> None:
    ((path, problem),) = versions.problems({}, LATEST, ["maxPods"])
    assert path == "maxPods"
    assert problem.startswith(
        "is not a protected field; those are address, authentication.anonymous"
    )


def test_an_unknown_version_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"the version '1.23' is not one of 1.24, "):
        list(versions.problems({"maxPods": 1}, "1.23"))


WARNINGS: dict[str, tuple[Mapping[str, Any], str, str, str]] = {
    "no effect": ({"iptablesDropBit": 3}, "1.28", "iptablesDropBit", "has no effect since 1.28"),
    "of no effect to anybody": ({"hairpinMode": "none"}, "1.24", "hairpinMode", "has no effect"),
    "the default": ({"syncFrequency": "60s"}, "1.24", "syncFrequency", "equals the default of"),
    "no pods": ({"maxPods": 0}, LATEST, "maxPods",
                       "0 counts as not set, so the default 110 is used"),
    "zero for unset": ({"maxOpenFiles": 0}, LATEST, "maxOpenFiles",
                       "0 counts as not set, so the default 1000000 is used"),
    "no time for unset": ({"syncFrequency": "0m"}, LATEST, "syncFrequency",
                          "0m counts as not set, so the default 1m0s is used"),
    "no limit": ({"eventRecordQPS": 0}, "1.36", "eventRecordQPS", "0 means the client library's"),
    "an unknown gate": ({"featureGates": {"NodeSwpa": True}}, LATEST, "featureGates[NodeSwpa]",
                        "is not a gate of k8s.io/kubernetes 1.37; did you mean NodeSwap?"),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "version", "path", "said"), WARNINGS.values(), ids=WARNINGS)
def test_a_setting_that_does_not_do_what_it_says_is_reported(
    overrides: Mapping[str, Any], version: str, path: str, said: str
) -> None:
    ((where, warning),) = versions.warnings(overrides, version)
    assert where == path
    assert warning.startswith(said)


def test_no_limit_means_none_since_1_37() -> None:
    assert list(versions.warnings({"eventRecordQPS": 0}, "1.37")) == []


def test_a_bit_had_an_effect_before_1_28() -> None:
    assert list(versions.warnings({"iptablesDropBit": 3}, "1.27")) == []


def test_signals_that_are_not_named_are_reported() -> None:
    said = dict(versions.warnings({"evictionHard": {"memory.available": "1Gi"}}, LATEST))
    assert said.keys() == {
        f"evictionHard[{name}]"
        for name in ("imagefs.available", "imagefs.inodesFree", "nodefs.available",
                     "nodefs.inodesFree")
    }  # fmt: skip


CLUSTER = Cluster(name="c", server="https://10.0.0.1:6443", ca_certificate="")


def rendered(version: str, **kubelet: Any) -> dict[str, Any]:
    node = Node(name="n", addresses=("10.0.0.2",), version=version, kubelet=kubelet)
    return kubelet_configuration(CLUSTER, node)


@pytest.mark.parametrize("version", versions.SUPPORTED_VERSIONS)
def test_a_version_gets_only_fields_that_it_knows(version: str) -> None:
    known = versions.fields(version)
    node = Node(name="n", addresses=("10.0.0.2",), version=version, taints=("a=b:NoSchedule",))
    assert kubelet_configuration(CLUSTER, node).keys() <= known.keys()
    listed = " ".join(arguments(node))
    assert ("--container-runtime-endpoint=unix:" in listed) == (version < "1.27")
    for name in (argument.partition("=")[0].lstrip("-") for argument in arguments(node)):
        assert name in versions.flags(version)


@pytest.mark.parametrize("version", ["1.24", "1.28", "1.31", "1.35", "1.37"])
def test_one_nodes_files_are_right_for_each_version(version: str) -> None:
    node = Node(
        name="node-1",
        addresses=("10.0.0.2", "fd00::2"),
        version=version,
        kubelet={
            "eventRecordQPS": 50,
            "evictionHard": {"memory.available": "500Mi"},
            "evictionSoft": {"memory.available": "10%"},
            "evictionSoftGracePeriod": {"memory.available": "1m30s"},
            "memorySwap": {"swapBehavior": "LimitedSwap"},
            "featureGates": {"NodeSwap": True},
            "shutdownGracePeriod": "30s",
            "shutdownGracePeriodCriticalPods": "10s",
        },
        flags={"v": "2"},
        taints=("dedicated=db:NoSchedule",),
    )
    files = [
        f for f in node_files.files(CLUSTER, node) if f.path in (PATHS.config, PATHS.arguments)
    ]
    rendered = "".join(f"# {file.path}\n{file.content}" for file in files)
    golden = GOLDEN / f"{version}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_an_eviction_signal_overrides_the_versions_own() -> None:
    given = {"memory.available": "1Gi", "nodefs.inodesFree": None}
    assert rendered("1.37", evictionHard=given)["evictionHard"] == {
        "imagefs.available": "15%",
        "imagefs.inodesFree": "5%",
        "memory.available": "1Gi",
        "nodefs.available": "10%",
    }
    assert "imagefs.inodesFree" not in rendered("1.29", evictionHard=given)["evictionHard"]


def test_a_kubelet_that_merges_eviction_signals_is_left_to_it() -> None:
    given = {"memory.available": "1Gi"}
    written = rendered("1.37", evictionHard=given, mergeDefaultEvictionSettings=True)
    assert written["evictionHard"] == given


def test_a_default_that_hangs_on_another_field_is_written() -> None:
    alone = rendered("1.37", nodeStatusUpdateFrequency="10s")
    assert alone["nodeStatusUpdateFrequency"] == "10s"
    both = rendered("1.37", nodeStatusUpdateFrequency="20s", nodeStatusReportFrequency="5m")
    assert both["nodeStatusReportFrequency"] == "5m"
    defaults = rendered("1.37", nodeStatusUpdateFrequency="10s", nodeStatusReportFrequency="5m0s")
    assert not {"nodeStatusUpdateFrequency", "nodeStatusReportFrequency"} & defaults.keys()


def test_a_gate_is_off_before_it_comes_and_on_after_it_goes() -> None:
    assert not versions.gate_is_on("SystemdWatchdog", "1.31")
    assert versions.gate_is_on("SystemdWatchdog", "1.32")
    assert not versions.gate_is_on("SeccompDefault", "1.24")
    assert versions.gate_is_on("SeccompDefault", LATEST)
    assert not versions.gate_is_on("NoSuchGate", LATEST)


DURATIONS = {"0": 0, "1m30s": 90, "1.5h": 5400, ".5s": 0.5, "-2s": -2, "+1s": 1, "100ms": 0.1,
             "1h0m0s": 3600, "1us": 1e-6, "1\u00b5s": 1e-6}  # fmt: skip


@pytest.mark.parametrize("text", DURATIONS)
def test_a_duration_is_read_as_go_reads_it(text: str) -> None:
    assert quantities.duration_ns(text) == round(DURATIONS[text] * 10**9)


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "1d", "1s1", "1m 30s", "9999999h", "1s\n"])
def test_what_go_takes_for_no_duration_is_none(text: str) -> None:
    assert quantities.duration_ns(text) is None


QUANTITIES = {"1": 1, "1Ki": 1024, "1k": 1000, "500m": 0.5, "1e3": 1000, "1E": 1e18, "1Ei": 2**60,
              "-1": -1, ".5": 0.5, "2E3": 2000}  # fmt: skip


@pytest.mark.parametrize("text", QUANTITIES)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str) -> None:
    quantity = quantities.quantity(text)
    assert quantity is not None
    assert float(quantity) == QUANTITIES[text]


@pytest.mark.parametrize("text", ["", "1KB", "1K", "1 Gi", "Gi", "1ki", "1.2.3", "e3", "1Gi\n"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert quantities.quantity(text) is None


leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner)
)
field_names = st.sampled_from(sorted(path for path in versions.fields(LATEST) if "." not in path))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(field_names, anything, max_size=3))
def test_any_overrides_are_judged_without_an_error(overrides: dict[str, Any]) -> None:
    found = list(versions.problems(overrides, LATEST))
    assert all(path and problem for path, problem in found)
    if not found:
        list(versions.warnings(overrides, LATEST))
        versions.without_defaults(overrides, LATEST)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("this is s3cret", "a string; give a list"),
        (["x", None], "is null; give a string"),
    ],
)
def test_a_header_that_may_hold_a_password_is_not_quoted(value: object, message: str) -> None:
    overrides = {"staticPodURLHeader": {"Authorization": value}}
    assert [problem for _, problem in versions.problems(overrides, LATEST)] == [message]


@pytest.mark.parametrize("version", versions.SUPPORTED_VERSIONS)
def test_the_defaults_of_a_version_are_right_and_left_out(version: str) -> None:
    for path, field in versions.fields(version).items():
        if field.default is None or path in FIXED or path in PROTECTED or "flushFrequency" in path:
            continue
        overrides = nested(path, field.default)
        assert list(versions.problems(overrides, version, partial=True)) == []
        if path != "nodeStatusUpdateFrequency":
            assert versions.without_defaults(overrides, version) == {}
