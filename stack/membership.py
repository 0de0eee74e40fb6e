"""The identity of each node's membership, which decides about its token and its join.

A token is made again, and a join runs again, when the identity changes: with a new generation, and
with another address, at which there is another machine.
"""

from typing import Any

from settings.model import NodeSettings, Settings
from stack.record import Record


def join(name: str, generation: int, address: str, record: Record) -> str:
    """Return what a node's join is named by: its generation, and its address once either changes.

    It is a function of the last run's record, so that a run that has failed before its outputs were
    written leaves the same to the next. Earlier releases use the generation alone.
    """
    known = record.nodes.get(name)
    if known is None:
        return str(generation)
    again = f"{generation}@{address}"
    if known.address != address:
        return again
    if known.join is None:
        return str(generation)
    if known.join.partition("@")[0] != str(generation):
        return again
    if _is_proven(name, known.join, record) and not is_member(name, known.join, record):
        # A `pulumi destroy` that was interrupted: the token of that join is dead.
        return again if known.join != again else f"{again}+"
    return known.join


def has_joined(name: str, join: str, record: Record) -> bool:
    """Return whether a node is known to have joined by this very join, and has not left since."""
    return _is_proven(name, join, record) and is_member(name, join, record)


def _is_proven(name: str, join: str, record: Record) -> bool:
    known = record.nodes.get(name)
    return known is not None and known.joined is not None and known.joined.get("join") == join


def is_member(name: str, join: str, record: Record) -> bool:
    """Return whether a node's machine has joined by this very join, by the state, and not left."""
    return record.joins.get(name) == join and name in record.members


def names(settings: Settings) -> set[str]:
    """Return the names of all nodes of the settings."""
    return {entry.name for pool in settings.pools.values() for entry in pool.nodes}


def former(node: NodeSettings, settings: Settings, record: Record) -> tuple[str, ...]:
    """Return the nodes whose files a node takes over: its machine was those until this run.

    That needs files of theirs at its address, none of its own, and settings without them. A refresh
    may have given a node's own files to a name that its machine has refused; they are where they
    were.
    """
    if node.name in record.files:
        return ()
    present, own = names(settings), record.nodes.get(node.name)
    places = {node.address, own.address if own is not None else node.address}
    return tuple(
        name
        for name, files in sorted(record.files.items())
        if files.address in places and name not in present and not _is_gone(name, record)
    )


def files(node: NodeSettings, settings: Settings, record: Record) -> tuple[str, ...]:
    """Return the URNs of a node's files in the stack, under its name or those of its machine."""
    owners = (node.name,) if node.name in record.files else former(node, settings, record)
    return tuple(record.files[name].urn for name in owners)


def _is_gone(name: str, record: Record) -> bool:
    known = record.nodes.get(name)
    return known is not None and known.gone


def document(settings: Settings, record: Record) -> dict[str, Any]:
    """Return what the next run needs to know of this one: the output `record`."""
    found: dict[str, Any] = {}
    for pool_name, pool in settings.pools.items():
        for entry in pool.nodes:
            if entry.force:
                continue
            found[entry.name] = {
                "pool": pool_name,
                "address": entry.address,
                "join": join(entry.name, entry.generation, entry.address, record),
            }
    forced = names(settings) - found.keys()
    for name, known in record.nodes.items():
        # Until the stack has nothing of it any more: its removal may fail, or it may come back.
        if name not in found and (name in record.files or name in record.joins):
            found[name] = {"address": known.address}
            found[name] |= {"join": known.join} if known.join else {}
            found[name] |= {"gone": True} if known.gone or name in forced else {}
    return {"ttlMinutes": settings.token.ttl_minutes, "nodes": found}
