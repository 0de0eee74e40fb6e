"""Whether overrides have fields that exist in a version, with values of their types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from node_files.versions import content, foreign, quantities, table
from node_files.versions.defaults import reads_as_unset
from node_files.versions.nearest import nearest
from node_files.versions.protection import refusal

Problem = tuple[str, str]

_NOUNS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
_HIDDEN = "staticPodURLHeader"  # it may hold a password


@dataclass(frozen=True)
class Shape:
    """Checks overrides against one version; protected fields in `unsafe` may change."""

    version: str
    unsafe: frozenset[str]

    def problems(self, overrides: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the path and the problem of each override that is not allowed."""
        yield from self._members(overrides, "", "")

    def _members(self, value: Mapping[str, Any], shown: str, path: str) -> Iterator[Problem]:
        for name, below in value.items():
            yield from self._member(below, f"{shown}{name}", f"{path}{name}")

    def _member(self, value: Any, shown: str, path: str) -> Iterator[Problem]:
        if reason := refusal(path, value, self.unsafe, self.version):
            yield shown, reason
            return
        field = table.fields(self.version).get(path)
        if field is None:
            yield shown, self._unknown(path)
        elif value is not None and not reads_as_unset(value, field):
            yield from self._typed(value, field.type.lstrip("*"), shown, path, field.values)

    def _typed(
        self, value: Any, kind: str, shown: str, path: str, constants: tuple[str, ...] = ()
    ) -> Iterator[Problem]:
        if kind.startswith("[]"):
            yield from self._list(value, kind[2:], shown, path, constants)
        elif kind == "struct":
            if isinstance(value, Mapping):
                yield from self._members(value, f"{shown}.", f"{path}.")
            else:
                yield shown, f"{_said(value)}; give a map of fields"
        elif kind.startswith("map[string]"):
            yield from self._map(value, kind.removeprefix("map[string]"), shown, path)
        elif problem := self._scalar_problem(value, kind, path, constants):
            yield shown, problem

    def _list(
        self, value: Any, kind: str, shown: str, path: str, constants: tuple[str, ...]
    ) -> Iterator[Problem]:
        if not isinstance(value, list | tuple):
            yield shown, f"{_said(value)}; give a list"
            return
        for index, element in enumerate(value):
            yield from self._typed(element, kind, f"{shown}[{index}]", f"{path}[]", constants)

    def _map(self, value: Any, kind: str, shown: str, path: str) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield shown, f"{_said(value)}; give a map"
            return
        wrong = set()
        for name, element in value.items():
            if element is None:
                continue
            for below, problem in self._typed(element, kind, f"{shown}[{name}]", f"{path}[]"):
                wrong.add(name)
                # A problem of a value names its type after "is", so this drops the value itself.
                yield below, problem.rpartition(" is ")[2] if path == _HIDDEN else problem
        right = {name: element for name, element in value.items() if name not in wrong}
        for name, problem in content.map_problems(path, right, self.version):
            yield f"{shown}{name}", problem

    def _scalar_problem(
        self, value: Any, kind: str, path: str, constants: tuple[str, ...]
    ) -> str | None:
        if kind == "duration or nanoseconds":
            kind = "duration" if isinstance(value, str) else "int64"
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind == "quantity" and number and quantities.quantity(str(value)) is not None:
            return None
        if "int" in kind and isinstance(value, float) and value.is_integer():
            value = int(value)  # 110.0 is 110 for Go
        wanted = {"bool": bool, "float64": float}.get(kind, int if "int" in kind else str)
        exact = type(value) is wanted or (wanted is float and type(value) is int)
        if not exact:
            return f"{_said(value)}; give {_NOUNS[wanted]}{_quoting(value, wanted)}"
        if wanted is int:
            return content.integer_problem(path, kind, value) or content.block_problem(path, value)
        if kind == "duration":
            return content.duration_problem(path, value)
        if kind == "quantity" and quantities.quantity(value) is None:
            return f'"{value}" is not a quantity such as 1Gi'
        if path == "memoryThrottlingFactor" and not 0 < value <= 1:
            return f"{value} is out of range; give more than 0 and at most 1"
        return (
            content.string_problem(path, value, constants, self.version)
            if kind == "string"
            else None
        )

    def _unknown(self, path: str) -> str:
        span = table.span("fields", path)
        if span and table.number(self.version) < table.number(span[0]):
            return f"does not exist in {self.version}; it was added in {span[0]}"
        if span:
            return f"does not exist in {self.version}; the last version that had it is {span[1]}"
        known = table.fields(self.version)
        parent, _, name = path.rpartition(".")
        if remedy := None if parent else foreign.remedy(name):
            return f"is not a field of KubeletConfiguration; {remedy}"
        flag = table.flags(self.version).get(name.removeprefix("--"))
        if flag and flag.field:
            return f"is a flag, not a field; the field is {flag.field}"
        siblings = {other.rpartition(".")[2]: other for other in known if _parent(other) == parent}
        near = nearest(name, siblings)
        elsewhere = [other for other in known if other.rpartition(".")[2] == name]
        meant = siblings[near] if near else next(iter(elsewhere), "")
        if not (meant or parent) and (remedy := foreign.remedy_of_flag(name, self.version)):
            return f"is a flag, not a field; {remedy}"
        question = f"; did you mean {meant}?" if meant else ""
        return f"is not a field of KubeletConfiguration in {self.version}{question}"


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _said(value: Any) -> str:
    if value is None:
        return "is null"
    if isinstance(value, bool):
        return f"{str(value).lower()} is a boolean"
    if isinstance(value, int | float):
        return f"{value} is a number"
    if isinstance(value, str):
        return f'"{value}" is a string'
    return "is a map" if isinstance(value, Mapping) else "is a list"


def _quoting(value: Any, wanted: type) -> str:
    if isinstance(value, str) and wanted is not str:
        return ", without quotes"
    return ", in quotes" if wanted is str and isinstance(value, bool | int | float) else ""
