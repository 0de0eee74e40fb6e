"""The labels, annotations and taints of a pool's Nodes: each set of them once, with its nodes.

They are an input of the pool, for a preview, and of its gate, which sets them.
"""

import json
from collections.abc import Iterable
from typing import Any

from components.pool_arguments import PoolNode


def node_attributes(nodes: Iterable[PoolNode]) -> list[dict[str, Any]]:
    """Return what the Nodes are to have; nothing for those that are to have nothing."""
    return _grouped(
        (
            entry.node.name,
            {
                "labels": dict(sorted(entry.node.labels.items())),
                "annotations": dict(sorted(entry.node.annotations.items())),
                "taints": sorted(entry.node.taints),
            },
        )
        for entry in nodes
    )


def registered_taints(nodes: Iterable[PoolNode]) -> list[dict[str, Any]]:
    """Return the taints that their kubelets have registered with, or register with in this run.

    One that is missing on a Node has been removed since, by a controller for example.
    """
    return _grouped(
        (entry.node.name, {"taints": sorted(entry.registered_taints)}) for entry in nodes
    )


def _grouped(found: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for name, attributes in sorted(found, key=lambda one: one[0]):
        given = {key: value for key, value in attributes.items() if value}
        if given:
            group = groups.setdefault(json.dumps(given), {"nodes": [], **given})
            group["nodes"].append(name)
    return list(groups.values())
