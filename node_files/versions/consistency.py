"""Whether a whole configuration is consistent: fields that contradict or need one another.

Source: as in `rules`. It checks the overrides merged over the version's defaults.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node_files.versions import quantities, rules, sysctls, table

Problem = tuple[str, str]


class Configuration:
    """Overrides merged over a version's defaults, read by path."""

    def __init__(self, overrides: Mapping[str, Any], version: str) -> None:
        self.overrides = overrides
        self.version = version

    def given(self, path: str) -> Any:
        """Return the override at a path; None if there is none."""
        value: Any = self.overrides
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def __getitem__(self, path: str) -> Any:
        """Return the override at a path, or the version's default."""
        given = self.given(path)
        field = table.fields(self.version).get(path)
        return given if given is not None or field is None else field.default

    def gate_is_on(self, name: str) -> bool:
        """Return whether a gate is on, with the overrides' featureGates."""
        return table.gate_is_on(name, self.version, self.given("featureGates"))

    def seconds(self, path: str) -> float:
        """Return a duration in seconds; the value at the path must be one."""
        return (quantities.duration_ns(self[path] or "0s") or 0) / rules.SECOND


def inconsistencies(overrides: Mapping[str, Any], version: str) -> Iterator[Problem]:
    """Yield the path and the problem of what does not fit; each value must be right by itself."""
    configuration = Configuration(overrides, version)
    yield from _missing_gates(configuration)
    for rule in _RULES:
        yield from rule(configuration)


def _missing_gates(c: Configuration) -> Iterator[Problem]:
    set_by_user = c.given("featureGates") or {}
    for path, name in rules.GATED.items():
        given = c.given(path)
        known = name in table.gates(c.version)
        if given is None or not known or given in ([], False, "") or c.gate_is_on(name):
            continue
        field = table.fields(c.version)[path]
        nothing = given == {} and not field.type.startswith("*")
        if nothing or same(given, field.default, field.type):
            continue
        usual = "" if table.gate_setter(name, c.version, set_by_user) else " by default"
        yield (
            path,
            f"needs the feature gate {name}, which is off{usual} in {c.version}; set"
            f" featureGates.{name} to true or leave {path} out",
        )


def _gates_without_others(c: Configuration) -> Iterator[Problem]:
    # Validate in component-base featuregate/feature_gate.go, since 1.35
    given, told = c.given("featureGates") or {}, set()
    for name, gate in table.gates(c.version).items():
        off = next((other for other in gate.needs if not c.gate_is_on(other)), None)
        if off is None or not c.gate_is_on(name):
            continue
        setters = [table.gate_setter(each, c.version, given) for each in (name, off)]
        if setters[0] and (setters[0], off) not in told:
            switches = "" if setters[0] == name else f"switches {name} on, which "
            problem = f"{switches}needs {off}, which is off; set {off} to true too"
            yield f"featureGates[{setters[0]}]", problem
        elif setters[1] and not setters[0] and (setters[1], name) not in told:
            switches = "" if setters[1] == off else f"switches {off} off, which "
            problem = f"{switches}is needed by {name}, which is on; set {name} to false too"
            yield f"featureGates[{setters[1]}]", problem
        told |= {(setters[0], off), (setters[1], name)}


def _memory_throttling(c: Configuration) -> Iterator[Problem]:
    # Since 1.37 the kubelet takes without its gate only what was the default until then.
    path, name, former = "memoryThrottlingFactor", "MemoryQoS", 0.9
    old = table.number(c.version) < table.number("1.37")
    if c.given(path) in (None, former) or c.gate_is_on(name) or old:
        return
    yield path, f"needs the feature gate {name}, which is off; set it to true or leave {path} out"


def _gates_of_ours(c: Configuration) -> Iterator[Problem]:
    # The fields that the program sets must not lose their gates.
    for path in ("serverTLSBootstrap", "seccompDefault"):
        gate = rules.GATED[path]
        setter = table.gate_setter(gate, c.version, c.given("featureGates"))
        if not setter or c.gate_is_on(gate) or c.given(path) is not None:
            continue
        if table.gate_is_on(gate, c.version):
            off = "is off" if setter == gate else f"switches {gate} off"
            yield f"featureGates[{setter}]", f"{off}, but {path}, which the program sets, needs it"


def _image_collection(c: Configuration) -> Iterator[Problem]:
    low, high = "imageGCLowThresholdPercent", "imageGCHighThresholdPercent"
    if c[low] >= c[high]:
        path = low if c.given(low) is not None else high
        yield path, f"makes {low} {c[low]}, which is not below {high} {c[high]}; set both"
    if c.seconds("imageMaximumGCAge") and c.seconds("imageMaximumGCAge") <= (
        c.seconds("imageMinimumGCAge") or 120
    ):
        yield "imageMaximumGCAge", "must be greater than imageMinimumGCAge, which is 2m by default"


def _image_pulls(c: Configuration) -> Iterator[Problem]:
    if c.given("serializeImagePulls") is True and (c["maxParallelImagePulls"] or 1) > 1:
        yield (
            "maxParallelImagePulls",
            "is greater than 1 although serializeImagePulls is true; leave one of the two out",
        )


