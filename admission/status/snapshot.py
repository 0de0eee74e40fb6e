"""What the status is made from: the API server's inventories, Nodes, requests and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from admission import pool_inventory
from admission.api_server.api import CSRS, NODES
from admission.objects.token_secret import MANAGED_BY, TOKENS
from admission.pool_inventory import Inventory

OUR_TOKENS = f"{TOKENS}&labelSelector={'='.join(MANAGED_BY)}"


class Reads(Protocol):
    """What the status asks of an API server."""

    async def insist(self, method: str, path: str) -> Any:
        """Make a request, again while an API server restarts."""

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Return whether a requester may get serving certificates."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that was read from the API server."""

    inventory: Inventory
    nodes: Mapping[str, dict[str, Any]]
    requests: list[dict[str, Any]]
    tokens: list[dict[str, Any]]


async def take(api: Reads, namespace: str, inventory: Inventory | None) -> Snapshot:
    """Read everything once; a given inventory replaces those in the cluster.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    if inventory is None:
        maps = await api.insist("GET", pool_inventory.path(namespace))
        inventory = pool_inventory.from_config_maps(maps["items"])
    nodes, requests, tokens = [
        (await api.insist("GET", path))["items"] for path in (NODES, CSRS, OUR_TOKENS)
    ]
    return Snapshot(
        inventory=inventory,
        nodes={node["metadata"]["name"]: node for node in nodes},
        requests=requests,
        tokens=tokens,
    )
