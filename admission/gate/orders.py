"""The gate's orders: what `admission gate` reads from stdin."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from admission.inventory import Denied, InventoryNode, read_denied, read_node
from admission.objects.node_attributes import Attributes, read_attributes

AfterJoin = Literal["revoke", "expire", "keep"]
ClientApproval = Literal["controller-manager", "gate"]
ServingApproval = Literal["gate", "manual"]

TOKEN_ID = re.compile(r"\A[a-z0-9]{6}\Z")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A bootstrap token: its public half, its Secret, and the node that it was made for."""

    id: str
    secret_uid: str
    group: str  # the last of its holder's groups
    node: str | None = None  # None: it is for all nodes of the pool

    @property
    def user(self) -> str:
        """The name under which the API server knows its holder."""
        return f"system:bootstrap:{self.id}"

    @property
    def secret_name(self) -> str:
        """The name of its Secret in kube-system."""
        return f"bootstrap-token-{self.id}"


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Everything that a run of the gate needs to know."""

    stack: str | None = None  # whose settings say where the kubeconfig is; or else it is here
    server: str | None = None  # to which the kubeconfig must lead
    kubeconfig_path: str | None
    kubeconfig: str | None = field(repr=False)
    ca: str = ""  # the machines', PEM; kubelets may have certificates of it, too
    pool: str
    nodes: Mapping[str, InventoryNode]
    kubelet_versions: Mapping[str, str]  # by the node's name, such as 1.37
    tokens: tuple[Token, ...]
    after_join: AfterJoin
    client_approval: ClientApproval
    serving_approval: ServingApproval
    skipped_checks: frozenset[str]
    denied: Denied
    stall_s: int
    joins: Mapping[str, str] = field(default_factory=dict)  # what names each node's join
    restarts: Mapping[str, datetime] = field(default_factory=dict)  # since when it must be heard of
    joining: int = 0  # how many of them are not known to have joined
    report_path: str | None = None  # where to write who has joined, if not all have
    # By the node's name: what its Node is to have, and the taints that its kubelet registers with.
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    registered: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def token_of(self, node: str) -> Token | None:
        """Return the token with which a node joins; None: it has joined in an earlier run."""
        return next((token for token in self.tokens if token.node in (node, None)), None)


def read_orders(text: str) -> Orders:
    """Return the orders that a JSON document holds.

    Raises:
        ValueError: it is not such a document; the message says where, and quotes no kubeconfig.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        kubeconfig, denied, approval = (
            document[key] for key in ("kubeconfig", "denied", "approval")
        )
        nodes = [read_node(entry) for entry in document["nodes"]]
        orders = Orders(
            stack=kubeconfig.get("stack"),
            server=kubeconfig.get("server"),
            kubeconfig_path=kubeconfig.get("path"),
            kubeconfig=kubeconfig.get("content"),
            ca=str(document.get("ca", "")),
            pool=str(document["pool"]),
            nodes={node.name: node for node in nodes},
            joins={e["name"]: str(e.get("join", "")) for e in document["nodes"]},
            restarts={
                e["name"]: datetime.fromisoformat(e["restarted"])
                for e in document["nodes"]
                if e.get("restarted")
            },
            kubelet_versions={e["name"]: str(e["kubeletVersion"]) for e in document["nodes"]},
            tokens=tuple(_token(token) for token in document["tokens"]),
            after_join=_choice(document, "afterJoin", AfterJoin),
            client_approval=_choice(approval, "client", ClientApproval),
            serving_approval=_choice(approval, "serving", ServingApproval),
            skipped_checks=frozenset(document["skipClusterChecks"]),
            denied=read_denied(denied),
            stall_s=int(document["stallSeconds"]),
            joining=int(document.get("joining", 0)),
            report_path=document.get("report"),
            attributes=_by_node(document.get("attributes", ())),
            registered={
                name: found.taints
                for name, found in _by_node(document.get("registered", ())).items()
            },
        )
    except json.JSONDecodeError:
        raise ValueError("the gate's orders on stdin are not JSON") from None
    except KeyError as error:
        raise ValueError(f"the gate's orders on stdin have no {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"the gate's orders on stdin are malformed: {error}") from None
    if len(orders.nodes) != len(nodes):
        raise ValueError("two nodes in the gate's orders have the same name")
    sources = (orders.stack, orders.kubeconfig_path, orders.kubeconfig)
    if sum(map(bool, sources)) != 1:
        raise ValueError("the gate's orders need a stack, or a kubeconfig's path or its content")
    if orders.client_approval == "gate" and not all(token.node for token in orders.tokens):
        raise ValueError("to approve client requests, the gate needs a token for each node")
    return orders


def _by_node(entries: Iterable[Mapping[str, Any]]) -> dict[str, Attributes]:
    """Return what is listed once for all nodes that have it."""
    return {name: read_attributes(entry) for entry in entries for name in entry["nodes"]}


def _token(entry: Mapping[str, Any]) -> Token:
    if not TOKEN_ID.match(entry["id"]) or not entry["secretUid"]:
        raise ValueError("the gate's orders need a token's id, as in abc123, and its Secret's UID")
    return Token(
        id=entry["id"],
        secret_uid=entry["secretUid"],
        group=str(entry["group"]),
        node=entry["node"],
    )


def _choice(entry: Mapping[str, Any], key: str, choices: Any) -> Any:
    if entry[key] not in get_args(choices):
        raise ValueError(f"{key} {entry[key]!r} is not one of {', '.join(get_args(choices))}")
    return entry[key]
