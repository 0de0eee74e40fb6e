"""Odd values for each field of a KubeletConfiguration, of which a kubelet takes some.

They are made from the table of fields, by type, from `odd_texts` for what is read as text, and
from `odd_gates` for what needs a feature gate.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from node_files import versions
from node_files.versions import rules
from tests.contract import odd_gates
from tests.contract import odd_texts as texts

BY_TYPE: Mapping[str, tuple[Any, ...]] = {
    "bool": (True, False, None, "true", 1),
    "int": (
        *(-(2**63) - 1, -(2**31) - 1, -(2**31), -1001, -2, -1, 0, 1, 2, 3, 31, 32, 50, 90, 100),
        *(101, 1000, 1001, 10**6, 10**6 + 1, 65535, 65536, 2 * 65536, 2**31 - 1, 2**31),
        *(2**32 - 1, 2**32, 2**32 + 65536, 2**63 - 1, 2**63, 1.5, 1.0, "1", True, None),
    ),
    "float": (-1, 0, 0.5, 0.9, 1, 1.0, 1.01, 2, "0.5", None),
    "duration": (
        *("0", "0s", "-0s", "-1s", "-1ns", "1ns", "1ms", "999us", "10ms", "1s", "999ms", "2s"),
        *("3s", "50ms", "1m", "2m", "3m", "5m", "5m1s", "300s", "301s", "1h30m", "1.5h", "99999h"),
        *("9999999h", "", "1", "1d", "s", " 1s", "+1s", "1s ", "1M", 0, 1, -1, 10**9, 1.5, None),
    ),
    "string": (
        *("", "x", " ", "0", "none", "None", "\u00e9", "a/b", "/", "/a", "/a/", "a,b", "a=b", 1),
        None,
    ),
    "quantity": ("0", "1", "-1", "1Mi", "1.5Mi", "x", "", 1, -1, 1.5, None),
}  # fmt: skip
NOTHING: tuple[Any, ...] = ({}, [], "x", [""], {"": ""}, ["a", "a"], [None], None)
OPTIONS = {
    "cpuManagerPolicyOptions": {"cpuManagerPolicy": "static", "kubeReserved": {"cpu": "1"}},
    "topologyManagerPolicyOptions": {"topologyManagerPolicy": "restricted"},
}
TEXTS = {
    "containerLogMaxSize": texts.SIZES,
    "podLogsDir": texts.PATHS,
    "reservedSystemCPUs": texts.CPUS,
    "showHiddenMetricsForVersion": texts.VERSIONS,
    "tracing.endpoint": texts.ENDPOINTS,
}


def cases(version: str) -> dict[str, dict[str, Any]]:
    """Return configurations by name, each with one thing that is odd."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in _values(version):
        found[f"{path}: {str(value)[:60]!r} ({type(value).__name__})"] = _nested(path, value)
    for path, beside in OPTIONS.items():
        for name in texts.OPTION_NAMES:
            for value in texts.OPTION_VALUES:
                found[f"{path}[{name}]: {value!r}"] = {**beside, path: {name: value}}
    for name, given in (*_others(), *odd_gates.cases(version)):
        found[name] = given
    return found


def _values(version: str) -> Iterator[tuple[str, Any]]:
    for path, field in versions.fields(version).items():
        if "[]" in path:
            continue
        kind = field.type.lstrip("*")
        for name, values in BY_TYPE.items():
            if kind.startswith(name) or (name == "int" and kind.startswith("uint")):
                yield from ((path, value) for value in values)
        enumeration = (*rules.ENUMERATIONS.get(path, ()), *field.values)
        for value in enumeration:
            yield from ((path, text) for text in (value, value.upper(), value.lower(), f"{value} "))
        yield from ((path, value) for value in TEXTS.get(path, ()))
        if kind in ("struct", "[]string", "[]struct", "[]int32") or kind.startswith("map"):
            yield from ((path, value) for value in NOTHING)
    yield from _lists_and_maps(version)


def _lists_and_maps(version: str) -> Iterator[tuple[str, Any]]:
    yield from (("allowedUnsafeSysctls", [name]) for name in texts.SYSCTLS)
    for path in ("evictionHard", "evictionMinimumReclaim"):
        yield from ((path, {signal: "5%"}) for signal in texts.SIGNALS)
        yield from ((path, {"nodefs.available": text}) for text in texts.THRESHOLDS)
        yield from ((path, {"memory.available": text}) for text in texts.SIZES)
    for path in ("kubeReserved", "systemReserved"):
        yield from ((path, {"memory": text}) for text in texts.AMOUNTS)
        names = ("cpu", "pid", "pids", "ephemeral-storage", "storage", "hugepages-2Mi", "CPU", "")
        yield from ((path, {name: "1"}) for name in names)
    for choice in rules.ENUMERATIONS["enforceNodeAllocatable[]"]:
        yield "enforceNodeAllocatable", [choice]
        yield "enforceNodeAllocatable", [choice, "pods"]
    suites = (*rules.ENUMERATIONS["tlsCipherSuites[]"], "ECDHE-RSA-AES128-GCM-SHA256", "")
    yield from (("tlsCipherSuites", [suite]) for suite in suites)
    yield from (("clusterDNS", [text]) for text in ("10.0.0.1", "::1", "fd00::a", "1.2.3", "", "x"))
    yield from (("qosReserved", {name: "50%"}) for name in ("memory", "cpu", ""))
    yield from (
        ("featureGates", {name: on}) for name in versions.gates(version) for on in (True, False)
    )
    gates = (*rules.OTHER_GATES, "APISelfSubjectReview", "CSIMigration", "RetryGenerateName")
    yield from (("featureGates", {name: on}) for name in gates for on in (True, False))


