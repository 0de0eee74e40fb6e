"""Whose a node is that is to leave: its stack's, unless another one's inventory has it.

A state that was restored from a copy may still have a node that has moved to another stack since.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from admission import pool_inventory
from admission.api_server.api import ApiError
from admission.api_server.brief_connection import Requests
from admission.pool_inventory import KEY, NAME_PREFIX, OWNER


async def require_own(api: Requests, name: str, stack: str, namespace: str) -> None:
    """Return if no other stack has a node in the inventories of a namespace, or if we can't see it.

    Raises:
        ValueError: one has; says which, and what to do.
        ApiError, UNREACHABLE: as the request.
    """
    try:
        found = await api.list(pool_inventory.path(namespace), partial(_kept, name, stack))
    except ApiError as error:
        if error.status == 403:  # no right that a removal needs otherwise
            return
        raise
    for item in found.items:
        metadata = item["metadata"]
        raise ValueError(
            f"{name} is a node of the stack {metadata['stack']} now, in its pool"
            f" {metadata['name'].removeprefix(NAME_PREFIX)}, so it stays as it is; if this stack's"
            f" state is older than that, take what it has of {name} out of it (pulumi state"
            f" delete); if that stack is gone, or another one has put its name there, kubectl -n"
            f" {namespace} delete configmap {metadata['name']}; if not, remove {name} there first"
        )


def _kept(node: str, own: str, item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the name of an inventory, and whose it is, if another stack has a node by it."""
    metadata = item["metadata"]
    stack = (metadata.get("annotations") or {}).get(OWNER)
    if stack in (None, own):  # earlier releases name none
        return None
    nodes = json.loads(item["data"][KEY])["nodes"]
    if not any(entry.get("name") == node for entry in nodes if isinstance(entry, Mapping)):
        return None
    return {"metadata": {"name": metadata["name"], "stack": str(stack)}}
