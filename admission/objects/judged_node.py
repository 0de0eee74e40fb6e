"""Nodes: what the rules look at."""

from collections.abc import Mapping
from typing import Any

from admission import rules


def judged_node(node: Mapping[str, Any]) -> rules.NodeObject:
    """Return what the rules look at of a Node."""
    metadata = node["metadata"]
    return rules.NodeObject(
        name=metadata["name"],
        deleting="deletionTimestamp" in metadata,
        uid=metadata.get("uid", ""),
    )