def _shutdown(c: Configuration) -> Iterator[Problem]:
    total, critical = "shutdownGracePeriod", "shutdownGracePeriodCriticalPods"
    if c.seconds(critical) > c.seconds(total):
        yield critical, f"is longer than {total}, which includes it"
    if c["shutdownGracePeriodByPodPriority"] and (c.seconds(total) or c.seconds(critical)):
        yield "shutdownGracePeriodByPodPriority", f"can't be combined with {total}; set only one"


def _reservations(c: Configuration) -> Iterator[Problem]:
    enforced = c["enforceNodeAllocatable"] or []
    # Up to 1.30, even `none` counted as something to enforce, and each entry could be there twice.
    old = table.number(c.version) < table.number("1.31")
    kept = [entry for entry in enforced if old or entry != "none"]
    if c["cgroupsPerQOS"] is False and kept:
        yield (
            "cgroupsPerQOS",
            ("is false, so nothing can be enforced; set enforceNodeAllocatable to []"),
        )
    for entry in sorted(set(enforced)):
        if enforced.count(entry) > 1 and not old:
            yield "enforceNodeAllocatable", f"lists {entry} twice"
        owner, _, _ = entry.partition("-reserved")
        cgroup = f"{owner}ReservedCgroup"
        if owner in ("system", "kube") and not c[cgroup]:
            yield "enforceNodeAllocatable", f"lists {entry}, which needs {cgroup}"
    for owner in ("system", "kube"):
        if {f"{owner}-reserved", f"{owner}-reserved-compressible"} <= set(enforced):
            yield "enforceNodeAllocatable", f"lists both forms of {owner}-reserved; list only one"
        if c["reservedSystemCPUs"] and c[f"{owner}ReservedCgroup"]:
            yield "reservedSystemCPUs", f"can't be combined with {owner}ReservedCgroup"
    if len(enforced) > 1 and "none" in enforced:
        yield "enforceNodeAllocatable", "lists none beside other entries; list either"


def _cgroups(c: Configuration) -> Iterator[Problem]:
    if c["systemCgroups"] and not c["cgroupRoot"]:
        yield "systemCgroups", "needs cgroupRoot"


def _sysctls(c: Configuration) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in c["defaultPodSysctls"] or {}:
        first = seen.setdefault(sysctls.normalized(name), name)
        if first != name:
            yield f"defaultPodSysctls[{name}]", f"is the same as {first}; remove one of them"


def _logs(c: Configuration) -> Iterator[Problem]:
    if c["enableSystemLogQuery"] and c["enableSystemLogHandler"] is False:
        yield "enableSystemLogQuery", "needs enableSystemLogHandler, which is false"


def _logging(c: Configuration) -> Iterator[Problem]:
    # k8s.io/component-base logs/api/v1/options.go
    if c["logging.vmodule"] and c["logging.format"] != "text":
        yield (
            "logging.vmodule",
            f"works only with the text format, but logging.format is {c['logging.format']}",
        )
    gates = table.gates(c.version)
    gate = "LoggingBetaOptions"
    if c["logging.format"] == "json" and gate in gates and not c.gate_is_on(gate):
        yield "logging.format", f"json needs the feature gate {gate}, which is off; set it to true"
    if "LoggingAlphaOptions" not in gates or c.gate_is_on("LoggingAlphaOptions"):
        return
    for name in ("text", "json"):
        path = f"logging.options.{name}"
        size = quantities.quantity(str(c.given(f"{path}.infoBufferSize") or 0))
        if c.given(f"{path}.splitStream") or size:
            yield path, "needs the feature gate LoggingAlphaOptions; set it to true in featureGates"


def _soft_eviction(c: Configuration) -> Iterator[Problem]:
    # pkg/kubelet/eviction/helpers.go, ParseThresholdConfig
    grace = c["evictionSoftGracePeriod"] or {}
    for signal, threshold in (c["evictionSoft"] or {}).items():
        if threshold is not None and grace.get(signal) is None:
            yield f"evictionSoft[{signal}]", "needs a grace period in evictionSoftGracePeriod"


def _image_credentials(c: Configuration) -> Iterator[Problem]:
    policy = c["imagePullCredentialsVerificationPolicy"]
    if c["preloadedImagesVerificationAllowlist"] and policy != "NeverVerifyAllowlistedImages":
        yield (
            "preloadedImagesVerificationAllowlist",
            ("needs imagePullCredentialsVerificationPolicy NeverVerifyAllowlistedImages"),
        )


_RULES: tuple[Callable[[Configuration], Iterator[Problem]], ...] = (
    _gates_of_ours,
    _gates_without_others,
    _memory_throttling,
    _image_collection,
    _image_pulls,
    _shutdown,
    _reservations,
    _cgroups,
    _sysctls,
    _logs,
    _logging,
    _soft_eviction,
    _image_credentials,
)


def same(value: Any, default: Any, kind: str) -> bool:
    """Return whether a value of this type means the same as the default."""
    if "duration" in kind and isinstance(value, str) and isinstance(default, str):
        return quantities.duration_ns(value) == quantities.duration_ns(default)
    if kind.endswith("quantity") and default is not None and not isinstance(value, dict):
        return quantities.quantity(str(value)) == quantities.quantity(str(default))
    if isinstance(value, bool) or isinstance(default, bool):
        return value is default
    return bool(value == default)
