"""Whether the kubelet accepts a value of the right type, by the lists in `rules`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node_files.versions import quantities, rules, sysctls, table, texts
from node_files.versions.nearest import hint

Problem = tuple[str, str]  # what to append to the path, and the message

_LIMITS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1)}
_LISTED = 8  # how many values of a large enumeration a message lists
_ID_BLOCK = 65536  # pkg/kubelet/apis/config/validation/validation_linux.go


def integer_problem(path: str, kind: str, value: int) -> str | None:
    """Return what is wrong with an integer, or None."""
    low, high = _LIMITS.get(kind, _LIMITS["int64"])
    least, most = rules.INTEGERS.get(path, (low, high))
    most = high if most is None else most
    if least <= value <= most:
        return None
    return f"{value} is out of range; give {least} to {most}"


def duration_problem(path: str, text: str) -> str | None:
    """Return what is wrong with a duration, or None."""
    given = quantities.duration_ns(text)
    if given is None:
        return f'"{text}" is not a duration; write one such as 30s, 1m30s or 2h'
    least, most = rules.DURATIONS.get(path, (0, None))
    if given < least or (most is not None and given > most):
        upper = "" if most is None else f" and at most {most / 10**9:g}s"
        return f'"{text}" is out of range; give at least {least / 10**9:g}s{upper}'
    if path in rules.ZERO_OR_A_SECOND and 0 < given < rules.SECOND:
        return f'"{text}" is out of range; give 0s or at least 1s'
    return None


def string_problem(path: str, text: str, constants: tuple[str, ...], version: str) -> str | None:
    """Return what is wrong with a string, or None."""
    allowed = rules.ENUMERATIONS.get(path, constants)
    if allowed:
        if not text and not path.endswith("[]"):
            return None  # not set
        return _choice_problem(path, text, allowed, version)
    if path == "allowedUnsafeSysctls[]":
        return sysctls.problem(text, version)
    if path == "showHiddenMetricsForVersion":
        previous = f"1.{table.number(version) - 1}"
        wrong = text not in ("", previous)
        return f'"{text}" is not {previous}, the only one that {version} takes' if wrong else None
    if path == texts.IMAGES and texts.needs_registry(text) and table.number(version) < 36:
        return f'"{text}" has no registry, which {version} asks for, such as docker.io/library'
    check = texts.CHECKS.get(path)
    return check(text) if check and (text or path == texts.IMAGES) else None


def map_problems(path: str, value: Mapping[str, Any], version: str) -> Iterator[Problem]:
    """Yield what is wrong with the names and values of a map; the values have the right type."""
    check = _MAPS.get(path)
    for name, text in value.items():
        problem = check(name, text, version) if check and text is not None else None
        if problem:
            yield f"[{name}]", problem


def _choice_problem(path: str, text: str, allowed: tuple[str, ...], version: str) -> str | None:
    at = table.number(version)
    spans = rules.ENUMERATION_SPANS
    there = []
    for choice in allowed:
        since, until = spans.get((path, choice), ("1.0", "1.99"))
        if table.number(since) <= at <= table.number(until):
            there.append(choice)
    if text in there:
        return None
    if text in allowed:
        since, until = spans[(path, text)]
        return f'"{text}" does not exist in {version}; it exists from {since} to {until}'
    listed = ", ".join(there[:_LISTED])
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    return f'"{text}" is not one of its values{hint(text, there) or f"; those are {listed}{more}"}'


def _signal(name: str, version: str) -> str | None:
    since = rules.EVICTION_SIGNALS.get(name)
    if since is None:
        return f"is not an eviction signal{hint(name, rules.EVICTION_SIGNALS)}"
    if table.number(version) < table.number(since):
        return f"is not an eviction signal in {version}; it was added in {since}"
    return None


def _amount(text: str) -> str | None:
    share = quantities.percentage(text)
    if share is not None:
        return None if share <= 100 else f'"{text}" is more than 100%'
    given = quantities.quantity(text)
    if given is None or given <= 0:
        return f'"{text}" is neither a positive quantity such as 100Mi nor a percentage such as 10%'
    return None


def _threshold(name: str, text: str, version: str) -> str | None:
    return _signal(name, version) or _amount(text)


def _reclaim(name: str, text: str, version: str) -> str | None:
    # parseMinimumReclaims in pkg/kubelet/eviction/helpers.go
    problem = _signal(name, version)
    given = quantities.quantity(text)
    if problem or quantities.percentage(text) or (given is not None and given >= 0):
        return problem
    if text.endswith("%"):
        return f'"{text}" is not a positive percentage; leave it out'
    return _amount(text)


def _grace(name: str, text: str, version: str) -> str | None:
    return _signal(name, version) or duration_problem("", text)


def _reserved(name: str, text: str, _version: str) -> str | None:
    if name not in rules.RESERVABLE:
        near = hint(name, rules.RESERVABLE) or f"; those are {', '.join(rules.RESERVABLE)}"
        return f"can't be reserved{near}"
    given = quantities.quantity(text)
    if given is None or given < 0:
        return f'"{text}" is not a quantity such as 500m or 1Gi'
    return None


def _memory(name: str, amount: Any, _version: str) -> str | None:
    # validateReservedMemoryConfiguration in validation_reserved_memory.go
    if name != "memory" and not name.startswith("hugepages-"):
        return "is not a kind of memory; those are memory and hugepages-<size>"
    given = quantities.quantity(str(amount))
    return None if given is not None and given > 0 else f"{amount} is not a positive quantity"


def _gate(name: str, value: bool, version: str) -> str | None:
    if unknown := unknown_gate(name, version):
        return f"{unknown}, and a kubelet does not start with a gate that it does not know"
    gate = table.gates(version).get(name)
    locked = gate and (gate.locked or name in rules.LOCKED_GATES)
    if gate and locked and gate.default != value:
        state = "on" if gate.default else "off"
        return f"is locked to {state} in {version}; with another value the kubelet does not start"
    return None


def unknown_gate(name: str, version: str) -> str | None:
    """Return why a version does not know a gate that others have; None: nothing is known of it."""
    if name in table.gates(version):
        return None
    other = rules.OTHER_GATES.get(name)
    span = (other, version) if other else table.span("gates", name)
    if span is None:
        return None
    if table.number(version) < table.number(span[0]):
        return f"was added in {span[0]}"
    return None if other else f"was removed after {span[1]}"


def _share(name: str, text: str, _version: str) -> str | None:
    # ParseQOSReserved in pkg/kubelet/cm
    if name != "memory":
        return "can't be reserved; only memory can"
    if not texts.WHOLE_SHARE.match(text) or int(text.rstrip("%")) > 100:
        return f'"{text}" is not a whole percentage from 0% to 100%'
    return None


def _pod_sysctl(name: str, _text: str, version: str) -> str | None:
    return sysctls.problem(name, version, pattern=False)


_MAPS: Mapping[str, Callable[[str, Any, str], str | None]] = {
    "defaultPodSysctls": _pod_sysctl,
    "evictionHard": _threshold,
    "evictionMinimumReclaim": _reclaim,
    "evictionSoft": _threshold,
    "evictionSoftGracePeriod": _grace,
    "featureGates": _gate,
    "kubeReserved": _reserved,
    "qosReserved": _share,
    "reservedMemory[].limits": _memory,
    "systemReserved": _reserved,
}


def block_problem(path: str, value: int) -> str | None:
    """Return what is wrong with a number that must fill whole blocks of IDs, or None."""
    if path == "userNamespaces.idsPerPod" and value % _ID_BLOCK:
        return f"{value} is not a multiple of {_ID_BLOCK}"
    return None
