"""Which nodes a preview lets join, leave and change, and which kubelets restart with that."""

from collections.abc import Iterator

import node_files
from preview.digest import REPLACING, Digest, Step
from preview.markdown import natural
from preview.node_changes import Change, attribute_changes, changes, member_changes

NO_POOL = ""
# The changes of each pool's nodes, each with those that it is for.
Shared = dict[str, dict[Change, dict[str, None]]]


def shared_changes(digest: Digest, members: "Membership") -> Shared:
    """Return each pool's changes of nodes that stay, each with its nodes."""
    found: Shared = {}
    for node, change in _changes(digest):
        if node not in members.gone and node not in members.joining:
            of_pool = found.setdefault(members.pool(node), {})
            # A dict, for an order without repetition.
            of_pool.setdefault(change, {})[node] = None
    return found


def _changes(digest: Digest) -> Iterator[tuple[str, Change]]:
    """Yield each change of each node, the nodes in their natural order."""
    before, after = digest.shared
    for node, step in _updated(digest, "files"):
        yield from ((node, change) for change in changes(step, before.get(node), after.get(node)))
    old, new = digest.attributes
    for node in sorted(old.keys() & new.keys(), key=natural):
        yield from ((node, change) for change in attribute_changes(old[node], new[node]))
    for node, step in _updated(digest, "member"):
        if "delete" in step.changed:
            yield from ((node, change) for change in member_changes())


def _updated(digest: Digest, part: str) -> list[tuple[str, Step]]:
    found = ((node, step) for node, step in digest.of(part) if step.op == "update")
    return sorted(found, key=lambda entry: natural(entry[0]))


def _joins_again(member: Step) -> bool:
    before = member.old.get("stdin")
    # Earlier releases have named the join elsewhere.
    return member.op == "update" and before not in (None, member.new.get("stdin"))


def _is_rewritten(files: Step) -> bool:
    before, after = (str(inputs.get("stdin")) for inputs in (files.old, files.new))
    return node_files.concerns_running_kubelet(before, after)


class Membership:
    """Which nodes join, leave and rejoin."""

    def __init__(self, digest: Digest) -> None:
        self.digest = digest
        files, members = dict(digest.of("files")), dict(digest.of("member"))
        sort = natural
        self.joining = sorted((n for n, s in members.items() if s.op == "create"), key=sort)
        self.rejoining = sorted((n for n, s in members.items() if _joins_again(s)), key=sort)
        deleted = {n: s for n, s in files.items() if s.op == "delete"}
        wiped = {n for n, s in deleted.items() if not s.retained}
        self.leaving = {n for n, s in members.items() if s.op == "delete"}
        self.gone = sorted({*deleted, *self.leaving}, key=sort)
        # Whose machine becomes another node's.
        self.taken = {
            step.former_name.removesuffix("-files"): node
            for node, step in files.items()
            if step.former_name != step.name
        }
        # Their machines are gone, by the settings.
        self.forced = {node for node in self.gone if node not in {*wiped, *self.taken}}
        spared = self.forced | self.taken.keys()
        # In waves, if they are many: not where only the connection changes, or what a kubelet
        # registers with.
        self.rewritten = [
            node
            for node, step in _updated(digest, "files")
            if node not in self.rejoining and _is_rewritten(step)
        ]
        # Those that have joined, and stay.
        self.joined = [n for n, s in members.items() if s.op in ("same", "update")]
        self.drained = sorted(self.leaving - spared, key=sort)
        self.replaced = sorted((n for n, s in files.items() if s.op in REPLACING), key=sort)
        affected = [*self.replaced, *self.joining, *self.rejoining, *self.gone]
        self.pools = {self.pool(node) for node in affected}

    @property
    def any(self) -> bool:
        return bool(self.pools)

    def pool(self, node: str) -> str:
        return self.digest.pools.get(node, NO_POOL)


def restarted(shared: Shared) -> set[str]:
    """Return the nodes whose kubelets restart for sure."""
    return {
        node
        for found in shared.values()
        for change, nodes in found.items()
        if change.restarts and "where one" not in change.effect
        for node in nodes
    }
