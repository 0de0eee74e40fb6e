"""What a kubelet takes as a flag's value, read as Go reads it.

A kubelet with another value ends with "invalid argument". Sources: cmd/kubelet/app/options for the
kind of each flag, cAdvisor's packages manager and storage for its own, component-base logs/api/v1
for v and vmodule, and klog for those that kubelets had until 1.25. Their `Set` functions are those
of github.com/spf13/pflag and Go's package flag, which are the same in all versions.
"""

import re
from collections.abc import Callable, Mapping

from node_files.versions import quantities

# strconv.ParseBool
TRUE = ("1", "t", "T", "TRUE", "true", "True")
BOOLEANS = (*TRUE, "0", "f", "F", "FALSE", "false", "False")
# strconv.ParseInt with base 0: an underscore may stand between digits, and after the prefix.
_BASES = (
    (16, re.compile(r"\A0[xX]((?:_?[0-9a-fA-F])+)\Z")),
    (2, re.compile(r"\A0[bB]((?:_?[01])+)\Z")),
    (8, re.compile(r"\A0[oO]?((?:_?[0-7])+)\Z")),
    (10, re.compile(r"\A(0|[1-9](?:_?[0-9])*)\Z")),
)
_LONGEST = 100  # characters of a number, all of its zeros with it
_DIGITS = re.compile(r"\A[0-9]{1,100}\Z")
_DECIMAL = re.compile(r"\A[+-]?[0-9]{1,100}\Z")
_SEVERITIES = ("INFO", "WARNING", "ERROR", "FATAL")


def integer(text: str) -> int | None:
    """Return a whole number as Go writes it in source, or None if the text is not one."""
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    for base, form in _BASES:
        match = form.match(digits) if len(text) <= _LONGEST else None
        if match:
            number = int(match[1].replace("_", ""), base)
            return -number if sign == "-" else number
    return None


def value_problem(name: str, value: str) -> str | None:
    """Return why a kubelet does not start with a flag's value, or None. All text fits the rest."""
    return _CHECKS[name](value) if name in _CHECKS else None


def _boolean(text: str) -> str | None:
    return None if text in BOOLEANS else f'"{text}" is neither true nor false'


def _duration(text: str) -> str | None:
    if quantities.duration_ns(text) is None:
        return f'"{text}" is not a duration; write one such as 30s, 1m30s or 2h'
    return None


def _not_negative(text: str) -> str | None:
    given = quantities.duration_ns(text)
    return f'"{text}" is negative' if given is not None and given < 0 else _duration(text)


def _positive(text: str) -> str | None:
    # time.NewTicker panics otherwise.
    given = quantities.duration_ns(text)
    return f'"{text}" is not more than 0s' if given is not None and given <= 0 else _duration(text)


def _whole(bits: int, *, signed: bool = True) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        given = integer(text)
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        if given is None or not (signed or text[:1].isdigit()):
            return f'"{text}" is not a whole number'
        return None if least <= given <= most else f"{text} is out of range"

    return check


def _verbosity(text: str) -> str | None:
    if _DIGITS.match(text) and int(text) < 2**31:
        return None
    return f'"{text}" is not a verbosity such as 4'


def _modules(text: str) -> str | None:
    for part in filter(None, text.split(",")):
        pattern, _, level = part.partition("=")
        if not pattern or _verbosity(level):
            return f'"{part}" is not a file pattern and a verbosity such as kubelet*=4'
    return None


def _severity(text: str) -> str | None:
    number = _DECIMAL.match(text) and -(2**31) <= int(text) < 2**31
    if number or text.upper() in _SEVERITIES:
        return None
    return f'"{text}" is not one of {", ".join(_SEVERITIES)}'


def _trace(text: str) -> str | None:
    file, colon, line = text.partition(":")
    right = "." in file and _DECIMAL.match(line) and 0 < int(line) < 2**63
    return None if right or not (file or colon) else f'"{text}" is not such as file.go:234'


_KINDS: Mapping[Callable[[str], str | None], tuple[str, ...]] = {
    _boolean: (
        *("enable-load-reader", "exit-on-lock-contention", "fail-cgroupv1"),
        *("experimental-allocatable-ignore-eviction", "keep-terminated-pod-volumes"),
        *("log-cadvisor-usage", "register-schedulable", "seccomp-default", "storage-driver-secure"),
        *("add-dir-header", "alsologtostderr", "logtostderr", "one-output", "skip-headers"),
        "skip-log-headers",
    ),
    _duration: ("housekeeping-interval", "storage-driver-buffer-duration"),
    _not_negative: ("minimum-container-ttl-duration",),  # NewContainerGC
    _positive: ("global-housekeeping-interval", "log-flush-frequency"),
    _whole(32): ("maximum-dead-containers", "maximum-dead-containers-per-container"),
    _whole(64): ("application-metrics-count-limit",),
    _whole(64, signed=False): ("log-file-max-size",),
    _verbosity: ("v",),
    _modules: ("vmodule",),
    _severity: ("stderrthreshold",),
    _trace: ("log-backtrace-at",),
}
_CHECKS = {name: check for check, names in _KINDS.items() for name in names}
