"""Property values, between the engine's messages and plain objects.

An object consists of what JSON has: dict, list, str, int, float, bool, None. The engine also has
two marks, which `Secret` and `UNKNOWN` represent.
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

# The engine's wire format: pulumi/pulumi, sdk/go/common/resource/sig and plugin/rpc.go.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a type's number, not a password
_UNKNOWNS = {
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # string
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # list
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
}
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Object = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in its state and hides in its output."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


class Unknown:
    """A value that is not known until another resource has been created."""

    def __repr__(self) -> str:
        return "[unknown]"


UNKNOWN = Unknown()


def read(struct: Struct) -> Object:
    """Return the engine's properties with `Secret` and `UNKNOWN` in place of its marks."""
    return {key: _read(value) for key, value in struct.fields.items()}


def _read(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_read(item) for item in value.list_value.values]
        case "struct_value":
            fields = read(value.struct_value)
            return Secret(fields["value"]) if fields.get(_SIGNATURE) == _SECRET else fields
    return None


def write(properties: Object) -> Struct:
    """Return properties as the engine wants them."""
    return Struct(fields={key: _write(value) for key, value in properties.items()})


def _write(value: Any) -> Value:
    match value:
        case Secret():
            return _write({_SIGNATURE: _SECRET, "value": value.value})
        case Unknown():
            return Value(string_value=_UNKNOWN)
        case None:
            return Value(null_value=NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case dict():
            return Value(struct_value=write(value))
    return Value(list_value=ListValue(values=[_write(item) for item in value]))


def plain(value: Any) -> Any:
    """Return a deep copy without secret marks. `UNKNOWN` stays."""
    match value:
        case Secret():
            return plain(value.value)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value
