"""Overrides that are accepted but not what they seem: without effect, a default, read otherwise."""

from collections.abc import Iterator, Mapping
from typing import Any

from node_files.versions import rules, table
from node_files.versions.content import unknown_gate
from node_files.versions.defaults import (
    MERGE_EVICTION,
    SOURCE,
    is_default,
    leaves,
    left_out,
    reads_as_unset,
)
from node_files.versions.nearest import hint
from node_files.versions.shape import Problem

_TYPES = "k8s.io/kubelet config/v1beta1/types.go"


def warnings(
    overrides: Mapping[str, Any], version: str, *, defaults: bool = True
) -> Iterator[Problem]:
    """Yield the path of each override that is not what it seems, and why, with the source.

    Overrides that `problems` reports are left out. Without `defaults`, so are those that equal the
    version's default, because a layer may need one to override a lower layer.
    """
    known = table.fields(version)
    unneeded = set(left_out(overrides, version))
    for path, value in leaves(overrides):
        field = known.get(path)
        if field is None or value is None:
            continue
        if reason := without_effect(path, version):
            yield path, reason
        elif path in unneeded:
            if not defaults:
                continue
            yield path, f"equals the default of {version} and is left out ({SOURCE})"
        elif now := _older_default(path, value, version):
            yield path, now
        elif reads_as_unset(value, field):
            shown = value if value != "" else '""'
            yield (
                path,
                (f"{shown} counts as not set, so the default {field.default} is used ({SOURCE})"),
            )
        for name, meant, since, until, meaning in rules.SURPRISES:
            there = table.number(since) <= table.number(version) <= table.number(until)
            if name == path and there and meant in (None, value) and path not in unneeded:
                yield path, f"{value} {meaning}"
    yield from _completed(overrides, version)
    yield from _unknown_gates(overrides.get("featureGates"), version)


def without_effect(path: str, version: str) -> str | None:
    """Return since when a field has no effect, with the source, or None if it has one."""
    field = table.fields(version).get(path)
    if field and field.no_effect:
        return f"has no effect since {table.no_effect_since(path)} ({_TYPES})"
    reason = rules.WITHOUT_EFFECT.get(path)
    return f"has no effect: {reason}" if reason else None


def _older_default(path: str, value: Any, version: str) -> str | None:
    """Return a warning if a value was the default of an older version, maybe copied from it."""
    older = [v for v in table.SUPPORTED_VERSIONS if table.number(v) < table.number(version)]
    matching = [v for v in older if is_default(path, value, v)]
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not matching or not plain or is_default(path, value, version):
        return None
    now = table.fields(version)[path].default
    return f"{value} was the default until {matching[-1]}; it is {now} in {version} ({SOURCE})"


def _completed(overrides: Mapping[str, Any], version: str) -> Iterator[Problem]:
    given = overrides.get("evictionHard")
    if not given or not isinstance(given, Mapping) or overrides.get(MERGE_EVICTION):
        return
    for signal, threshold in table.fields(version)["evictionHard"].default.items():
        if signal not in given:
            yield f"evictionHard[{signal}]", f"keeps its default {threshold}; null disables it"


def _unknown_gates(given: Any, version: str) -> Iterator[Problem]:
    known = table.gates(version)
    for name in given if isinstance(given, Mapping) else ():
        if name not in (*known, *rules.OTHER_GATES) and not unknown_gate(name, version):
            yield (
                f"featureGates[{name}]",
                f"is not a gate of k8s.io/kubernetes {version}{hint(name, known)}; a kubelet does"
                " not start with an unknown gate",
            )
