"""Everything that is wrong with overrides of a KubeletConfiguration, at once."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from node_files.versions.consistency import inconsistencies
from node_files.versions.protection import unsafe_problem
from node_files.versions.shape import Problem, Shape


def problems(
    overrides: Mapping[str, Any],
    version: str,
    unsafe: Collection[str] = (),
    *,
    partial: bool = False,
) -> Iterator[Problem]:
    """Yield the path and the problem of each override that must not be.

    Args:
        overrides: what a user sets, of one layer or merged; a null takes a default of ours away.
        version: the kubelet's minor version.
        unsafe: paths of protected fields that the user allows to be changed.
        partial: whether other layers are still to be merged over or under; then nothing is said of
            what does not fit together, nor of feature gates that may be set elsewhere.

    Raises:
        ValueError: the version is not a supported one.
    """
    text = json.dumps(overrides, sort_keys=True, default=_plain)
    yield from _problems(text, version, frozenset(unsafe), partial)


@lru_cache(maxsize=1024)
def _problems(
    text: str, version: str, unsafe: frozenset[str], partial: bool
) -> tuple[Problem, ...]:
    """The problems of overrides as JSON; the nodes of a pool mostly have the same ones."""
    overrides = json.loads(text)
    found = [(path, problem) for path in sorted(unsafe) if (problem := unsafe_problem(path))]
    found += Shape(version, unsafe).problems(overrides)
    if not found and not partial:
        found += inconsistencies(overrides, version)
    return tuple(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a kubelet setting can't be a {type(value).__name__}")
