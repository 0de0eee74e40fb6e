"""The report of a preview for a pull request: Markdown for a comment on GitHub.

What several nodes share is reported once, with their names. It has no secrets and no encoded text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from preview import cluster_changes
from preview.digest import REPLACING, Digest, Step, read_digest
from preview.hunks import joined
from preview.markdown import Block, count, fence, fit, names, natural
from preview.node_changes import Change, attribute_changes, changes, member_changes

LIMIT = 65_536  # characters of a comment on GitHub
NO_POOL = ""
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")


def report(text: str, *, limit: int = LIMIT) -> str:
    """Return the report of what `pulumi preview --json` printed.

    Raises:
        ValueError: the text is not a preview in JSON.
    """
    digest = read_digest(text)
    blocks = [Block(text=f"## Preview of the stack `{digest.stack}`"), *_blocks(digest)]
    return fit(blocks, limit)


def _blocks(digest: Digest) -> Iterator[Block]:
    members = _Membership(digest)
    errors = [message for severity, message in digest.diagnostics if severity == "error"]
    if errors:
        lines = TOKEN.sub("<token>", "\n".join(errors)).split("\n")
        yield Block(text=f"**The preview failed.**\n\n{fence(lines, 'text')}")
    others = list(cluster_changes.blocks(digest))
    shared = _shared(digest, members)
    if not (others or shared or members.any or errors):
        yield Block(text="Nothing changes.")
    if summary := members.summary(shared):
        yield Block(text=summary)
    warnings = [*members.warnings(shared), *cluster_changes.warnings(digest)]
    warnings += [message for severity, message in digest.diagnostics if severity == "warning"]
    if warnings:
        listed = "\n".join(
            "> - " + TOKEN.sub("<token>", text).replace("\n", "\n>   ") for text in warnings
        )
        yield Block(text=f"> [!WARNING]\n{listed}")
    for pool in sorted({*shared, *members.pools}, key=natural):
        yield Block(text=f"### Pool `{pool}`" if pool else "### Nodes")
        yield from members.blocks(pool)
        yield from _change_blocks(shared.get(pool, {}))
    if others:
        yield Block(text="### Other resources")
        yield from others


def _change_blocks(found: Mapping[Change, Iterable[str]]) -> Iterator[Block]:
    """Yield a paragraph for all changes of one kind that the same nodes have."""
    grouped: dict[tuple[str, str, tuple[str, ...]], list[tuple[str, ...]]] = {}
    for change, nodes in found.items():
        hunks = grouped.setdefault((change.title, change.effect, tuple(nodes)), [])
        if change.lines:
            hunks.append(change.lines)
    for (title, effect, on), hunks in grouped.items():
        text = f"**{title}** on {names(on)}" + (f": {effect}" if effect else "")
        yield Block(text=text, lines=joined(hunks))


Shared = dict[str, dict[Change, dict[str, None]]]


def _shared(digest: Digest, members: "_Membership") -> Shared:
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


class _Membership:
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
        self.replaced = sorted((n for n, s in files.items() if s.op in REPLACING), key=sort)
        affected = [*self.replaced, *self.joining, *self.rejoining, *self.gone]
        self.pools = {self.pool(node) for node in affected}

    @property
    def any(self) -> bool:
        return bool(self.pools)

    def pool(self, node: str) -> str:
        return self.digest.pools.get(node, NO_POOL)

    def summary(self, shared: Shared) -> str:
        changed = {n for pool in shared.values() for nodes in pool.values() for n in nodes}
        restarted = _restarted(shared)
        verbs = (
            ("join", self.joining),
            ("rejoin", self.rejoining),
            ("leave", self.gone),
            ("change", changed),
        )
        parts = [count(len(nodes), "node", verb) for verb, nodes in verbs if nodes]
        if restarted:
            parts.append(count(len(restarted), "kubelet", "restart"))
        return f"**{', '.join(parts)}.**" if parts else ""

    def warnings(self, shared: Shared) -> Iterator[str]:
        for node in self.gone:
            if node in self.taken:
                yield (
                    f"`{node}`: its machine becomes `{self.taken[node]}`, if it was reinstalled. It"
                    " refuses if it is still this node."
                )
            elif node in self.forced & self.leaving:
                yield f"`{node}` is removed without a drain: nothing waits for its pods."
            elif node not in self.forced:
                yield f"`{node}` is drained: its pods are evicted, then its Node is deleted."
        if self.replaced:
            yield (
                f"The files of {names(self.replaced)} are replaced, which no setting asks for: the"
                " engine removes them, and stops the kubelet, after it has written them."
            )
        for pool, found in shared.items():
            nodes = _restarted({pool: found})
            if len(nodes) > 1:
                where = f" of the pool `{pool}`" if pool else ""
                yield f"The kubelets of {count(len(nodes), 'node')}{where} restart in one run."

    def blocks(self, pool: str) -> Iterator[Block]:
        """Yield what happens to the nodes of a pool that join, rejoin and leave."""
        described = (
            (self.joining, "Join", "the files are written, the kubelet starts with a new token,"
             " the gate proves the join"),
            (self.rejoining, "Rejoin", "the files are compared; if the machine has no valid"
             " certificate, its kubelet restarts with a new token"),
            ([n for n in self.gone if n in self.taken], "Leave", "its Node is deleted"),
            ([n for n in self.gone if n not in self.forced | self.taken.keys()], "Leave",
             "the kubelet stops, and the files of this program are removed"),
            ([n for n in self.gone if n in self.forced], "Leave", "nothing connects to the machine,"
             " which is gone"),
        )  # fmt: skip
        lines = []
        for nodes, verb, what in described:
            here = [node for node in nodes if self.pool(node) == pool]
            if here:
                lines.append(f"- **{verb}:** {names(here)}; {what}")
        if lines:
            yield Block(text="\n".join(lines))


def _restarted(shared: Shared) -> set[str]:
    return {
        node
        for found in shared.values()
        for change, nodes in found.items()
        if change.restarts and "where one" not in change.effect
        for node in nodes
    }
