"""Places in settings: what is there, and other values put there."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

Place = tuple[str | int, ...]
# A value that is not there.
GONE = object()


def written(place: Place) -> str:
    """Return a place as problems name it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)[1:]


def outputs(value: Any, place: Place) -> Iterator[tuple[Place, pulumi.Output[Any]]]:
    """Yield each Output below a place."""
    if isinstance(value, pulumi.Output):
        yield place, value
    elif inspect.isawaitable(value):
        yield place, pulumi.Output.from_input(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from outputs(item, (*place, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from outputs(item, (*place, index))


def with_values(value: Any, found: Mapping[Place, Any], place: Place) -> Any:
    """Return a value with other ones at these places, without those that are gone."""
    if place in found:
        return found[place]
    if isinstance(value, Mapping):
        items = (
            (str(key), with_values(item, found, (*place, str(key)))) for key, item in value.items()
        )
        return {key: item for key, item in items if item is not GONE}
    if isinstance(value, list | tuple):
        items_ = (with_values(item, found, (*place, index)) for index, item in enumerate(value))
        return [item for item in items_ if item is not GONE]
    return value


def value_at(value: Any, place: Place) -> Any:
    """Return the value at a place."""
    for key in place:
        value = value[key]
    return value


def has_key(value: Any, key: str) -> bool:
    """Return whether there is a value for this key anywhere."""
    if isinstance(value, Mapping):
        return bool(value.get(key)) or any(has_key(item, key) for item in value.values())
    return isinstance(value, list) and any(has_key(item, key) for item in value)
