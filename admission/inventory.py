"""What the gate is told: the nodes that may join, and what they may never claim."""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
AfterJoin = Literal["revoke", "expire", "keep"]

DNS_NAME = re.compile(
    r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z"
)
LONGEST_NAME = 253
TOKEN_ID = re.compile(r"\A[a-z0-9]{6}\Z")
# Who approves which requests, as far as it is built.
APPROVAL = {"serving": "gate", "client": "controller-manager"}


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
    """What no node's certificate may hold, whatever the inventory says."""

    addresses: frozenset[IpAddress] = frozenset()
    networks: tuple[IpNetwork, ...] = ()
    names: frozenset[str] = frozenset()

    def and_host(self, host: str) -> "Denied":
        """Return this and a host, by its name or address, beside it."""
        try:
            return replace(self, addresses=self.addresses | {ipaddress.ip_address(host)})
        except ValueError:
            return replace(self, names=self.names | {host.lower().rstrip(".")})

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
    after_join: AfterJoin


@dataclass(frozen=True, kw_only=True)
class Orders:
    """All that a run of the gate is told."""

    kubeconfig_path: str | None
    kubeconfig: str | None = field(repr=False)
    pool: str
    nodes: Mapping[str, NodeEntry]
    token: Token
    denied: Denied
    stall_s: int


def read_orders(text: str) -> Orders:
    """Return the orders that a JSON document holds.

    Raises:
        ValueError: it is no such document; the message says where, and quotes no kubeconfig.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        kubeconfig, token, denied = (document[key] for key in ("kubeconfig", "token", "denied"))
        nodes = [read_node(entry) for entry in document["nodes"]]
        orders = Orders(
            kubeconfig_path=kubeconfig.get("path"),
            kubeconfig=kubeconfig.get("content"),
            pool=str(document["pool"]),
            nodes={node.name: node for node in nodes},
            token=Token(id=token["id"], secret_uid=token["secretUid"], after_join=_after(token)),
            denied=read_denied(denied),
            stall_s=int(document["stallSeconds"]),
        )
    except json.JSONDecodeError:
        raise ValueError("stdin holds no JSON document") from None
    except KeyError as error:
        raise ValueError(f"the gate's orders on stdin lack {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"the gate's orders on stdin are malformed: {error}") from None
    if len(orders.nodes) != len(nodes):
        raise ValueError("two nodes of the gate's orders have one name")
    if bool(orders.kubeconfig_path) == bool(orders.kubeconfig):
        raise ValueError("the gate's orders need either a kubeconfig's path or its content")
    if not TOKEN_ID.match(orders.token.id) or not orders.token.secret_uid:
        raise ValueError("the gate's orders need a token's id, as in abc123, and its Secret's UID")
    if document["approval"] != APPROVAL:
        raise ValueError(f"approval is {document['approval']}; the gate knows {APPROVAL} only")
    return orders


def _after(token: Mapping[str, Any]) -> AfterJoin:
    value: AfterJoin = token["afterJoin"]
    if value not in get_args(AfterJoin):
        raise ValueError(f"token.afterJoin {value!r} is none of {', '.join(get_args(AfterJoin))}")
    return value


def read_denied(entry: Mapping[str, Any]) -> Denied:
    """Return what no node may claim, from its form in JSON.

    Raises:
        ValueError, KeyError, TypeError: it has another form.
    """
    return Denied(
        addresses=frozenset(map(ipaddress.ip_address, entry["addresses"])),
        networks=tuple(map(ipaddress.ip_network, entry["cidrs"])),
    )


def read_node(entry: Mapping[str, Any]) -> NodeEntry:
    """Return a node of the inventory, from its form in JSON.

    Raises:
        ValueError, KeyError, TypeError: it has another form, or is no node.
    """
    node = NodeEntry(
        name=entry["name"],
        addresses=tuple(map(ipaddress.ip_address, entry["addresses"])),
        dns_names=tuple(entry["dnsNames"]),
    )
    if not DNS_NAME.match(node.name) or len(node.name) > LONGEST_NAME:
        raise ValueError(f"{node.name!r} is no node's name: lower-case letters, digits, - and .")
    if not node.addresses:
        raise ValueError(f"the node {node.name} has no address in the gate's orders")
    return node
