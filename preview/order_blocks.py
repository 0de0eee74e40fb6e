"""The order of a run, in words for the report."""

from collections.abc import Iterator, Sequence

from preview.markdown import Block, are, count, names
from preview.order import CHANGE, CONTROL_PLANE, JOIN, LEAVE, REJOIN, Part

VERBS = {
    CHANGE: ("changes", "change"),
    JOIN: ("joins", "join"),
    REJOIN: ("joins again", "join again"),
}
LONGEST_LIST = 200  # characters


def order_blocks(parts: Sequence[Part]) -> Iterator[Block]:
    """Yield a list with a line for each stage, if more than one thing happens."""
    if len(parts) < 2:
        return
    lines = []
    for stage in range(1, parts[-1].stage + 1):
        of_stage = [part for part in parts if part.stage == stage]
        is_last = stage > 1 and any(part.action == LEAVE for part in of_stage)
        lead = "once all nodes have joined: " if is_last else ""
        lines.append(f"{stage}. {lead}{'; '.join(map(_words, of_stage))}")
    yield Block(text="**Order**\n\n" + "\n".join(lines))


def _words(part: Part) -> str:
    if part.action == CONTROL_PLANE:
        return f"the flags of the control plane on {_listed(part.nodes)}, one machine at a time"
    of_pool = f" of the pool `{part.pool}`" if part.pool else ""
    if part.action == LEAVE:
        return _leaving(part, of_pool)
    verb = VERBS[part.action][len(part.nodes) > 1]
    said = f"{_listed(part.nodes)}{of_pool} {verb}"
    if part.at_once and len(part.nodes) > 1:
        said += f" {part.at_once} at a time"
    if not part.restarts:
        return said
    return f"{said}, {count(len(part.restarts), 'kubelet', 'restart')}"


def _leaving(part: Part, of_pool: str) -> str:
    said = []
    if part.drained:
        at_once = f" {part.at_once} at a time" if len(part.drained) > 1 else ""
        listed = _listed(part.drained)
        said.append(f"{listed}{of_pool} {are(part.drained)} drained{at_once} and removed")
    if others := [node for node in part.nodes if node not in part.drained]:
        said.append(f"{_listed(others)}{of_pool} {are(others)} removed without a drain")
    return "; ".join(said)


def _listed(nodes: Sequence[str]) -> str:
    listed = names(nodes)
    return listed if len(listed) <= LONGEST_LIST else count(len(nodes), "node")
