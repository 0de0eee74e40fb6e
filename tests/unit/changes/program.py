"""The whole program, declared for a stack's settings and the files that they name."""

import contextlib
import copy
import hashlib
import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from preview.digest import POOL_TYPE
from settings.parsing import SECRETS
from stack.state import STACK
from tests.unit.engine import COMPONENT, Engine

ROOT = Path(__file__).parents[3]
PROJECT = "p"


@dataclass(frozen=True, kw_only=True)
class World:
    """The settings of a stack by their keys, and files by their names; both may be changed."""

    settings: dict[str, Any]
    files: dict[str, bytes] = field(repr=False)

    def copy(self) -> "World":
        return World(settings=copy.deepcopy(self.settings), files=dict(self.files))

    def pool(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.settings["pools"][name]
        return found

    def node(self, name: str) -> dict[str, Any]:
        """Return the entry of a node, of whichever pool."""
        entries = (e for pool in self.settings["pools"].values() for e in pool["nodes"])
        found: dict[str, Any] = next(entry for entry in entries if entry["name"] == name)
        return found

    @property
    def hosts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.settings["controlPlane"]["hosts"]
        return found


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A resource as the program registers it."""

    name: str
    type: str
    parent: str  # its parent's name
    inputs: Mapping[str, Any] = field(repr=False)
    ignored: frozenset[str]
    kept: bool  # retainOnDelete: forgotten when it is removed
    shared: str = field(repr=False)  # what a node's files have in common with those of others
    former: str | None  # the URN of another resource, which it takes over if that is not declared


class _Engine(Engine):
    """Makes another seed for other keepers, and another Secret for another name."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        identity, state = super().new_resource(args)
        if args.typ.startswith("random:"):
            self.results[args.name] = _text([args.name, args.inputs])[: int(args.inputs["length"])]
            state = {**state, "result": self.results[args.name]}
        elif args.typ == "kubernetes:core/v1:Secret":
            name = args.inputs["metadata"]["name"]
            state = {**state, "metadata": {**args.inputs["metadata"], "uid": _text(name)}}
        return identity, state


def _text(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run of the program registers, without its components, by URN; and its state."""

    resources: dict[str, Declared] = field(repr=False)
    state: dict[str, Any] = field(repr=False)


def declare(world: World, directory: Path, last: Run | None = None) -> Run:
    """Run the program after another run, in which all nodes have joined."""
    for name, content in world.files.items():
        (directory / name).write_bytes(content)
    texts = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in world.settings.items()
    }
    pools = world.settings.get("pools", {}).values()
    nodes = [node for pool in pools for node in pool.get("nodes", ())]
    engine = _Engine(
        joined={node["name"]: node["address"] for node in nodes if not node.get("force")},
        state=last.state if last else {},
    )
    pulumi.runtime.set_all_config(texts, [f"{PROJECT}:{key}" for key in SECRETS])
    try:
        with contextlib.chdir(directory):
            engine.run_stack(lambda: runpy.run_path(str(ROOT / "__main__.py")) and None)
    finally:
        pulumi.runtime.set_all_config({})
    pools = [r["object"] for r in engine.requests.values() if r["type"] == POOL_TYPE]
    shared = {n: e["text"] for pool in pools for e in pool.get("shared", ()) for n in e["nodes"]}
    resources = {
        urn: Declared(
            name=request["name"],
            type=request["type"],
            parent=request.get("parent", "").rpartition("::")[2],
            inputs=engine.resources[request["name"]],
            ignored=frozenset(request.get("ignoreChanges", ())),
            kept=bool(request.get("retainOnDelete")),
            shared=shared.get(request["name"].removesuffix("-files"), ""),
            former=next((a["urn"] for a in request.get("aliases", ()) if "urn" in a), None),
        )
        for urn, request in engine.requests.items()
        if not request["type"].startswith((COMPONENT, STACK))
    }
    return Run(resources=resources, state=engine.left_behind())
