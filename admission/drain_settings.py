"""How nodes are drained by a stack's settings, read on the day on which they leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The lowest value of each number. Those of the program that checks the settings are the same.
LOWEST = {"timeoutSeconds": 1, "graceSeconds": 0, "parallel": 1}
SWITCHES = ("deleteEmptyDirData", "force")


@dataclass(frozen=True, kw_only=True)
class Drain:
    """How a node is drained; what is not set is as `kubectl drain` has it."""

    timeout_s: int = 300
    """After how many seconds a drain that makes no end has failed."""
    grace_s: int | None = None
    """How many seconds a pod has to end; None: what it says itself."""
    delete_empty_dir_data: bool = False
    """Whether pods are evicted whose emptyDir volumes are lost with that."""
    force: bool = False
    """Whether pods are deleted that no controller starts again."""
    parallel: int = 1
    """How many nodes of a pool are drained at the same time."""


def read_drain(of_stack: Mapping[str, Any], of_pool: Mapping[str, Any]) -> Drain:
    """Return what the stack's `drain` says, with that of the pool merged over it.

    Raises:
        ValueError: a key or a value is wrong; says which.
    """
    given = {**_checked("drain", of_stack), **_checked("the pool's drain", of_pool)}
    usual = Drain()
    return Drain(
        timeout_s=given.get("timeoutSeconds", usual.timeout_s),
        grace_s=given.get("graceSeconds", usual.grace_s),
        delete_empty_dir_data=given.get("deleteEmptyDirData", usual.delete_empty_dir_data),
        force=given.get("force", usual.force),
        parallel=given.get("parallel", usual.parallel),
    )


def is_number(text: str) -> bool:
    """Return whether every reader of YAML and JSON takes a text for the same whole number."""
    return text.isascii() and text.isdecimal() and str(int(text)) == text


def _checked(path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{path} is not a map; give lines of key: value")
    return {key: _value(f"{path}.{key}", key, value) for key, value in given.items()}


def _value(path: str, key: str, value: Any) -> int | bool | None:
    if key in SWITCHES:
        if isinstance(value, bool):
            return value
        raise ValueError(f"{path} is not true or false")
    if key not in LOWEST:
        raise ValueError(f"{path} is not a known key; remove it")
    if key == "graceSeconds" and value is None:
        return None
    lowest = LOWEST[key]
    if not isinstance(value, bool) and is_number(str(value)) and int(value) >= lowest:
        return int(value)
    raise ValueError(f"{path} is not a whole number from {lowest}")
