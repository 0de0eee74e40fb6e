"""The inventory: the nodes that may join, and what none of them may ever claim."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from admission import claims

IpAddress = claims.IpAddress
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DNS_NAME = re.compile(
    r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z"
)
LONGEST_NAME = 253


@dataclass(frozen=True, kw_only=True)
class InventoryNode:
    """A node, and each name and address that its serving certificate may hold."""

    name: str
    addresses: tuple[IpAddress, ...]  # its kubelet's own, the one that is dialled first
    dns_names: tuple[str, ...]
    certificate_addresses: tuple[IpAddress, ...] = ()  # more of them, such as a cloud's

    @cached_property
    def claims(self) -> frozenset[claims.Claim]:
        """What its certificate may hold; a name that is an address counts as one."""
        values = (self.name, *self.dns_names, *self.addresses, *self.certificate_addresses)
        return frozenset(map(claims.claim, values))

    @property
    def user(self) -> str:
        """The name under which the API server knows the node's kubelet."""
        return f"system:node:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Denied:
    """What no node's certificate may hold, whatever the inventory says."""

    addresses: frozenset[IpAddress] = frozenset()
    networks: tuple[IpNetwork, ...] = ()
    names: frozenset[str] = frozenset()

    def and_host(self, host: str) -> "Denied":
        """Return this with one more host, given by its name or address."""
        wanted = claims.claim(host)
        if isinstance(wanted, str):
            return replace(self, names=self.names | {wanted})
        return replace(self, addresses=self.addresses | {wanted})

    def covers(self, address: IpAddress) -> bool:
        """Return whether an address is the control plane's, a Service's, or nobody's."""
        return (
            claims.nobodys(address) != ""
            or address in self.addresses
            or any(address in network for network in self.networks)
        )


def read_denied(entry: Mapping[str, Any]) -> Denied:
    """Return what no node may claim, from JSON.

    Raises:
        ValueError, KeyError, TypeError: it is malformed.
    """
    return Denied(
        addresses=frozenset(map(ipaddress.ip_address, entry["addresses"])),
        networks=tuple(map(ipaddress.ip_network, entry["cidrs"])),
        # Inventories of earlier releases have none.
        names=frozenset(str(claims.claim(name)) for name in entry.get("names", ())),
    )


def read_node(entry: Mapping[str, Any]) -> InventoryNode:
    """Return a node of the inventory, from JSON.

    Raises:
        ValueError, KeyError, TypeError: it is malformed, or is not a node.
    """
    node = InventoryNode(
        name=entry["name"],
        addresses=tuple(map(ipaddress.ip_address, entry["addresses"])),
        dns_names=tuple(entry["dnsNames"]),
        certificate_addresses=tuple(
            map(ipaddress.ip_address, entry.get("certificateAddresses", ()))
        ),
    )
    if not DNS_NAME.match(node.name) or len(node.name) > LONGEST_NAME:
        raise ValueError(f"{node.name!r} is not a node's name: lower-case letters, digits, - and .")
    odd = [name for name in node.dns_names if not isinstance(name, str) or not DNS_NAME.match(name)]
    if odd:
        raise ValueError(f"{odd[0]!r} of the node {node.name} is not a lower-case DNS name")
    if not node.addresses:
        raise ValueError(f"the node {node.name} has no address")
    return node
