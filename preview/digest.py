"""What `pulumi preview --json` prints: its steps, by the names of this program's resources.

Format: https://pkg.go.dev/github.com/pulumi/pulumi/pkg/v3/display#PreviewDigest. The engine has
written `[secret]` in place of each secret.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SECRET = "[secret]"  # noqa: S105 - what the engine puts in the place of a secret
REPLACING = frozenset({"replace", "create-replacement", "delete-replaced"})
# Of earlier releases: each node had a component of its own, and a command for its join.
NODE_TYPE = "kubelet-tls-bootstrap:index:Node"
NODE_PARTS = ("files", "member", "join")
POOL_TYPE = "kubelet-tls-bootstrap:index:NodePool"
SETTINGS = ("pools", "drain", "rollout")
NOT_A_PREVIEW = "this is not a preview in JSON; give what `pulumi preview --json` prints"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a preview says about a resource."""

    op: str  # create, update, delete, replace, same ...
    name: str
    type: str
    parent: str  # a URN, or ""
    old: Mapping[str, Any]  # inputs; empty where there are none
    new: Mapping[str, Any]
    changed: tuple[str, ...]  # paths of the inputs that differ
    retained: bool  # a deletion takes it out of the state, and does nothing else
    former_name: str  # before this change: another one if it takes over another's resource

    @property
    def is_command_on_host(self) -> bool:
        return self.type == "command:remote:Command"

    @property
    def part_of_node(self) -> str | None:
        """What it is of a node (files, member); None: it belongs to no node."""
        part = self.name.rpartition("-")[2]
        of_pool = self.type.startswith("command:") and _kind(self.parent) in (POOL_TYPE, NODE_TYPE)
        return part if of_pool and part in NODE_PARTS else None

    @property
    def node(self) -> str:
        """The node's name, if it belongs to one."""
        return self.name.rpartition("-")[0]


Attributes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Digest:
    """A preview."""

    stack: str
    steps: tuple[Step, ...]
    pools: Mapping[str, str]  # node -> pool, as far as the preview shows it
    settings: Mapping[str, Any]  # of the stack: SETTINGS, if they are no secrets
    diagnostics: tuple[tuple[str, str], ...]  # severity and message
    shared: tuple[Mapping[str, str], Mapping[str, str]]  # what each node shares, before and after
    attributes: tuple[Attributes, Attributes]  # labels, annotations, taints of each Node, as well

    def of(self, part: str) -> Iterator[tuple[str, Step]]:
        """Yield each node with this resource of it (files, member)."""
        yield from ((step.node, step) for step in self.steps if step.part_of_node == part)


def read_digest(text: str) -> Digest:
    """Return the preview.

    Raises:
        ValueError: the text is not a preview in JSON.
    """
    try:
        document = json.loads(text)
        raw = document.get("steps") or []
        steps = tuple(_step(entry) for entry in raw)
        urns = [str(entry["urn"]) for entry in raw]
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
        raise ValueError(NOT_A_PREVIEW) from None
    # Even a preview without changes has a step for the stack, and a failed one has an error.
    if not steps and not document.get("diagnostics"):
        raise ValueError(NOT_A_PREVIEW)
    settings = _settings(document.get("config") or {})
    return Digest(
        stack=urns[0].split("::")[0].removeprefix("urn:pulumi:") if urns else "",
        steps=steps,
        pools=_pools(settings.get("pools") or {}, steps),
        settings=settings,
        diagnostics=tuple(_diagnostics(document.get("diagnostics") or [])),
        shared=(
            _shared(step.old for step in steps if step.type == POOL_TYPE),
            _shared(step.new for step in steps if step.type == POOL_TYPE),
        ),
        attributes=(
            _attributes(step.old for step in steps if step.type == POOL_TYPE),
            _attributes(step.new for step in steps if step.type == POOL_TYPE),
        ),
    )


def _settings(config: Mapping[str, str]) -> dict[str, Any]:
    found = {key.rpartition(":")[2]: text for key, text in config.items() if text != SECRET}
    return {key: json.loads(found[key]) for key in SETTINGS if found.get(key)}


def _pools(settings: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, str]:
    """Return each node's pool, from its resources if it leaves, else from the settings."""
    found = {
        step.name if step.type == NODE_TYPE else step.node: step.parent.rpartition("::")[2]
        for step in steps
        if (step.type == NODE_TYPE or step.part_of_node) and _kind(step.parent) == POOL_TYPE
    }
    for pool, content in settings.items():
        found |= {str(node["name"]): pool for node in (content or {}).get("nodes") or ()}
    return found


def _shared(pools: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what each node has in common with others, by these inputs of pools."""
    texts = (entry for inputs in pools for entry in inputs.get("shared") or ())
    return {name: entry["text"] for entry in texts for name in entry["nodes"]}


def _attributes(pools: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return what each Node is to have, by these inputs of pools; earlier releases had none."""
    found: dict[str, Mapping[str, Any]] = {}
    for inputs in pools:
        if "attributes" in inputs:
            found |= {n: {} for entry in inputs.get("shared") or () for n in entry["nodes"]}
            found |= {n: entry for entry in inputs["attributes"] for n in entry["nodes"]}
    return found


def _diagnostics(entries: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        severity = entry.get("severity", "")
        message = entry.get("message", "").strip().removeprefix(f"{severity}: ")
        # This one is about this computer, not about the change.
        if message and not message.startswith(("using pulumi-", "resource plugin ")):
            yield severity, message


def _step(entry: Mapping[str, Any]) -> Step:
    old, new = entry.get("oldState") or {}, entry.get("newState") or {}
    urn = str(entry["urn"])
    paths = entry.get("detailedDiff") or dict.fromkeys(entry.get("diffReasons") or ())
    return Step(
        op=str(entry["op"]),
        name=urn.rpartition("::")[2],
        type=_kind(urn),
        parent=str((new or old).get("parent", "")),
        old=old.get("inputs") or {},
        new=new.get("inputs") or {},
        changed=tuple(sorted(paths)),
        retained=bool(old.get("retainOnDelete")),
        former_name=str(old.get("urn") or urn).rpartition("::")[2],
    )


def _kind(urn: str) -> str:
    """Return the type of the resource that a URN names, without the types of its parents."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 3 else ""
