"""pydantic's errors in the words of YAML and of this program.

A value is quoted only where it is one short line, since a long one may be a key or a certificate
in the wrong place. Values of unknown keys are never quoted.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic_core import ErrorDetails

from settings.kubelet_formats import SENTENCE, WITHOUT_VALUE
from settings.layer import Model
from settings.model import Settings
from settings.problem import LONGEST_VALUE, Problem, one_line

LIST, MAP = "a list (lines that begin with -, or [ ])", "a map (lines of key: value, or { })"
# The type of pydantic's error -> what the setting takes.
TYPES = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    "int_parsing_size": "a whole number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "a string",
    **dict.fromkeys(("tuple_type", "list_type"), LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), MAP),
}
KEY = "[key]"  # the last part of the location of an error about a map's key


def to_problem(raw: Mapping[str, Any], error: ErrorDetails) -> Problem:
    """Return one of pydantic's errors about the plain keys as a problem."""
    location = error["loc"]
    if location[-1] == KEY:
        *parents, key, _ = location
        return _of_key(_path(parents), key, error)
    path, value = _path(location), _value(raw, location)
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return Problem(path, "is missing; set it")
    if kind == "extra_forbidden":
        *parents, unknown = location
        near = difflib.get_close_matches(str(unknown), _known_keys(parents), n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it; docs/settings.md lists all keys"
        return Problem(path, f"is not a known key; {hint}")
    if kind == SENTENCE:
        return Problem(path, message, sentence=True)
    if kind == WITHOUT_VALUE:
        return Problem(path, message)
    if kind == "value_error":
        return Problem(path, f"{_shown(value)}{message}")
    if kind == "literal_error":
        return Problem(path, _of_literal(value, str(error["ctx"]["expected"])))
    if value is None and isinstance(location[-1], int):
        return Problem(path, f"is empty; give {TYPES.get(kind, 'a value')}, or remove this entry")
    return Problem(path, _of_type(value, TYPES.get(kind, "what docs/settings.md says about it")))


def _of_key(path: str, key: Any, error: ErrorDetails) -> Problem:
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        message = f"{_shown(key)}{message}"
    elif error["type"] != SENTENCE:
        message = f'the key {key} is not a string; quote it: "{key}"'
    return Problem(path, message, sentence=True)


def _of_literal(value: Any, expected: str) -> str:
    words = expected.replace("'", "")
    if not isinstance(value, str):
        return _of_type(value, words)
    near = difflib.get_close_matches(value, words.replace(" or ", ", ").split(", "), n=1)
    return f"{_shown(value)}is not {words}{f'; did you mean {near[0]}?' if near else ''}"


def _of_type(value: Any, wanted: str) -> str:
    if value is None:
        return f"is empty; give {wanted}, or remove the key"
    if isinstance(value, Mapping):
        return f"is a map; give {wanted}"
    if isinstance(value, list | tuple):
        return f"is a list; give {wanted}"
    if wanted in (LIST, MAP):
        return f"is a single value; give {wanted}"
    if wanted == "a string":
        if isinstance(value, bool):
            return f"is the boolean {_yaml(value)}; put the text in quotes"
        return f'is the number {value}; quote it: "{value}"'
    return f"{_shown(value)}is not {wanted}"


def _shown(value: Any) -> str:
    """Return a value as it may be quoted, with a space after it; nothing if it may not."""
    if isinstance(value, bool | int | float):
        return f"{_yaml(value)} "
    if isinstance(value, str) and len(value) <= LONGEST_VALUE and value.isprintable():
        return f'"{value}" '
    return ""


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path(location: tuple[int | str, ...] | list[int | str]) -> str:
    path = ""
    for part in location:
        text = part if isinstance(part, int) else one_line(part)[:LONGEST_VALUE]
        path += f"[{text}]" if isinstance(text, int) else f".{text}" if path else text
    return path


def _value(raw: Any, location: tuple[int | str, ...]) -> Any:
    for part in location:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _known_keys(parents: list[int | str]) -> list[str]:
    """Return the keys of the model at a path of keys and indices."""
    model: type[Model] = Settings
    of_entry = False  # the part is the name or the index of an entry
    for part in parents:
        if of_entry:
            of_entry = False
            continue
        annotation = next(f.annotation for f in model.model_fields.values() if f.alias == part)
        model = next(_models(annotation))
        of_entry = get_origin(annotation) in (Mapping, tuple)
    return [str(field.alias) for field in model.model_fields.values()]


def _models(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
