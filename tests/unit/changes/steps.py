"""What the engine does with each resource between two declarations of the program.

The rules are those of the providers, as tests/contract measures them: a changed input of a command
updates it, which runs `update` or else `create` again; a changed trigger replaces it; any changed
input replaces a random text; another name, or role, replaces an object of the cluster.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.unit.changes.program import Declared

Operation = Literal["create", "update", "replace", "delete", "forget"]
OPERATIONS: tuple[Operation, ...] = ("create", "update", "replace", "delete", "forget")
REMOTE, LOCAL = "command:remote:Command", "command:local:Command"
PROVIDER = "pulumi:providers:kubernetes"
SECRET = "kubernetes:core/v1:Secret"


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation on a resource; `old` or `new` is missing where it comes or goes."""

    operation: Operation
    old: Declared | None = None
    new: Declared | None = None

    @property
    def resource(self) -> Declared:
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def runs(self) -> int:
        """How many commands run, each over a connection of its own where it is on a machine."""
        if self.resource.type not in (REMOTE, LOCAL):
            return 0
        made = self.new is not None and bool(self.new.inputs.get("create"))
        removed = self.operation in ("replace", "delete")
        return made + (removed and self.old is not None and bool(self.old.inputs.get("delete")))


def steps(before: Mapping[str, Declared], after: Mapping[str, Declared]) -> Iterator[Step]:
    """Yield a step for each resource that does not stay as it is."""
    taken = {new.former for new in after.values() if new.former} & before.keys() - after.keys()
    for urn in dict.fromkeys([*before, *after]):
        if urn in taken:
            continue
        old, new = before.get(urn), after.get(urn)
        if old is None and new is not None and new.former in taken:
            old = before[new.former]
        if old is None:
            yield Step(operation="create", new=new)
        elif new is None:
            yield Step(operation="forget" if old.kept else "delete", old=old)
        elif changed := _changed(old, new):
            replaces = any(_replaces(new.type, path) for path in changed)
            yield Step(operation="replace" if replaces else "update", old=old, new=new)


def _changed(old: Declared, new: Declared) -> set[str]:
    """Return the inputs that differ, with those of an object's metadata one by one."""
    keys = {*old.inputs, *new.inputs} - new.ignored
    found = {key for key in keys if old.inputs.get(key) != new.inputs.get(key)}
    if "metadata" in found:
        parts: list[dict[str, Any]] = [r.inputs.get("metadata") or {} for r in (old, new)]
        names = {*parts[0], *parts[1]}
        found |= {f"metadata.{n}" for n in names if parts[0].get(n) != parts[1].get(n)}
    return found


def _replaces(kind: str, path: str) -> bool:
    if kind in (REMOTE, LOCAL):
        return path == "triggers"
    if kind.startswith("random:"):
        return True
    if kind.startswith("kubernetes:"):
        return path in ("metadata.name", "metadata.namespace", "roleRef", "type")
    assert kind == PROVIDER, kind
    return False
