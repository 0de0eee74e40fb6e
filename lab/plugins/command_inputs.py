"""What the command provider's resource types take: names, types, defaults, and their errors.

The words are those of pulumi-go-provider, which names Go's types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.plugins.property_values import Object, Secret, Unknown, plain
from lab.plugins.provider import Failures

STRING, BOOL, FLOAT, INT = "string", "bool", "float64", "int"
LIST, STRINGS, MAP, ASSET = "[]interface {}", "[]string", "map[string]string", "AssetOrArchive"
_PYTHON: dict[str, tuple[type, ...]] = {
    STRING: (str,),
    BOOL: (bool,),
    FLOAT: (int, float),
    INT: (int, float),
    LIST: (list,),
    STRINGS: (list,),
    MAP: (dict,),
    ASSET: (dict,),
}
_GO = {bool: "bool", int: "float64", float: "float64", str: "string", list: LIST}
_GO_OBJECT = "map[string]interface {}"


@dataclass(frozen=True)
class Record:
    """A Go struct: its fields' types, and what is filled in."""

    name: str
    fields: "Mapping[str, str | Record]"
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


_PROXY_FIELDS = {
    "user": STRING,
    "password": STRING,
    "host": STRING,
    "port": FLOAT,
    "privateKey": STRING,
    "privateKeyPassword": STRING,
    "agentSocketPath": STRING,
    "dialErrorLimit": INT,
    "perDialTimeout": INT,
    "hostKey": STRING,
}
_CONNECTION_DEFAULTS = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
_PROXY = Record("remote.ProxyConnection", _PROXY_FIELDS, ("host",), _CONNECTION_DEFAULTS)
_CONNECTION = Record(
    "remote.Connection", {**_PROXY_FIELDS, "proxy": _PROXY}, ("host",), _CONNECTION_DEFAULTS
)
_COMMAND = {
    "triggers": LIST,
    "create": STRING,
    "delete": STRING,
    "update": STRING,
    "stdin": STRING,
    "logging": STRING,
    "environment": MAP,
    "addPreviousOutputInEnv": BOOL,
}
LOCAL_COMMAND = Record("local.CommandInputs", {**_COMMAND, "interpreter": STRINGS, "dir": STRING})
REMOTE_COMMAND = Record(
    "remote.CommandInputs", {**_COMMAND, "connection": _CONNECTION}, ("connection",)
)
COPY_TO_REMOTE = Record(
    "remote.CopyToRemoteInputs",
    {"connection": _CONNECTION, "triggers": LIST, "source": ASSET, "remotePath": STRING},
    ("connection", "source", "remotePath"),
)


def check(record: Record, news: Object) -> tuple[Object, Failures]:
    """Return the inputs with their defaults and a secret connection, or what is wrong with them."""
    inputs, failures = _decode(record, news)
    if failures:
        inputs = news
    if "connection" in inputs:
        inputs = {**inputs, "connection": Secret(plain(inputs["connection"]))}
    return inputs, failures


def _decode(record: Record, given: Object) -> tuple[Object, Failures]:
    found: Object = {}
    failures: Failures = []
    for name, kind in record.fields.items():
        value = given.get(name)
        if value is None:
            if name in record.required:
                failures.append((name, f"Missing required field '{name}' on '{record.name}'"))
            continue
        found[name], wrong = _value(record.name, name, kind, value)
        failures += wrong
    failures += [
        (name, f"Unrecognized field '{name}' on '{record.name}'")
        for name in given
        if name not in record.fields
    ]
    return {**record.defaults, **found}, failures


def _value(owner: str, name: str, kind: str | Record, value: Any) -> tuple[Any, Failures]:
    if isinstance(value, Unknown):
        return value, []
    if isinstance(value, Secret):
        decoded, failures = _value(owner, name, kind, value.value)
        return Secret(decoded), failures
    if isinstance(kind, Record):
        return _record(owner, name, kind, value)
    if not _fits(kind, value):
        return value, [_mismatch(owner, name, kind, value)]
    if kind == INT:
        return int(value), []
    items: list[tuple[str, Any]] = []
    if kind == STRINGS:
        items = [(f"{name}[{index}]", item) for index, item in enumerate(value)]
    elif kind == MAP:
        items = [(f"{name}[{key}] value", item) for key, item in value.items()]
    wrong = [_value(owner, path, STRING, item)[1] for path, item in items]
    return value, [failure for failures in wrong for failure in failures]


def _record(owner: str, name: str, record: Record, value: Any) -> tuple[Any, Failures]:
    if not isinstance(value, dict):
        return value, [_mismatch(owner, name, record.name, value)]
    decoded, failures = _decode(record, value)
    if not failures:
        return decoded, []
    lines = "".join(f"\n\t{path}: {reason}" for path, reason in failures)
    short = owner.rpartition(".")[2]
    reason = f"An error occurred decoding '{short}.{name}': {len(failures)} failures decoding:"
    return value, [(name, reason + lines)]


def _fits(kind: str, value: Any) -> bool:
    # In Python, a bool is an int too.
    return isinstance(value, _PYTHON[kind]) and (kind == BOOL or not isinstance(value, bool))


def _mismatch(owner: str, name: str, kind: str, value: Any) -> tuple[str, str]:
    got = _GO.get(type(value), _GO_OBJECT)
    return name, f"Field '{name}' on '{owner}' must be a '{kind}'; got '{got}' instead"
