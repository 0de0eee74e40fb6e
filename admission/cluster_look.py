"""What a cluster has already, before a run touches anything: objects by path, and inventories."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from admission import pool_inventory
from admission.api_server.api import ApiError, no_bound
from admission.api_server.lists import Listed, read_list
from admission.pool_inventory import KEY, OWNER, PoolInventory
from admission.process import failures, reason
from admission.terminal import visible

# What is not waited for, as in a preview, which may run where no cluster can be reached.
IMPATIENCE_S = 5


@dataclass(frozen=True, kw_only=True)
class FoundInventory:
    """The inventory of a pool, and whose it is."""

    namespace: str
    name: str
    stack: str
    """The stack that has written it; empty: an earlier release did."""
    content: PoolInventory | None
    """What it says; None: it can't be read."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What there is."""

    objects: Mapping[str, Mapping[str, Any]]
    """By the paths that were asked for; those that exist."""
    inventories: tuple[FoundInventory, ...]


async def look(
    path: str | None,
    content: str | None,
    objects: Collection[str],
    *,
    namespace: str,
    patient: bool,
) -> Look:
    """Look at a cluster with a kubeconfig, by its path or its content.

    The inventories of all stacks are in `namespace`, where the resident approver reads them too. In
    any other, who may write what is there is nobody's concern, and must not keep a run from its
    nodes. An API server that does not answer is waited for if `patient`, for half a minute.

    Raises:
        ValueError: it can't tell; says why, and what to do.
    """
    # An import that takes some time, which a run that creates nothing saves.
    from admission.api_server.connection import Connection  # noqa: PLC0415

    try:
        async with asyncio.timeout(None if patient else IMPATIENCE_S):
            api = await Connection.open(path, content)
            once = partial(read_list, api.fetch, keep=_kept, bound=no_bound)
            listed = partial(api.list, keep=_kept) if patient else once
            get = partial(api.insist if patient else api.request, "GET")
            try:
                return await _look(listed, get, objects, namespace)
            finally:
                await api.close()
    except failures() as error:
        raise ValueError(visible(reason(error))) from None


async def _look(
    listed: Callable[[str], Awaitable[Listed]],
    get: Callable[[str], Awaitable[Any]],
    objects: Collection[str],
    namespace: str,
) -> Look:
    items = (await listed(pool_inventory.path(namespace))).items
    found = {}
    for path in objects:
        try:
            found[path] = await get(path)
        except ApiError as error:
            if error.status != 404:
                raise
    return Look(objects=found, inventories=tuple(map(_inventory, items)))


def _inventory(item: Mapping[str, Any]) -> FoundInventory:
    metadata = item["metadata"]
    try:
        content = pool_inventory.read(item["data"][KEY])
    except ValueError:
        content = None  # `status` and the approver say so
    return FoundInventory(
        namespace=metadata["namespace"],
        name=metadata["name"],
        stack=metadata["stack"],
        content=content,
    )


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    metadata = item["metadata"]
    kept = pool_inventory.kept_map(item)
    kept["metadata"] |= {
        "namespace": str(metadata["namespace"]),
        "stack": str((metadata.get("annotations") or {}).get(OWNER, "")),
    }
    return kept
