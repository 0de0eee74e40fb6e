"""Nodes: what the rules look at, and what is kept of each."""

from collections.abc import Mapping
from typing import Any

from admission import rules
from admission.objects.node import internal_addresses, ready_condition, system_info

# Much of the rest is long: images and volumes.
KEPT_STATUS = ("addresses", "conditions", "nodeInfo")


def judged_node(node: Mapping[str, Any]) -> rules.NodeObject:
    """Return what the rules look at of a Node."""
    metadata = node["metadata"]
    return rules.NodeObject(
        name=metadata["name"],
        deleting="deletionTimestamp" in metadata,
        uid=metadata.get("uid", ""),
    )


def kept_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a Node.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it lacks what we read.
    """
    status = node.get("status") or {}
    kept = {
        "metadata": node["metadata"],
        "spec": node.get("spec") or {},
        "status": {key: status.get(key) for key in KEPT_STATUS},
    }
    judged_node(kept)
    internal_addresses(kept)
    ready_condition(kept, "status")
    system_info(kept, "machineID")
    return kept
