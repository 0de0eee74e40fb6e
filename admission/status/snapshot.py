"""What the status is made from: the API server's inventories, Nodes, requests and tokens."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from admission import pool_inventory
from admission.api_server.api import CLIENT_CSRS, NODES, SERVING_CSRS, Keep, NewBound, no_bound
from admission.api_server.lists import Listed
from admission.objects.judged_node import kept_readiness
from admission.objects.token_secret import MANAGED_BY, TOKENS, kept_secret
from admission.objects.whole_requests import new_bound
from admission.pool_inventory import Inventory
from admission.status.kept import kept_for_status

OUR_TOKENS = f"{TOKENS}&labelSelector={'='.join(MANAGED_BY)}"
MOST_TOLD = 10  # of what a list left out


class Reads(Protocol):
    """What the status asks of an API server."""

    async def list(self, path: str, keep: Keep, bound: NewBound = no_bound) -> Listed:
        """Return what is kept of each object in a list, after its last page."""

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Return whether a requester may get serving certificates."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that was read from the API server."""

    inventory: Inventory
    nodes: Mapping[str, dict[str, Any]]
    requests: list[dict[str, Any]]
    tokens: list[dict[str, Any]]
    problems: tuple[str, ...] = ()  # what can't be read, and why


async def take(api: Reads, namespace: str, inventory: Inventory | None) -> Snapshot:
    """Read everything once; a given inventory replaces those in the cluster.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    lists = {
        path: await api.list(path, keep, bound)
        for path, keep, bound in (
            (NODES, kept_readiness, no_bound),
            (SERVING_CSRS, kept_for_status, new_bound),
            (CLIENT_CSRS, kept_for_status, new_bound),
            (OUR_TOKENS, kept_secret, no_bound),
        )
    }
    if inventory is None:
        path = pool_inventory.path(namespace)
        lists[path] = await api.list(path, pool_inventory.kept_map)
        inventory = pool_inventory.from_config_maps(lists[path].items)
    return Snapshot(
        inventory=inventory,
        nodes={node["metadata"]["name"]: node for node in lists[NODES].items},
        requests=[*lists[SERVING_CSRS].items, *lists[CLIENT_CSRS].items],
        tokens=lists[OUR_TOKENS].items,
        problems=tuple(
            problem
            for path, listed in lists.items()
            for problem in _problems(path, listed.left_out)
        ),
    )


def _problems(path: str, left_out: list[tuple[str, str]]) -> Iterator[str]:
    """Yield what a list left out: the first ones, and how many more."""
    for name, why in left_out[:MOST_TOLD]:
        yield f"{name} is left out: {why}"
    if len(left_out) > MOST_TOLD:
        resource = path.partition("?")[0].rpartition("/")[2]
        yield f"{len(left_out) - MOST_TOLD} more {resource} are left out"
