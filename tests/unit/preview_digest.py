"""Previews in the form of `pulumi preview --json`, made of settings before and after a change."""

import json
from typing import Any

import node_files
from settings.model import Settings
from settings.parsing import parse
from stack.nodes import to_cluster, to_node

STACK = "urn:pulumi:production::kubelet-tls-bootstrap::"
PROGRAM = "kubelet-tls-bootstrap:index:"
ROOT = f"{STACK}pulumi:pulumi:Stack::kubelet-tls-bootstrap-production"
COMMAND = "command:remote:Command"
SECRET = "[secret]"


def settings(nodes: dict[str, dict[str, Any]], pool: str = "workers", **shared: Any) -> Settings:
    """Settings with one pool; each node has an address of its own."""
    listed = [
        {"name": name, "address": f"10.0.{index // 250}.{index % 250 + 1}", **own}
        for index, (name, own) in enumerate(nodes.items())
    ]
    return parse({"pools": {pool: {"nodes": listed, **shared}}})


def inputs(settings: Settings, step: str, *, ca: str = "-", script: str = "") -> dict[str, Any]:
    """The inputs of each node's resource of this step, by the node's name."""
    cluster = to_cluster(settings.cluster, "https://10.0.9.9:6443", ca)
    found = {}
    for pool in settings.pools.values():
        for entry in pool.nodes:
            node = to_node(settings, pool, entry)
            if entry.force and step != "files":
                continue
            if step == "files":
                stdin = node_files.known(cluster, node)
                if script:
                    for word in ("bundle ", "running "):
                        stdin = stdin.replace(word, f"{word}{script}", 1)
                found[entry.name] = {"connection": SECRET, "stdin": stdin}
            else:
                found[entry.name] = {
                    "delete": f"admission leave {entry.name} --stack s",
                    "stdin": f"join {entry.generation}",
                }
    return found


def shared(settings: Settings, *, ca: str = "-", **_: Any) -> dict[str, Any]:
    """The inputs of the pool."""
    cluster = to_cluster(settings.cluster, "https://10.0.9.9:6443", ca)
    nodes = [to_node(settings, p, entry) for p in settings.pools.values() for entry in p.nodes]
    texts = {node.name: node_files.shared(cluster, node) for node in nodes}
    return {
        "shared": [{"nodes": [name], "text": text} for name, text in texts.items()],
        "attributes": [
            {
                "nodes": [node.name],
                "labels": dict(node.labels),
                "annotations": dict(node.annotations),
                "taints": list(node.taints),
            }
            for node in nodes
        ],
    }


def step(
    op: str, urn: str, parent: str, old: object = None, new: object = None, *changed: str
) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": op, "urn": urn}
    for key, state in (("oldState", old), ("newState", new)):
        if state is not None:
            entry[key] = {"urn": urn, "parent": parent, "inputs": state}
    entry["detailedDiff"] = {path: {"kind": "update", "inputDiff": True} for path in changed}
    return entry


def node_steps(before: Settings, after: Settings, **changes: Any) -> list[dict[str, Any]]:
    """The steps of all nodes, as the engine finds them between two settings."""
    (pool,) = after.pools
    pool_urn = f"{STACK}{PROGRAM}NodePool::{pool}"
    found = [step("update", pool_urn, ROOT, shared(before), shared(after, **changes))]
    forced = {entry.name for p in before.pools.values() for entry in p.nodes if entry.force}
    kinds = {"files": COMMAND, "member": "command:local:Command"}
    for kind, of_kind in kinds.items():
        old = inputs(before, kind)
        new = inputs(after, kind, **(changes if kind == "files" else {}))
        for name in dict.fromkeys([*old, *new]):
            urn = f"{STACK}{PROGRAM}NodePool${of_kind}::{name}-{kind}"
            a, b = old.get(name), new.get(name)
            found.append(_compared(urn, pool_urn, a, b))
            if kind == "files" and name in forced and a:
                found[-1]["oldState"]["retainOnDelete"] = True
    return found


def _compared(urn: str, parent: str, old: Any, new: Any) -> dict[str, Any]:
    if old is None or new is None:
        return step("delete" if new is None else "create", urn, parent, old, new)
    changed = [key for key in new if new[key] != old.get(key)]
    if not changed:
        return step("same", urn, parent, old, new)
    return step("update", urn, parent, old, new, *changed)


def token_steps(holder: str, op: str = "replace", *, pool: str = "") -> list[dict[str, Any]]:
    """A new token of a node, or of a whole pool, and the seed that it is made from."""
    parent = f"{STACK}{PROGRAM}NodePool::{pool or holder}"
    kinds = {
        f"{pool or holder}-token-seed": "random:index/randomPassword:RandomPassword",
        f"{holder}-token": "kubernetes:core/v1:Secret",
    }
    data = {"stringData": {"token-secret": SECRET}}
    return [
        step(op, f"{STACK}{PROGRAM}NodePool${kind}::{name}", parent, data, data)
        for name, kind in kinds.items()
    ]


def gate_step(pool: str, op: str = "update") -> dict[str, Any]:
    parent = f"{STACK}{PROGRAM}NodePool::{pool}"
    urn = f"{STACK}{PROGRAM}NodePool$command:local:Command::{pool}-gate"
    return step(op, urn, parent, {"stdin": "{}"}, {"stdin": "{1}"}, "stdin")


def digest(
    *steps: dict[str, Any], diagnostics: Any = None, config: dict[str, str] | None = None
) -> str:
    """The text of a preview of these steps."""
    root = step("same", ROOT, "", {}, {})
    return json.dumps({"config": config or {}, "steps": [root, *steps], "diagnostics": diagnostics})
