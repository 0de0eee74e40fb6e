"""What is known of the stack's nodes before a run: the last run's outputs, and the state.

`membership` says what follows from it for the next run, `changes` what to warn of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.former_tokens import FormerTokens
from stack.state import Files, State

NODES = "nodes"
RECORD = "record"
LEAVING = "leaving"


@dataclass(frozen=True, kw_only=True)
class RecordedNode:
    """A node as the last run has left it."""

    address: str
    pool: str | None = None
    """The pool that it was in; None: not recorded."""
    join: str | None = None
    """What its join was named by; None: by a release that did not record it."""
    labels: Mapping[str, str] | None = None
    """Those of its settings, by an earlier release; None: not recorded, since its Node has them."""
    taints: tuple[str, ...] | None = None
    """As with labels."""
    gone: bool = False
    """Whether its machine was gone by the settings."""
    joined: Mapping[str, Any] | None = None
    """Its entry in the output `nodes`; None: it had not joined."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the last run knew; nothing for a stack that never ran."""

    nodes: Mapping[str, RecordedNode] = field(default_factory=dict)
    """By their names."""
    files: Mapping[str, Files] = field(default_factory=dict)
    """By the names of the nodes, including those no longer in the settings."""
    joins: Mapping[str, str] = field(default_factory=dict)
    """By the names of the nodes: what the join is named by that the stack has."""
    members: Mapping[str, str] = field(default_factory=dict)
    """The URNs of what joins and leaves, by the names of the nodes that have not begun to leave."""
    tokens: FormerTokens = field(default_factory=FormerTokens)
    """The bootstrap tokens of all pools."""
    in_cluster: Mapping[str, str] = field(default_factory=dict)
    """What roles, bindings and inventories are called in the cluster, by their names in the stack.
    """
    inventories: Sequence[str] = ()
    """What the inventories say."""
    ttl_minutes: int | None = None
    """The setting `token.ttlMinutes`; None: not recorded."""
    run: int = 0
    """The number of the last run of a program of others whose outputs were kept; 0: there is none.
    """

    @classmethod
    def of(cls, state: State) -> "Record":
        """Return what a stack's state records, that of earlier releases too."""
        record = state.outputs.get(RECORD)
        record = record if isinstance(record, dict) else {}
        members = record.get("nodes")
        joined = _joined(state.outputs.get(NODES))
        found = {
            name: RecordedNode(address=str(entry["address"]), joined=entry)
            for name, entry in joined.items()
        }
        for name, entry in (members if isinstance(members, dict) else {}).items():
            if isinstance(entry, dict) and "address" in entry:
                found[name] = RecordedNode(
                    address=str(entry["address"]),
                    pool=state.pools.get(name) or entry.get("pool"),
                    join=entry.get("join"),
                    labels=entry.get("labels"),
                    taints=tuple(entry["taints"]) if "taints" in entry else None,
                    gone=entry.get("gone", False),
                    joined=joined.get(name),
                )
        # Of a run that was interrupted before it had outputs.
        for name, files in state.files.items():
            known = RecordedNode(
                address=files.address, pool=state.pools.get(name), join=state.joins.get(name)
            )
            found.setdefault(name, known)
        ttl = record.get("ttlMinutes")
        leaving = state.outputs.get(LEAVING)
        run = leaving.get("run") if isinstance(leaving, dict) else None
        return cls(
            nodes=found,
            files=state.files,
            joins=state.joins,
            members=state.members,
            tokens=state.tokens,
            in_cluster=state.in_cluster,
            inventories=state.inventories,
            ttl_minutes=ttl if ttl is None else int(ttl),
            run=int(run) if isinstance(run, int | float) else 0,
        )


def _joined(found: Any) -> dict[str, Mapping[str, Any]]:
    """Return the entries of the output `nodes` by the nodes' names."""
    if isinstance(found, list):  # of earlier releases
        named = ((e.get("name"), e) for e in found if isinstance(e, dict))
    else:
        pools = found.values() if isinstance(found, dict) else ()
        named = (pair for pool in pools if isinstance(pool, dict) for pair in pool.items())
    return {
        name: entry
        for name, entry in named
        if isinstance(name, str) and isinstance(entry, dict) and "address" in entry
    }