def _others() -> Iterator[tuple[str, dict[str, Any]]]:
    for text in texts.THRESHOLDS:
        grace = {"memory.available": "1m"}
        soft = {"evictionSoft": {"memory.available": text}, "evictionSoftGracePeriod": grace}
        yield f"evictionSoft: {text!r}", soft
    for text in texts.GRACES:
        soft = {"evictionSoft": {"memory.available": "5%"}}
        yield f"a grace of {text!r}", soft | {"evictionSoftGracePeriod": {"memory.available": text}}
    yield "a grace of nothing", {"evictionSoftGracePeriod": {"memory.available": "1m"}}
    for text in texts.SHARES:
        gate = {"featureGates": {"QOSReserved": True}}
        yield f"qosReserved: {text!r}", gate | {"qosReserved": {"memory": text}}
    for text in texts.POD_SYSCTLS:
        gate = {"featureGates": {"DefaultPodSysctls": True}}
        yield f"defaultPodSysctls: {text!r}", gate | {"defaultPodSysctls": {text: "1"}}
    twice = {"net.core.x": "1", "net/core/x": "2"}
    yield "a sysctl by two names", gate | {"defaultPodSysctls": twice}
    for text in texts.IMAGES:
        policy = {"imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages"}
        yield f"an image {text!r}", policy | {"preloadedImagesVerificationAllowlist": [text]}
    for factor in (0.5, 0.9, 1.0, 0, 1.1):
        for on in (True, False):
            gates = {"featureGates": {"MemoryQoS": on}}
            yield f"a factor of {factor}, {on}", gates | {"memoryThrottlingFactor": factor}
    yield "a policy of memory", {"memoryReservationPolicy": "TieredReservation"}
    for least, most in (("1m", "2m"), ("2m", "1m"), ("1m", "1m"), ("0s", "1m"), ("0s", "2m1s")):
        yield f"ages {least} {most}", {"imageMinimumGCAge": least, "imageMaximumGCAge": most}
    for total, part in (
        ("30s", "10s"),
        ("10s", "30s"),
        ("0s", "10s"),
        ("1s", "1s"),
        ("1s", "500ms"),
    ):
        periods = {"shutdownGracePeriod": total, "shutdownGracePeriodCriticalPods": part}
        yield f"shutdown {total} {part}", periods
    for low, high in ((80, 85), (85, 85), (0, 100), (0, 0), (100, 100)):
        limits = {"imageGCLowThresholdPercent": low, "imageGCHighThresholdPercent": high}
        yield f"limits {low} {high}", limits
    yield from _numbers()
    yield from _memory()


def _numbers() -> Iterator[tuple[str, dict[str, Any]]]:
    for masquerade, drop in ((15, 15), (14, 15), (15, 14), (31, 31)):
        for chains in (True, False):
            bits = {"iptablesMasqueradeBit": masquerade, "iptablesDropBit": drop}
            yield f"bits {masquerade} {drop}, {chains}", bits | {"makeIPTablesUtilChains": chains}
    for text in ("999us", "1us", "999ns", "1s", "1001ms", "100ms"):
        gate = {"featureGates": {"CustomCPUCFSQuotaPeriod": True}}
        yield f"a period of {text}", gate | {"cpuCFSQuotaPeriod": text}
    for most, ids in ((65535, 65536), (65536, 65536), (40000, 131072), (110, 2**26), (63, 2**26)):
        pods = {"maxPods": most}
        yield f"{most} pods of {ids} IDs", pods | {"userNamespaces": {"idsPerPod": ids}}


def _memory() -> Iterator[tuple[str, dict[str, Any]]]:
    reserved = {"memoryManagerPolicy": "Static", "kubeReserved": {"memory": "1Gi"}}
    for text in ("1124Mi", "1Gi", "0", "-1", "x", 1178599424, "1178599424", "1150976Ki"):
        entry = [{"numaNode": 0, "limits": {"memory": text}}]
        yield f"memory {text!r}", reserved | {"reservedMemory": entry}
    for numa, limits in (
        (1, {"memory": "1124Mi"}), (2, {"memory": "1124Mi"}), (-1, {"memory": "1124Mi"}),
        (0, {"memory": "1124Mi", "hugepages-2Mi": "4Mi"}), (0, {"cpu": "1"}), (0, {}),
        (0, {"hugepages-": "1"}),
    ):  # fmt: skip
        yield (
            f"memory at {numa} {limits}",
            reserved | {"reservedMemory": [{"numaNode": numa, "limits": limits}]},
        )
    twice = [{"numaNode": 0, "limits": {"memory": "562Mi"}}] * 2
    yield "memory twice", reserved | {"reservedMemory": twice}
    apart = [{"numaNode": node, "limits": {"memory": "562Mi"}} for node in (0, 1)]
    yield "memory apart", reserved | {"reservedMemory": apart}
    yield "memory for nobody", {"reservedMemory": apart}


def _nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)
