"""Durations and quantities, read as the kubelet reads them.

Sources: https://pkg.go.dev/time#ParseDuration and the grammar at
https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity.
"""

import re
import struct
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
_PERCENTAGE = re.compile(rf"\A(\+?{_NUMBER}(?:[eE][+-]?[0-9]{{1,3}})?)%\Z")
_LARGEST = 2**63 - 1
_LONGEST = 1000  # characters; Python reads no number of many more
_MOST_DIGITS = 18  # maxInt64Factors
_EXPONENTS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def duration_ns(text: str) -> int | None:
    """Return a duration such as 1m30s in nanoseconds, or None if the text is not one."""
    match = _DURATION.match(text) if len(text) <= _LONGEST else None
    if not match:
        return None
    sign = -1 if match[1] == "-" else 1
    total = sum(Fraction(number) * _UNITS[unit] for number, unit in _PART.findall(match[2]))
    return sign * int(total) if total <= _LARGEST else None


def quantity(text: str) -> Fraction | None:
    """Return a quantity such as 100Mi or 0.5 as a number, or None if the text is not one."""
    match = _QUANTITY.match(text) if len(text) <= _LONGEST else None
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

    It has none for a number with too many digits, nor for what is not written as a whole number,
    such as 1.5Mi or 1000m, whatever that comes to (ParseQuantity).
    """
    match = _QUANTITY.match(text) if len(text) <= _LONGEST else None
    if not match:
        return False
    before, _, after = match[2].partition(".")
    digits, suffix = len(before.lstrip("0")), match[3] or ""
    if suffix.endswith("i"):
        # A power of two has about three decimal digits for each ten binary ones.
        room = 15 - digits - 3 * ("KMGTPE".index(suffix[0]) + 1) - 1
        return room >= 0 and not after
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        exponent = int(suffix[1:])
    else:
        exponent = _EXPONENTS[suffix]
    value = quantity(text)
    fits = value is not None and abs(value) <= _LARGEST
    return fits and digits + len(after) <= _MOST_DIGITS and exponent >= len(after)


def percentage(text: str) -> Fraction | None:
    """Return a percentage such as 10% as a number, or None if the text is not one."""
    match = _PERCENTAGE.match(text)
    try:  # as strconv.ParseFloat does with 32 bits
        return Fraction(*struct.unpack("f", struct.pack("f", float(match[1])))) if match else None
    except OverflowError:
        return None
