"""Changes since the last run that a machine may refuse, or that reach no Node.

The program warns of them before it touches anything. docs/how-it-works.md says what else a change
does.
"""

from collections.abc import Iterator, Mapping

import node_files
from settings.model import NodeSettings, Settings
from stack import membership
from stack.nodes import to_node
from stack.record import Record, RecordedNode

Keys = Mapping[str | None, str]


def warnings(settings: Settings, record: Record, keys: Keys) -> Iterator[str]:
    """Yield what to know of the changes since the record was written, a sentence or two each.

    `keys` are the fingerprints of today's SSH keys by their paths, the stack's own by None.
    """
    yield from _lifetime(settings, record)
    yield from _former_keys(settings, record, keys)
    today = {
        entry.name: entry
        for pool in settings.pools.values()
        for entry in pool.nodes
        if not entry.force
    }
    gone = {name for name, known in record.nodes.items() if known.gone}
    gone |= membership.names(settings) - today.keys()
    owners = {files.address: name for name, files in record.files.items() if name not in gone}
    for pool_name, pool in settings.pools.items():
        for index, entry in enumerate(pool.nodes):
            if entry.force:
                continue
            path = f"pools.{pool_name}.nodes[{index}]"
            yield from _address(path, entry, today, owners, record)
            yield from _moved(path, entry, today, settings.client_approval_of(pool), record)
            known = record.nodes.get(entry.name)
            join = membership.join(entry.name, entry.generation, entry.address, record)
            if (
                known is not None
                and (known.labels or known.taints)
                and membership.has_joined(entry.name, join, record)
            ):
                yield from _left_behind(path, to_node(settings, pool, entry), known)


def _lifetime(settings: Settings, record: Record) -> Iterator[str]:
    was, now = record.ttl_minutes, settings.token.ttl_minutes
    if was not in (None, now):
        yield (
            f"token.ttlMinutes was {was} and is now {now}: this applies to tokens created from now"
            " on; existing ones keep their expiration"
        )


def _former_keys(settings: Settings, record: Record, keys: Keys) -> Iterator[str]:
    """Yield the nodes that leave over a connection with a key no longer in the settings."""
    stay = membership.names(settings)
    for pool in settings.pools.values():
        for entry in pool.nodes:
            stay.update(membership.former(entry, settings, record))
    for name, files in record.files.items():
        known = record.nodes.get(name)
        if name in stay or (known is not None and known.gone):
            continue
        if files.key is not None and files.key not in keys.values():
            yield (
                f"{name} leaves in this run, over SSH with the key of the last run ({files.key}),"
                " which is no longer in the settings; if its machine no longer accepts that key,"
                f" its removal fails: remove {name} in a run with its key, or set force: true for"
                " it if the machine is gone"
            )


def _address(
    path: str,
    entry: NodeSettings,
    today: Mapping[str, NodeSettings],
    owners: Mapping[str, str],
    record: Record,
) -> Iterator[str]:
    """Yield what becomes of a machine that another node was, and of the one that this node was."""
    name, address = entry.name, entry.address
    owner = owners.get(address, name)
    if owner != name:
        if owner in today and today[owner].address == address:
            return  # two nodes at one address, which the settings' own check refuses
        goes = f"moves to {today[owner].address}" if owner in today else "leaves"
        yield (
            f'{path}.address "{address}" was the address of the node {owner}, which {goes} in this'
            f" run. If the machine was reinstalled, it becomes {name}. If it is still {owner}, it"
            f" refuses and is left as it is: remove {owner} in a run of its own first, then add"
            f" {name}."
            + (
                f" If its host key is new, {owner}'s removal can't reach it: put {owner} back with"
                " force: true for one run."
                if owner not in today and name in record.files
                else ""
            )
        )


def _moved(
    path: str,
    entry: NodeSettings,
    today: Mapping[str, NodeSettings],
    approval: str,
    record: Record,
) -> Iterator[str]:
    """Yield what a node's new address means for the machine there, and for the one that it had."""
    name, address = entry.name, entry.address
    known = record.nodes.get(name)
    if known is None or known.address == address:
        return
    if not any(other.address == known.address for other in today.values()):
        yield (
            f'{path}.address of {name} was "{known.address}" and is "{address}": the machine at'
            f" {address} joins with a new token. The one at {known.address} keeps its kubelet and"
            f" its certificates, if it still runs: stop it, or two machines will be {name}."
            + (
                f" If another machine takes its place, delete the old one's Node first (kubectl"
                f" delete node {name}): the gate lets in nobody whose Node exists."
                if approval == "gate"
                else ""
            )
        )


def _left_behind(path: str, node: node_files.Node, known: RecordedNode) -> Iterator[str]:
    """Yield the commands for what an earlier release has set: no Node has a record of that."""
    labels = sorted((known.labels or {}).keys() - node.labels.keys())
    kept = {node_files.key_and_effect(taint) for taint in node.taints}
    taints = dict.fromkeys(map(node_files.key_and_effect, known.taints or ()))
    gone = [name for name in taints if name not in kept]
    for kind, names in (("label", labels), ("taint", gone)):
        if names:
            words = " ".join(f"{name}-" for name in names)
            yield (
                f"{path}: {node.name} has joined with {kind}s that are no longer in the settings,"
                " in a run of an earlier release, and keeps them; run:"
                f" kubectl {kind} node {node.name} {words}"
            )
