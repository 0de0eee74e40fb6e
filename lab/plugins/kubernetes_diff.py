"""What a change of inputs does to an object: nothing, an update of fields, or a replacement."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from lab.plugins.kubernetes_values import Object, Unknown

Path = tuple[str | int, ...]

_MISSING: Any = object()


class Effect(StrEnum):
    """What happens to one property."""

    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


@dataclass(frozen=True)
class Change:
    """One property's change."""

    effect: Effect
    replaces: bool

    @property
    def kind(self) -> str:
        """The name of the engine's enumeration value."""
        return f"{self.effect}_REPLACE" if self.replaces else str(self.effect)


def changes(old: Object, new: Object, fixed: Iterable[str]) -> dict[Path, Change]:
    """Return the changed properties between two objects of the same shape.

    Args:
        old: the live object, where the program had said something of it.
        new: the program's new inputs.
        fixed: fields that cannot change in place, such as `.spec.selector`.
    """
    fields = [tuple(field.strip(".").split(".")) for field in fixed]
    return {
        path: Change(effect, any(_touches(path, value, field) for field in fields))
        for path, effect, value in _differences((), old, new)
    }


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal; 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _differences(path: Path, old: Any, new: Any) -> Iterator[tuple[Path, Effect, Any]]:
    if new is _MISSING or new is None:
        if old is not None:
            yield path, Effect.DELETE, None
    elif old is _MISSING:
        yield path, Effect.ADD, new
    elif isinstance(new, Unknown):
        yield path, Effect.UPDATE, new
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _differences((*path, key), old.get(key, _MISSING), new.get(key, _MISSING))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _differences(
                (*path, index),
                old[index] if index < len(old) else _MISSING,
                new[index] if index < len(new) else _MISSING,
            )
    elif not same(old, new) and not _same_quantity(path, old, new):
        yield path, Effect.UPDATE, new


_SUFFIXES = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(?:([KMGTPE])i|([numkMGTPE]?))")


def _same_quantity(path: Path, old: Any, new: Any) -> bool:
    """Tell whether a resource's amount is the same: the server writes 1000m as 1."""
    if len(path) < 2 or path[-2] not in ("limits", "requests", "hard", "storage"):
        return False
    amounts = [_amount(str(value)) for value in (old, new)]
    return amounts[0] is not None and amounts[0] == amounts[1]


def _amount(text: str) -> Decimal | None:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, binary, decimal = found.groups()
    try:
        if binary:
            return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(binary) + 1)
        return Decimal(number).scaleb(_SUFFIXES[decimal or ""])
    except InvalidOperation:
        return None


def _touches(path: Path, value: Any, field: tuple[str, ...]) -> bool:
    """Tell whether a change at a path, to a value, reaches a field."""
    if not field:
        return True
    step, rest = field[0], field[1:]
    name = step.removesuffix("[*]")
    if path:
        if path[0] != name:
            return False
        path = path[1:]
        if step.endswith("[*]") and path:
            path = path[1:]  # the index
            return _touches(path, value, rest)
        return _touches(path, value, rest)
    if isinstance(value, list):
        return any(_touches((), item, field) for item in value)
    return isinstance(value, dict) and name in value and _touches((), value[name], rest)


def path_text(path: Path) -> str:
    """Return a path as the engine writes it: `spec.ports[0].port`, `metadata.labels["a.b"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _quoted(step):
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text


def parse_path(text: str) -> tuple[str | int, ...]:
    """Return the steps of a property path; `*` stands for any.

    Raises:
        ValueError: brackets or quotes do not match.
    """
    steps: list[str | int] = []
    rest = text
    while rest:
        if rest.startswith('["'):
            end = rest.index('"]')
            while rest[end - 1] == "\\":
                end = rest.index('"]', end + 1)
            steps.append(rest[2:end].replace('\\"', '"'))
            rest = rest[end + 2 :]
        elif rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            steps.append(inside if inside == "*" else int(inside))
        else:
            rest = rest.removeprefix(".")
            end = min((rest.find(mark) for mark in ".[" if mark in rest), default=len(rest))
            steps.append(rest[:end])
            rest = rest[end:]
    return tuple(steps)


def covers(ignored: Path, path: Path) -> bool:
    """Tell whether a path lies at or below an ignored one, and can be ignored at all.

    The official provider takes a path out of its diff by a text that quotes every key with
    another character than letters, digits and `_`, where the diff itself quotes only dots,
    brackets and quotes. So a change below `data.token-secret` stays, whatever is ignored.
    """
    if any(isinstance(step, str) and _quoted(step) != _quoted_by_engine(step) for step in path):
        return False
    return len(ignored) <= len(path) and all(
        step in ("*", other) for step, other in zip(ignored, path, strict=False)
    )


def _quoted(key: str) -> bool:
    return any(character in key for character in '."[]')


def _quoted_by_engine(key: str) -> bool:
    return not re.fullmatch(r"[A-Za-z0-9_]*", key)
