"""Nodes: what the rules look at, and what is kept of each."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from admission import rules
from admission.objects.node import internal_addresses, ready_condition, system_info

KEPT_METADATA = ("name", "uid", "deletionTimestamp")
# Much of the rest is long: images and volumes.
KEPT_STATUS = ("addresses", "conditions", "nodeInfo")
LONGEST_STATUS = 16


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


def kept_readiness(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the rules look at of a Node, and whether it is Ready: all of many Nodes.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it lacks what we read.
    """
    kept = kept_node(node)
    ready = {"type": "Ready", "status": ready_condition(kept, "status")[:LONGEST_STATUS]}
    return {"metadata": kept_metadata(kept), "status": {"conditions": [ready]}}


def kept_if_in(
    names: Collection[str],
    keep: Callable[[Mapping[str, Any]], dict[str, Any]],
    node: dict[str, Any],
) -> dict[str, Any] | None:
    """Return what `keep` keeps of one of these nodes: there may be thousands of others."""
    return keep(node) if node["metadata"]["name"] in names else None


def kept_metadata(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of the metadata of one of many Nodes."""
    metadata = node["metadata"]
    return {key: metadata[key] for key in KEPT_METADATA if key in metadata}
