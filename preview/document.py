"""The report of a preview for machines: what `./ktb report --json` writes.

docs/preview.md describes each field, and what may change in it.
"""

from typing import Any

from preview.digest import read_digest
from preview.membership import Membership, restarted, shared_changes
from preview.order import CHANGE, CONTROL_PLANE, LEAVE, REJOIN, Part, order
from preview.report import told

VERSION = 1


def document(text: str) -> dict[str, Any]:
    """Return what `pulumi preview --json` printed as counts, and as parts in their order.

    Raises:
        ValueError: the text is not a preview in JSON.
    """
    digest = read_digest(text)
    members = Membership(digest)
    shared = shared_changes(digest, members)
    errors = told(digest, "error")
    changed = {node for pool in shared.values() for nodes in pool.values() for node in nodes}
    return {
        "version": VERSION,
        "stack": digest.stack,
        "failed": bool(errors),
        "errors": errors,
        "warnings": told(digest, "warning"),
        "counts": {
            "joins": len(members.joining),
            "rejoins": len(members.rejoining),
            "leaves": len(members.gone),
            "drains": len(members.drained),
            "changes": len(changed),
            "restarts": len(restarted(shared)),
        },
        "order": [_part(part) for part in order(digest, members, shared)],
    }


def _part(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"stage": part.stage, "action": part.action}
    if part.action == CONTROL_PLANE:
        return {**found, "hosts": list(part.nodes), "atOnce": part.at_once}
    found |= {"pool": part.pool, "nodes": list(part.nodes)}
    if part.action in (CHANGE, REJOIN):
        found["restarts"] = list(part.restarts)
    if part.action == LEAVE:
        found["drained"] = list(part.drained)
    return {**found, "atOnce": part.at_once}
