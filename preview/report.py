"""The report of a preview for a pull request: Markdown for a comment on GitHub.

What several nodes share is reported once, with their names. It has no secrets and no encoded text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from preview import cluster_changes
from preview.digest import Digest, read_digest
from preview.hunks import joined
from preview.markdown import Block, are, count, fence, fit, names, natural
from preview.membership import Membership, Shared, restarted, shared_changes
from preview.node_changes import Change
from preview.order import order
from preview.order_blocks import order_blocks

LIMIT = 65_536  # characters of a comment on GitHub
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")


def report(text: str, *, limit: int = LIMIT) -> str:
    """Return the report of what `pulumi preview --json` printed.

    Raises:
        ValueError: the text is not a preview in JSON.
    """
    digest = read_digest(text)
    blocks = [Block(text=f"## Preview of the stack `{digest.stack}`"), *_blocks(digest)]
    return fit(blocks, limit)


def told(digest: Digest, severity: str) -> list[str]:
    """Return the engine's messages of a severity, without what looks like a token."""
    found = (message for each, message in digest.diagnostics if each == severity)
    return [TOKEN.sub("<token>", message) for message in found]


def _blocks(digest: Digest) -> Iterator[Block]:
    members = Membership(digest)
    errors = told(digest, "error")
    if errors:
        lines = "\n".join(errors).split("\n")
        yield Block(text=f"**The preview failed.**\n\n{fence(lines, 'text')}")
    others = list(cluster_changes.blocks(digest))
    shared = shared_changes(digest, members)
    if not (others or shared or members.any or errors):
        yield Block(text="Nothing changes.")
    if summary := _summary(members, shared):
        yield Block(text=summary)
    warnings = [*_warnings(members, shared), *cluster_changes.warnings(digest)]
    warnings += told(digest, "warning")
    if warnings:
        listed = "\n".join("> - " + text.replace("\n", "\n>   ") for text in warnings)
        yield Block(text=f"> [!WARNING]\n{listed}")
    yield from order_blocks(order(digest, members, shared))
    for pool in sorted({*shared, *members.pools}, key=natural):
        yield Block(text=f"### Pool `{pool}`" if pool else "### Nodes")
        yield from _membership_blocks(members, pool)
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


def _summary(members: Membership, shared: Shared) -> str:
    changed = {n for pool in shared.values() for nodes in pool.values() for n in nodes}
    restarting = restarted(shared)
    verbs = (
        ("join", members.joining),
        ("rejoin", members.rejoining),
        ("leave", members.gone),
        ("change", changed),
    )
    parts = [count(len(nodes), "node", verb) for verb, nodes in verbs if nodes]
    if restarting:
        parts.append(count(len(restarting), "kubelet", "restart"))
    if members.drained:
        parts.append(f"{count(len(members.drained), 'node')} {are(members.drained)} drained")
    return f"**{', '.join(parts)}.**" if parts else ""


def _warnings(members: Membership, shared: Shared) -> Iterator[str]:
    for node in members.gone:
        if node in members.taken:
            yield (
                f"`{node}`: its machine becomes `{members.taken[node]}`, if it was reinstalled. It"
                " refuses if it is still this node."
            )
    if forced := [node for node in members.gone if node in members.forced & members.leaving]:
        pods = "its" if len(forced) == 1 else "their"
        yield (
            f"{names(forced)} {are(forced)} removed without a drain: nothing waits for {pods} pods."
        )
    if drained := members.drained:
        one = len(drained) == 1
        evicted = (
            "its pods are evicted, then its Node is"
            if one
            else ("their pods are evicted, then their Nodes are")
        )
        yield f"{names(drained)} {are(drained)} drained: {evicted} deleted."
    if members.replaced:
        yield (
            f"The files of {names(members.replaced)} are replaced, which no setting asks for: the"
            " engine removes them, and stops the kubelet, after it has written them."
        )
    for pool, found in shared.items():
        nodes = restarted({pool: found})
        if len(nodes) > 1:
            where = f" of the pool `{pool}`" if pool else ""
            yield f"The kubelets of {count(len(nodes), 'node')}{where} restart in one run."


def _membership_blocks(members: Membership, pool: str) -> Iterator[Block]:
    """Yield what happens to the nodes of a pool that join, rejoin and leave."""
    taken, forced = members.taken, members.forced
    described = (
        (members.joining, "Join", "the files are written, the kubelet starts with a new token,"
         " the gate proves the join"),
        (members.rejoining, "Rejoin", "the files are compared; if the machine has no valid"
         " certificate, its kubelet restarts with a new token"),
        ([n for n in members.gone if n in taken], "Leave", "its Node is deleted"),
        ([n for n in members.gone if n not in forced | taken.keys()], "Leave",
         "the kubelet stops, and the files of this program are removed"),
        ([n for n in members.gone if n in forced], "Leave", "nothing connects to the machine,"
         " which is gone"),
    )  # fmt: skip
    lines = []
    for nodes, verb, what in described:
        here = [node for node in nodes if members.pool(node) == pool]
        if here:
            lines.append(f"- **{verb}:** {names(here)}; {what}")
    if lines:
        yield Block(text="\n".join(lines))
