"""How the inputs of a command have changed, in the engine's detailed form.

The paths are those of pulumi's plugin.NewDetailedDiffFromObjectDiff: `environment.NAME`,
`triggers[0]`; a value that is secret, or that has come or gone, is named as a whole.
"""

import re
from collections.abc import Iterator
from typing import Any

from lab.plugins.property_values import Object, Secret, plain
from lab.plugins.provider import Difference

# Only as a whole: of a changed item, the SDK's resource says itself that it replaces.
REPLACES = ("triggers",)
# What marks an object of the wire format as more than that.
SIGNATURE = "4dabf18193072939515e22adb298388d"
_SIMPLE_KEY = re.compile(r"[A-Za-z_$][\w$]*")


def difference(old: Object, new: Object) -> Difference:
    """Return what has changed between two sets of inputs."""
    # The version is the plugin's; the engine keeps notes of its own under names with `__`.
    new = {key: new[key] for key in new if key != "version" and not key.startswith("__")}
    found = dict(_differences("", old, new))
    kinds = {path: f"{kind}_REPLACE" if path in REPLACES else kind for path, kind in found.items()}
    names = tuple(dict.fromkeys(re.split(r"[.\[]", path)[0] for path in kinds))
    return Difference(names, tuple(name for name in REPLACES if name in kinds), kinds)


def same(old: Any, new: Any) -> bool:
    """Return whether two values are equal, and both are secret or neither is."""
    return isinstance(old, Secret) == isinstance(new, Secret) and bool(plain(old) == plain(new))


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, str]]:
    if old is None or new is None:
        if old is not None or new is not None:
            yield path, "ADD" if old is None else "DELETE"
    elif _is_plain_object(old) and _is_plain_object(new):
        for key in sorted({*old, *new}):
            yield from _differences(_below(path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            ends = [items[index] if index < len(items) else None for items in (old, new)]
            yield from _differences(f"{path}[{index}]", *ends)
    elif not same(old, new):
        yield path, "UPDATE"


def _is_plain_object(value: Any) -> bool:
    """An asset or archive is one value, whatever it is made of."""
    return isinstance(value, dict) and SIGNATURE not in value


def _below(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}.{key}" if _SIMPLE_KEY.fullmatch(key) else f'{path}["{key}"]'
