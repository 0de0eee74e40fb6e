"""A pool: the nodes, the tokens that they join with, and the gate that lets them in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

import node_files
from components import bootstrap_token, commands
from components.access import Access
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.dependencies import after, together
from components.joined_node import JoinedNode, JoinedNodeArgs
from components.kubeconfig_source import KubeconfigSource
from components.pool_inventory import Denied, InventoryNode, pool_inventory
from components.user_data import UserDataArgs, user_data

SHORTEST_JOIN_LIMIT_S = 180


@dataclass(frozen=True, kw_only=True)
class PoolNode:
    """A machine of the pool."""

    node: node_files.Node
    """The machine, and how its kubelet runs."""
    access: Access
    """How to reach it."""
    dns_names: tuple[str, ...]
    """The DNS names that its serving certificate may hold, its own name included."""
    force: bool = False
    """The machine is dead: nothing waits for its pods, and nothing connects to it."""

    def inventory(self) -> InventoryNode:
        """Return what its serving certificate may hold."""
        return InventoryNode(
            name=self.node.name, addresses=self.node.addresses, dns_names=self.dns_names
        )


@dataclass(frozen=True, kw_only=True)
class TokenPolicy:
    """Who gets a token, how long it lives, and what happens to it after the join."""

    scope: Literal["pool", "node"] = "pool"
    ttl_minutes: int = 60
    after_join: Literal["revoke", "expire", "keep"] = "revoke"


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who approves the first client certificates, and who the serving certificates."""

    client: Literal["controller-manager", "gate"] = "controller-manager"
    serving: Literal["gate", "manual"] = "gate"


@dataclass(frozen=True, kw_only=True)
class NodePoolArgs:
    """The machines of a pool, and how they join."""

    cluster: node_files.Cluster
    """The cluster that they join."""
    nodes: tuple[PoolNode, ...]
    """The machines."""
    kubeconfig: KubeconfigSource
    """How the gate and leaving nodes reach the cluster."""
    rbac: pulumi.Resource
    """What allows a token to request a certificate; the tokens depend on it."""
    denied: Denied
    """What no serving certificate may hold."""
    token: TokenPolicy = TokenPolicy()
    """The bootstrap tokens."""
    approval: Approval = Approval()
    """Who approves what."""
    inventory_namespace: str = "kube-system"
    """The namespace of the ConfigMap with the inventory."""
    skip_cluster_checks: tuple[str, ...] = ()
    """The checks of the cluster that the gate leaves out."""
    stall_seconds: int = 120
    """How many seconds without progress the gate waits before it gives up."""
    user_data: UserDataArgs | None = None
    """What the user data for machines that are not listed is made from; None: there is none."""


class NodePool(pulumi.ComponentResource):
    """Tokens, the nodes that join with them, and the gate, which works while they join."""

    token_id: pulumi.Output[Any]
    """The public half of the pool's token; if each node has its own, a map by the node's name."""
    nodes: pulumi.Output[Any]
    """For each node that has joined: name, address, kubeletVersion, servingCertificateEnd; the last
    two only if the gate has proven all of the pool's joins."""
    user_data: pulumi.Output[str] | None
    """cloud-init user data, secret if it holds the token; None: there is none."""
    ready: list[pulumi.Resource]
    """The resources to depend on: created once all nodes have joined, deleted before a drain."""

    def __init__(
        self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:NodePool", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tokens = self._tokens(name, args)
        nodes = [
            JoinedNode(
                entry.node.name,
                JoinedNodeArgs(
                    cluster=args.cluster,
                    node=entry.node,
                    access=entry.access,
                    token=tokens.get(entry.node.name) or tokens[None],
                    kubeconfig=args.kubeconfig,
                    # Longer than the gate, which knows better why a node is late.
                    join_limit_s=max(SHORTEST_JOIN_LIMIT_S, args.stall_seconds + 60),
                    force=entry.force,
                ),
                opts=child,
            )
            for entry in args.nodes
        ]
        pool_inventory(
            f"{name}-inventory",
            pool=name,
            namespace=args.inventory_namespace,
            nodes=[entry.inventory() for entry in args.nodes],
            denied=args.denied,
            opts=child,
        )
        # While the nodes join, not after: each join waits on its machine for the gate's approval.
        orders = gate_orders(name, args, tokens)
        gate = commands.python_module(
            f"{name}-gate",
            create="admission gate",
            stdin=pulumi.Output.json_dumps(orders),
            # What it proves. A new limit or kubeconfig is no reason to prove it again.
            triggers=[orders["nodes"], orders["tokens"]],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=together(*(after(t, *t.ready) for t in tokens.values())),
                ignore_changes=["create", "stdin"],
            ),
        )
        self.ready = [gate, *(resource for node in nodes for resource in node.ready)]
        ids = {node: token.id for node, token in tokens.items()}
        self.token_id = ids[None] if None in ids else pulumi.Output.from_input(ids)
        self.user_data = None
        if args.user_data is not None:
            self.user_data = user_data(args.cluster, args.user_data, tokens.get(None))
        # A gate that fails takes no outputs with it: who reads them must not lose a whole pool.
        joined = pulumi.Output.all(*(_succeeded(node.ready[-1]) for node in nodes)).apply(
            lambda found: [
                {"name": entry.node.name, "address": entry.node.addresses[0]}
                for entry, has_joined in zip(args.nodes, found, strict=True)
                if has_joined
            ]
        )
        self.nodes = gate.stdout.apply(lambda text: json.loads(text)["nodes"]).recover(
            lambda _: joined
        )
        self.register_outputs({"tokenId": self.token_id, "nodes": self.nodes})

    def _tokens(self, name: str, args: NodePoolArgs) -> dict[str | None, BootstrapToken]:
        """Declare a token for each node, by its name, or one for all of them, by None."""
        generations = {entry.node.name: entry.node.generation for entry in args.nodes}
        scopes: dict[str | None, dict[str, int]] = {None: generations}
        if args.token.scope == "node":
            scopes = {node: {node: generation} for node, generation in generations.items()}
        return {
            node: BootstrapToken(
                f"{node or name}-token",
                BootstrapTokenArgs(
                    pool=name, node=node, members=members, ttl_minutes=args.token.ttl_minutes
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[args.rbac]),
            )
            for node, members in scopes.items()
        }


def _succeeded(resource: pulumi.Resource) -> pulumi.Output[bool]:
    return resource.urn.apply(lambda _: True).recover(lambda _: False)


def gate_orders(
    name: str, args: NodePoolArgs, tokens: Mapping[str | None, BootstrapToken]
) -> dict[str, Any]:
    """Return everything that the gate reads on stdin."""
    return {
        "kubeconfig": args.kubeconfig.orders(),
        "pool": name,
        "nodes": [
            {
                **entry.inventory().document(),
                "generation": entry.node.generation,
                "kubeletVersion": entry.node.version,
            }
            for entry in args.nodes
        ],
        "tokens": [
            {
                "id": token.id,
                "secretUid": token.secret_uid,
                "node": node,
                "group": bootstrap_token.groups(name, node)[-1],
            }
            for node, token in tokens.items()
        ],
        "afterJoin": args.token.after_join,
        "approval": {"client": args.approval.client, "serving": args.approval.serving},
        "skipClusterChecks": list(args.skip_cluster_checks),
        "denied": args.denied.document(),
        "stallSeconds": args.stall_seconds,
    }
