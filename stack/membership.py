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
    return known is not None and known.joined is not None and known.join == join


def former(node: NodeSettings, settings: Settings, record: Record) -> str | None:
    """Return the node that a new node's machine was, if the settings have that one no more."""
    if node.force or node.name in record.nodes:
        return None
    present = {entry.name for pool in settings.pools.values() for entry in pool.nodes}
    owners = (name for name, known in record.nodes.items() if known.address == node.address)
    return next((name for name in sorted(owners) if name not in present), None)


def document(settings: Settings, record: Record, keys: Keys) -> dict[str, Any]:
    """Return what the next run needs to know of this one: the output `record`.

    `keys` are the fingerprints of the SSH keys by their paths, the stack's own by None.
    """
    found = {}
    for pool_name, pool in settings.pools.items():
        for entry in pool.nodes:
            if entry.force:
                continue
            node = to_node(settings, pool, entry)
            ssh = merge_models(merge_models(settings.ssh, pool.ssh), entry.ssh)
            key = keys.get(ssh.private_key_path)
            found[entry.name] = {
                "pool": pool_name,
                "address": entry.address,
                "join": join(entry.name, entry.generation, entry.address, record),
                "labels": dict(node.labels),
                "taints": list(node.taints),
                **({"key": key} if key else {}),
            }
    return {"ttlMinutes": settings.token.ttl_minutes, "nodes": found}
