"""A pool's inventory: which addresses and names its nodes' serving certificates may hold.

The gate gets it on stdin. The resident approver and `./ktb status` read it from a ConfigMap.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.dependencies import unless_unknown

# The same as in `admission`, which is a program of its own and not imported here.
INVENTORY_LABEL = "kubelet-tls-bootstrap/inventory"
INVENTORY_KEY = "inventory.json"
NAME_PREFIX = "kubelet-tls-bootstrap-"
OWNER = "kubelet-tls-bootstrap/stack"


@dataclass(frozen=True, kw_only=True)
class InventoryNode:
    """What one node's serving certificate may hold."""

    name: str
    addresses: tuple[str, ...]
    dns_names: tuple[str, ...]
    certificate_addresses: tuple[str, ...] = ()
    """More addresses, which its kubelet is not told."""

    def document(self) -> dict[str, Any]:
        """Return it as `admission` reads it."""
        found: dict[str, Any] = {
            "name": self.name,
            "addresses": list(self.addresses),
            "dnsNames": list(self.dns_names),
        }
        # Only where there are some: a gate runs again when its nodes' entries change.
        if self.certificate_addresses:
            found["certificateAddresses"] = list(self.certificate_addresses)
        return found


@dataclass(frozen=True, kw_only=True)
class Denied:
    """What no node's serving certificate may hold."""

    addresses: tuple[str, ...] = ()
    """The control plane's, and the API server's."""
    names: tuple[str, ...] = ()
    """The API server's."""
    cidrs: tuple[str, ...] = ()
    """The networks of Services."""

    def document(self) -> dict[str, list[str]]:
        """Return it as `admission` reads it."""
        # Sorted: the order in which hosts are listed is that of their restarts, and none of these.
        return {
            "addresses": sorted(self.addresses),
            "cidrs": sorted(self.cidrs),
            "names": sorted(self.names),
        }


def pool_inventory(
    name: str,
    *,
    pool: str,
    stack: str,
    namespace: str,
    nodes: Iterable[InventoryNode],
    denied: Denied,
    is_known: bool = True,
    opts: pulumi.ResourceOptions,
) -> ConfigMap:
    """Declare the ConfigMap with the inventory of a pool; a preview may not know all of it."""
    text = _text(pool, [node.document() for node in nodes], denied.document())
    return ConfigMap(
        name,
        metadata=ObjectMetaArgs(
            name=f"{NAME_PREFIX}{pool}",
            namespace=namespace,
            labels={INVENTORY_LABEL: pool},
            # By which another stack learns whose the pool is.
            annotations={OWNER: stack},
        ),
        data=unless_unknown({INVENTORY_KEY: text}, is_known),
        opts=opts,
    )


def _text(pool: str, nodes: Iterable[Mapping[str, Any]], denied: Mapping[str, Any]) -> str:
    """Return the document, a line for each node: a state holds it three times."""
    lines = ",\n".join(json.dumps(node, separators=(",", ":")) for node in nodes)
    head = json.dumps({"pool": pool, "denied": denied}, separators=(",", ":"))
    return f'{head[:-1]},"nodes":[\n{lines}\n]}}\n'
