"""Durations and quantities, read as the kubelet reads them.

Sources: https://pkg.go.dev/time#ParseDuration and the grammar at
https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity.
"""

import re
from decimal import Decimal
from fractions import Fraction

_UNITS = {
    "ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3,
    "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_DURATION = re.compile(rf"\A([+-]?)((?:{_PART.pattern})+|0)\Z")
_SUFFIXES = {
    "": Fraction(1), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 10**3),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
    "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip
_QUANTITY = re.compile(rf"\A([+-]?)({_NUMBER})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{{1,3}})?\Z")
_PERCENTAGE = re.compile(rf"\A{_NUMBER}%\Z")
_LARGEST = 2**63 - 1


def duration_ns(text: str) -> int | None:
    """Return a duration such as 1m30s in nanoseconds, or None if the text is not one."""
    match = _DURATION.match(text)
    if not match:
        return None
    sign = -1 if match[1] == "-" else 1
    total = sum(Fraction(number) * _UNITS[unit] for number, unit in _PART.findall(match[2]))
    return sign * int(total) if total <= _LARGEST else None


def quantity(text: str) -> Fraction | None:
    """Return a quantity such as 100Mi or 0.5 as a number, or None if the text is not one."""
    match = _QUANTITY.match(text)
    if not match:
        return None
    suffix = match[3] or ""
    scale = (
        Fraction(Decimal(10) ** int(suffix[1:]))
        if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei"
        else _SUFFIXES[suffix]
    )
    return Fraction(match[2]) * scale * (-1 if match[1] == "-" else 1)


def is_whole(text: str) -> bool:
    """Return whether Go's `Quantity.AsInt64` has a value for a quantity.

    It has none for a power of two with a point, such as 1.5Mi, whatever that comes to.
    """
    match = _QUANTITY.match(text)
    if not match or ("." in match[2] and (match[3] or "").endswith("i")):
        return False
    value = quantity(text)
    return value is not None and value.denominator == 1 and abs(value) <= _LARGEST


def percentage(text: str) -> Fraction | None:
    """Return a percentage such as 10% as a number, or None if the text is not one."""
    return Fraction(text[:-1]) if _PERCENTAGE.match(text) else None
