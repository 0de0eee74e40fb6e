"""What a kubelet of each version accepts, read from kubelet.json, which `generate` makes.

An entry has `since` and `until` if not all versions have it, and {"from": {version: value}} for
what changed between versions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_TABLE = json.loads(resources.files("node_files.versions").joinpath("kubelet.json").read_text())

# component-base featuregate/feature_gate.go
_ALL_OF = {"alpha": "AllAlpha", "beta": "AllBeta"}

SUPPORTED_VERSIONS: tuple[str, ...] = tuple(_TABLE["versions"])


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of KubeletConfiguration in one version."""

    type: str  # Go's name; with a star, unset differs from zero
    values: tuple[str, ...] = ()  # the constants of its type, if it is an enumeration
    default: Any = None
    no_effect: bool = False


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A command-line flag of the kubelet in one version."""

    field: str = ""  # the field that it sets
    deprecated: bool = False


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A feature gate in one version."""

    default: bool
    locked: bool = False
    stage: str = ""  # alpha or beta; AllAlpha and AllBeta set those
    needs: tuple[str, ...] = ()  # the gates that must be on where it is


@cache
def fields(version: str) -> Mapping[str, Field]:
    """Return the fields of a version by path; those of a list's entries are at `list[].name`."""
    return {
        path: Field(**{**entry, "values": tuple(entry.get("values") or ())})
        for path, entry in _entries("fields", version).items()
    }


@cache
def flags(version: str) -> Mapping[str, Flag]:
    """Return the flags of a version by name, without those of the logging library."""
    return {name: Flag(**entry) for name, entry in _entries("flags", version).items()}


@cache
def gates(version: str) -> Mapping[str, Gate]:
    """Return the feature gates of a version by name, without those of rules.OTHER_GATES."""
    return {
        name: Gate(**{**entry, "needs": tuple(entry.get("needs") or ())})
        for name, entry in _entries("gates", version).items()
    }


def gate_is_on(name: str, version: str, given: Any = None) -> bool:
    """Return whether a gate is on with these featureGates; a removed gate counts as on."""
    gate = gates(version).get(name)
    setter = gate_setter(name, version, given)
    if setter:
        return bool(given[setter])
    if gate is None:
        existed = span("gates", name)
        return existed is not None and number(existed[1]) < number(version)
    return gate.default


def gate_setter(name: str, version: str, given: Any) -> str | None:
    """Return which of these featureGates sets a gate: itself, AllAlpha, AllBeta or none."""
    gate = gates(version).get(name)
    names = (name, _ALL_OF.get(gate.stage, "") if gate else "")
    known = given if isinstance(given, Mapping) else {}
    return next((each for each in names if isinstance(known.get(each), bool)), None)


def span(part: str, name: str) -> tuple[str, str] | None:
    """Return the first and the last version that has a field, flag or gate; None if none has."""
    entry = _TABLE[part].get(name)
    if entry is None:
        return None
    return entry.get("since", SUPPORTED_VERSIONS[0]), entry.get("until", SUPPORTED_VERSIONS[-1])


def no_effect_since(path: str) -> str:
    """Return the version since which the API's documentation says that a field has no effect."""
    changes: dict[str, Any] = _TABLE["fields"][path]["no_effect"]["from"]
    return list(changes)[-1]


def number(version: str) -> int:
    """Return the minor number, by which versions are ordered."""
    return int(version.partition(".")[2])


def _entries(part: str, version: str) -> dict[str, dict[str, Any]]:
    if version not in SUPPORTED_VERSIONS:
        raise ValueError(f"the version {version!r} is not one of {', '.join(SUPPORTED_VERSIONS)}")
    found: dict[str, dict[str, Any]] = {}
    for name, entry in _TABLE[part].items():
        since, until = span(part, name) or ("", "")
        if number(since) <= number(version) <= number(until):
            now = {key: _at(value, version) for key, value in entry.items()}
            found[name] = {
                k: v for k, v in now.items() if k not in ("since", "until") and v is not None
            }
    return found


def _at(value: Any, version: str) -> Any:
    if not (isinstance(value, dict) and value.keys() == {"from"}):
        return value
    reached = [v for v in value["from"] if number(v) <= number(version)]
    return value["from"][reached[-1]]
