"""The identity of each node's membership, which decides about its token and its join.

A token is made again, and a join runs again, when the identity changes: with a new generation, and
with another address, at which there is another machine.
"""

from collections.abc import Mapping
from typing import Any

from settings.layer import merge_models
from settings.model import NodeSettings, Settings
from stack.nodes import to_node
from stack.record import Record

Keys = Mapping[str | None, str]


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
    """Tell whether a node is known to have joined by this very join."""
    known = record.nodes.get(name)
    return known is not None and known.has_joined and known.join == join


def names(settings: Settings) -> set[str]:
    """Return the names of all nodes of the settings."""
    return {entry.name for pool in settings.pools.values() for entry in pool.nodes}


def former(node: NodeSettings, settings: Settings, record: Record) -> tuple[str, ...]:
    """Return the nodes that a node's machine was, as far as the settings have them no more."""
    if node.force:
        return ()
    present = names(settings)
    return tuple(
        name
        for name, known in sorted(record.nodes.items())
        if known.address == node.address and name not in present
    )


def written(node: NodeSettings, record: Record) -> bool:
    """Tell whether the stack has a node's files, as far as the last run knows.

    A new stack has none, whatever the settings say of a machine that is gone.
    """
    known = record.nodes.get(node.name)
    return known is not None and known.written


def document(
    settings: Settings, record: Record, keys: Keys, written: Mapping[str, bool]
) -> dict[str, Any]:
    """Return what the next run needs to know of this one: the output `record`.

    `keys` are the fingerprints of the SSH keys by their paths, the stack's own by None; `written`
    tells of each node that is not gone whether the stack has its files.
    """
    found = {}
    for pool_name, pool in settings.pools.items():
        for entry in pool.nodes:
            if entry.force:
                continue
            node = to_node(settings, pool, entry)
            ssh = merge_models(merge_models(settings.ssh, pool.ssh), entry.ssh)
            found[entry.name] = _entry(
                pool=pool_name,
                address=entry.address,
                join=join(entry.name, entry.generation, entry.address, record),
                labels=dict(node.labels),
                taints=list(node.taints),
                key=keys.get(ssh.private_key_path),
                written=written[entry.name],
            )
    taken = {entry["address"] for entry in found.values() if entry.get("written", True)}
    present = names(settings)
    for name, known in record.nodes.items():
        if name not in found:
            left = name not in present
            found[name] = _entry(
                address=known.address,
                key=known.key,
                # A new node at its address has taken them over.
                written=known.written and not (left and known.address in taken),
                gone=known.gone or not left,
                # Kept for ever: a removal may have failed, and may be given up any time later.
                left=left,
            )
    return {"ttlMinutes": settings.token.ttl_minutes, "nodes": found}


def _entry(
    *, key: str | None, written: bool, gone: bool = False, left: bool = False, **rest: Any
) -> dict[str, Any]:
    """Return a node's entry, without what is as usual."""
    flags = {"gone": True} if gone else {}
    flags |= {"left": True} if left else {}
    flags |= {} if written else {"written": False}
    return {**rest, **({"key": key} if key else {}), **flags}
