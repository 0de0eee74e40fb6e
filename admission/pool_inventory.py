"""The inventories that pools keep in the cluster: a ConfigMap each, and all of them as one.

Whoever runs `pulumi up` writes them; the resident approver and `status` read them.
"""

import ipaddress
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admission.claims import Claims
from admission.inventory import Denied, InventoryNode, read_denied, read_node

DEFAULT_NAMESPACE = "kube-system"
LABEL = "kubelet-tls-bootstrap/inventory"
KEY = "inventory.json"
OWNER = "kubelet-tls-bootstrap/stack"
NAME_PREFIX = "kubelet-tls-bootstrap-"


@dataclass(frozen=True, kw_only=True)
class PoolInventory:
    """A pool's nodes, and what none of them may ever claim."""

    pool: str
    nodes: tuple[InventoryNode, ...]
    denied: Denied


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The nodes of all pools, and what is wrong with the pools' inventories."""

    nodes: Mapping[str, InventoryNode] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)  # node -> its pool
    denied: Denied = field(default_factory=Denied)
    disputes: Mapping[str, str] = field(default_factory=dict)  # node -> what it shares with another
    problems: tuple[str, ...] = ()  # ConfigMaps that can't be read, and why


def path(namespace: str) -> str:
    """Return where the API lists the inventories of a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps?labelSelector={LABEL}"


def kept_map(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a ConfigMap.

    Raises:
        LookupError, TypeError, AttributeError: it lacks what we read.
    """
    text = (item.get("data") or {}).get(KEY, "")
    return {"metadata": {"name": item["metadata"]["name"]}, "data": {KEY: text}}


def read(text: str) -> PoolInventory:
    """Return the inventory that a JSON document holds.

    Raises:
        ValueError: it is not such a document; the message says why.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        return PoolInventory(
            pool=str(document["pool"]),
            nodes=tuple(read_node(entry) for entry in document["nodes"]),
            denied=read_denied(document["denied"]),
        )
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    except KeyError as error:
        raise ValueError(f"it has no {error}") from None
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is malformed: {error}") from None


def from_file(path: str) -> Inventory:
    """Return the inventory of one pool, from a file.

    Raises:
        ValueError: it can't be read, or is not an inventory.
    """
    try:
        return merge([read(Path(path).read_text())])
    except OSError as error:
        raise ValueError(f"the inventory {path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not an inventory: {error}") from None


def from_config_maps(
    items: Iterable[Mapping[str, Any]], only: Collection[str] | None = None
) -> Inventory:
    """Return what the inventories in these ConfigMaps say together, as `merge` does.

    `only` names the pools whose ConfigMaps count; None: all do. Where two nodes claim the same name
    or address, nobody can tell whose it is: both are left out.
    """
    names = None if only is None else {f"{NAME_PREFIX}{pool}" for pool in only}
    problems: list[str] = []
    found: list[PoolInventory] = []
    for item in items:
        name = item["metadata"]["name"]
        if names is not None and name not in names:
            problems.append(f"the inventory {name} is left out: its pool is none of the given ones")
            continue
        try:
            found.append(read((item.get("data") or {}).get(KEY, "")))
        except ValueError as error:
            problems.append(f"the inventory {name} is left out: {error}")
    return merge(found, problems=problems)


def merge(inventories: Iterable[PoolInventory], *, problems: Iterable[str] = ()) -> Inventory:
    """Return what the inventories say together."""
    ordered = sorted(inventories, key=lambda inventory: inventory.pool)
    claims: Claims[tuple[str, str]] = Claims()  # by pool and node
    for inventory in ordered:
        for node in inventory.nodes:
            claims.add((inventory.pool, node.name), sorted(node.claims, key=str))
    disputes: dict[str, str] = {}
    for claim, claimants in claims.disputes():
        listed = " and ".join(f"{node} of the pool {pool}" for pool, node in claimants)
        for _, name in claimants:
            disputes[name] = f"{claim} is claimed by {listed}; remove it from one of them"
    return Inventory(
        nodes={n.name: n for i in ordered for n in i.nodes if n.name not in disputes},
        pools={node.name: inventory.pool for inventory in ordered for node in inventory.nodes},
        denied=Denied(
            addresses=frozenset[ipaddress.IPv4Address | ipaddress.IPv6Address]().union(
                *(inventory.denied.addresses for inventory in ordered)
            ),
            networks=tuple(dict.fromkeys(n for i in ordered for n in i.denied.networks)),
            names=frozenset[str]().union(*(inventory.denied.names for inventory in ordered)),
        ),
        disputes=disputes,
        problems=tuple(problems),
    )
