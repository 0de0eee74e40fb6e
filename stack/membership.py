"""The identity of each node's membership, which decides about its token and its join.

A token is made again, and a join runs again, when the identity changes: with a new generation, and
with another address, at which there is another machine.
"""

from typing import Any

from settings.model import NodeSettings, Settings
from stack.nodes import to_node
from stack.record import Record


def join(name: str, generation: int, address: str, record: Record) -> str:
    """Return what a node's join is named by: its generation, and its address once either changes.

    It is a function of the last run's record, so that a run that has failed before its outputs were
    written leaves the same to the next. The generation alone is what earlier releases go by.
    """
    known = record.nodes.get(name)
    if known is None:
        return str(generation)
    if known.address == address:
        if known.join is None:
            return str(generation)
        if known.join.partition("@")[0] == str(generation):
            return known.join
    return f"{generation}@{address}"


def has_joined(name: str, join: str, record: Record) -> bool:
    """Tell whether a node is known to have joined by this very join, which the stack still has.

    An interrupted `pulumi destroy` leaves the outputs as they were.
    """
    known = record.nodes.get(name)
    proven = known is not None and known.joined is not None and known.joined.get("join") == join
    return proven and record.joins.get(name) == join


def names(settings: Settings) -> set[str]:
    """Return the names of all nodes of the settings."""
    return {entry.name for pool in settings.pools.values() for entry in pool.nodes}


def former(node: NodeSettings, settings: Settings, record: Record) -> tuple[str, ...]:
    """Return the nodes whose files a node takes over: its machine was those until this run.

    That needs files of theirs at its address, none of its own, and settings without them.
    """
    if node.force or node.name in record.files:
        return ()
    present = names(settings)
    return tuple(
        name
        for name, files in sorted(record.files.items())
        if files.address == node.address and name not in present
    )


def document(settings: Settings, record: Record) -> dict[str, Any]:
    """Return what the next run needs to know of this one: the output `record`."""
    found: dict[str, Any] = {}
    for pool_name, pool in settings.pools.items():
        for entry in pool.nodes:
            if entry.force:
                continue
            node = to_node(settings, pool, entry)
            found[entry.name] = {
                "pool": pool_name,
                "address": entry.address,
                "join": join(entry.name, entry.generation, entry.address, record),
                "labels": dict(node.labels),
                "taints": list(node.taints),
            }
    forced = names(settings) - found.keys()
    for name, known in record.nodes.items():
        # Until the stack has nothing of it any more: its removal may fail, or it may come back.
        if name not in found and (name in record.files or name in record.joins):
            found[name] = {"address": known.address}
            found[name] |= {"join": known.join} if known.join else {}
            found[name] |= {"gone": True} if known.gone or name in forced else {}
    return {"ttlMinutes": settings.token.ttl_minutes, "nodes": found}
