"""Everything that is wrong with overrides of a KubeletConfiguration, at once."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from node_files.versions import startup
from node_files.versions.consistency import Configuration, inconsistencies
from node_files.versions.protection import unsafe_problem
from node_files.versions.shape import Problem, Shape


def problems(
    overrides: Mapping[str, Any],
    version: str,
    unsafe: Collection[str] = (),
    *,
    partial: bool = False,
) -> Iterator[Problem]:
    """Yield the path and the problem of each override that is not allowed.

    Args:
        overrides: what a user sets, in one layer or merged; a null removes one of our defaults.
        version: the kubelet's minor version.
        unsafe: paths of protected fields that the user allows to change.
        partial: whether other layers are still to be merged over or under this one. Then fields
            that contradict one another or need a feature gate are not checked.

    Raises:
        ValueError: the version is not a supported one.
    """
    text = json.dumps(overrides, sort_keys=True, default=_plain)
    yield from _problems(text, version, frozenset(unsafe), partial)


@lru_cache(maxsize=1024)
def _problems(
    text: str, version: str, unsafe: frozenset[str], partial: bool
) -> tuple[Problem, ...]:
    """Return the problems; cached, because most nodes of a pool have the same overrides."""
    overrides = json.loads(text)
    found = [(path, problem) for path in sorted(unsafe) if (problem := unsafe_problem(path))]
    found += Shape(version, unsafe).problems(overrides)
    if not found and not partial:
        found += inconsistencies(overrides, version)
        found += startup.problems(Configuration(overrides, version))
    return tuple(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a kubelet setting can't be a {type(value).__name__}")
