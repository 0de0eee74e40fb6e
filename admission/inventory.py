"""What the gate is told: the nodes that may join, and what they may never claim."""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class NodeEntry:
    """A node, and each name and address that its serving certificate may hold."""

    name: str
    addresses: tuple[IpAddress, ...]
    dns_names: tuple[str, ...]

    @property
    def user(self) -> str:
        """The name under which the API server knows the node's kubelet."""
        return f"system:node:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Denied:
    """Addresses that no node's certificate may hold, whatever the inventory says."""

    addresses: tuple[IpAddress, ...] = ()
    networks: tuple[IpNetwork, ...] = ()

    def covers(self, address: IpAddress) -> bool:
        """Tell whether an address is one of the control plane's, a service's, or this host's."""
        special = address.is_loopback or address.is_unspecified or address.is_multicast
        return (
            special
            or address in self.addresses
            or any(address in network for network in self.networks)
        )


@dataclass(frozen=True, kw_only=True)
class Token:
    """The pool's bootstrap token: its public half, its Secret, and what shall become of it."""

    id: str
    secret_uid: str
    after_join: str  # revoke, expire or keep


@dataclass(frozen=True, kw_only=True)
class Orders:
    """All that a run of the gate is told."""

    kubeconfig_path: str | None
    kubeconfig: str | None
    pool: str
    nodes: Mapping[str, NodeEntry]
    token: Token
    denied: Denied
    stall_s: int


def read_orders(text: str) -> Orders:
    """Return the orders that a JSON document holds.

    Raises:
        ValueError: it is no such document; the message holds nothing of its content.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        nodes = [_node(entry) for entry in document["nodes"]]
        kubeconfig = document["kubeconfig"]
        return Orders(
            kubeconfig_path=kubeconfig.get("path"),
            kubeconfig=kubeconfig.get("content"),
            pool=document["pool"],
            nodes={node.name: node for node in nodes},
            token=Token(
                id=document["token"]["id"],
                secret_uid=document["token"]["secretUid"],
                after_join=document["token"]["afterJoin"],
            ),
            denied=Denied(
                addresses=tuple(map(ipaddress.ip_address, document["denied"]["addresses"])),
                networks=tuple(map(ipaddress.ip_network, document["denied"]["cidrs"])),
            ),
            stall_s=int(document["stallSeconds"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"stdin holds no orders for the gate ({type(error).__name__})") from None


def _node(entry: Mapping[str, Any]) -> NodeEntry:
    return NodeEntry(
        name=entry["name"],
        addresses=tuple(map(ipaddress.ip_address, entry["addresses"])),
        dns_names=tuple(entry["dnsNames"]),
    )
