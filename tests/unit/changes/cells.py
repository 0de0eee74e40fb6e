"""The cells of a row of docs/changes.md, made of what the engine does."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from node_files import Effect, without_registration
from node_files.bundle_text import BundleText, read_bundle
from tests.unit.changes.steps import OPERATIONS, PROVIDER, REMOTE, SECRET, Step

NODE_PARTS = ("files", "member")
POOL_PARTS = ("gate", "inventory")
NOTHING = "-"
# Of the stack that the changes are made to.
KINDS = {
    "all nodes": {"node-1", "node-2", "node-3"},
    "both hosts": {"cp-1", "cp-2"},
    "both pools": {"workers", "storage"},
}


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What a change does, in words."""

    resources: str
    connections: str
    restarts: str
    tokens: str
    gates: str


def cells(steps: Sequence[Step]) -> Cells:
    """Return what these steps do."""
    connections = Counter[str]()
    for step in steps:
        count = step.runs if step.resource.type == REMOTE else 0
        connections[step.resource.name.rpartition("-")[0]] += count + brings(step)
    made = [s for s in steps if s.operation in ("create", "replace")]
    return Cells(
        resources=_resources(steps),
        connections="<br>".join(_times(connections)) or NOTHING,
        restarts=_listed(_part(step)[1] for step in steps if restarts(step)),
        tokens=_listed(_part(step)[1] for step in made if step.resource.type == SECRET),
        gates=_listed(_part(step)[1] for step in steps if _part(step)[0] == "gate" and step.new),
    )


def brings(step: Step) -> int:
    """Return the connections of hooks: before `files` for its bundle, before `member` to join."""
    part = _part(step)[0]
    if part == "member" and step.operation == "update":
        assert step.old is not None
        assert step.new is not None
        return int(step.old.inputs["stdin"] != step.new.inputs["stdin"])
    return int(part in NODE_PARTS and step.operation in ("create", "update", "replace"))


def _times(connections: Mapping[str, int]) -> Iterator[str]:
    for times in sorted({*connections.values()} - {0}):
        machines = _listed(name for name, count in connections.items() if count == times)
        yield f"{machines}: {times}" if times > 1 else machines


def restarts(step: Step) -> bool:
    """Return whether a kubelet that runs restarts: files.sh and membership.sh say when."""
    if _part(step)[0] != "files" or step.operation != "update":
        return False
    assert step.old is not None
    assert step.new is not None
    old, new = (read_bundle(r.inputs["stdin"], r.shared) for r in (step.old, step.new))
    if old.files.keys() != new.files.keys() or _kubeconfig(old) != _kubeconfig(new):
        return True
    return any(
        file.effect != Effect.NONE.value
        and without_registration(file.content) != without_registration(old.files[path].content)
        for path, file in new.files.items()
    )


def _kubeconfig(bundle: BundleText) -> tuple[object, ...]:
    """Return what decides about the kubeconfig of a kubelet that has joined."""
    words = dict(reversed([word.partition(" ")[::2] for word in bundle.words]))  # the first `made`
    server, ca = words["server"].split(" ")
    embedded = bundle.files[ca].content if "embed-ca" in words else ca
    return words["made"], words["certificates"], server, embedded


def _part(step: Step) -> tuple[str, str]:
    """Return which part of the program a resource is, and of which node, pool or host."""
    name, parent = step.resource.name, step.resource.parent
    holder, _, part = name.rpartition("-")
    if name.endswith("-token-seed"):
        return "token seed", parent
    if part == "token":
        return part, holder
    if part == "flags" or part in NODE_PARTS or part in POOL_PARTS:
        return part, holder
    if parent.startswith("serving-approver"):
        return "resident approver", ""
    if step.resource.type == PROVIDER:
        return "the Kubernetes provider", ""
    return f"`{name}`", ""


def _resources(steps: Iterable[Step]) -> str:
    """Return each operation with the parts that it is for, and whose they are."""
    found: dict[str, dict[str, list[str]]] = {}
    for step in steps:
        part, holder = _part(step)
        found.setdefault(step.operation, {}).setdefault(part, []).append(holder)
    texts = []
    for operation in OPERATIONS:
        if parts := found.get(operation):
            texts.append(f"{operation} {', '.join(_of_holders(parts))}")
    return "<br>".join(texts) or NOTHING


def _of_holders(parts: Mapping[str, Iterable[str]]) -> Iterator[str]:
    by_holders: dict[str, list[str]] = {}
    for part, holders in sorted(parts.items()):
        by_holders.setdefault(_listed(holders), []).append(part)
    for holders, names in by_holders.items():
        joined = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
        yield joined if holders == NOTHING else f"{joined} of {holders}"


def _listed(names: Iterable[str]) -> str:
    """Return names in a fixed order, all of a kind by one word."""
    left = {name for name in names if name}
    listed = []
    for words, kind in KINDS.items():
        if kind <= left:
            listed.append(words)
            left -= kind
    return ", ".join([*listed, *sorted(left)]) or NOTHING
