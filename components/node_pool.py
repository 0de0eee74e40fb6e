"""A pool: the nodes, the tokens that they join with, and the gate that lets them in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

import node_files
from components import bootstrap_token, commands
from components.access import Access
from components.bootstrap_rbac import BootstrapRbac
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.dependencies import Dependencies, after, succeeded, together, value_or
from components.gate_report import GateReport
from components.join_approver import JoinApprover, orders_without_failed_tokens
from components.joined_node import GoneNode, JoinedNode, JoinedNodeArgs, Machine
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
    join: str = "1"
    """The name of its join: with another one it gets a new token and joins again."""
    recorded: Mapping[str, Any] | None = None
    """What the stack's outputs hold of it, if it has joined by this very join."""
    former: tuple[str, ...] = ()
    """The nodes that the machine was until this run, which removes them."""
    gone: bool = False
    """The machine is gone: its Node is deleted, nothing waits for it and nothing connects to it."""
    written: bool = True
    """Whether the stack has its files, if it is gone."""

    def inventory(self) -> InventoryNode:
        """Return what its serving certificate may hold."""
        return InventoryNode(
            name=self.node.name, addresses=self.node.addresses, dns_names=self.dns_names
        )

    def known(self) -> Mapping[str, Any]:
        """Return its entry in the stack's outputs, as far as it is known without the gate."""
        node = {"name": self.node.name, "address": self.node.addresses[0], "join": self.join}
        return self.recorded or node


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
    stack: str
    """The stack whose settings name the kubeconfig of the gate and of leaving nodes."""
    api_server: str
    """The URL to which that kubeconfig leads."""
    rbac: BootstrapRbac
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
    """For each node that has joined: name, address, join, and if the gate has proven the join
    kubeletVersion and servingCertificateEnd."""
    pending: pulumi.Output[Any]
    """For each node that has not joined: name, pool, reason."""
    user_data: pulumi.Output[str] | None
    """cloud-init user data, secret if it holds the token; None: there is none."""
    failure: Dependencies
    """What the engine leaves something out by, if the gate has failed."""
    ready: list[pulumi.Resource]
    """The resources to depend on: created once all nodes have joined, deleted before a drain."""

    def __init__(
        self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:NodePool", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        members = tuple(entry for entry in args.nodes if not entry.gone)
        tokens = self._tokens(name, args, members)
        orders = gate_orders(name, args, tokens)
        approver = JoinApprover(name, orders=orders_without_failed_tokens(orders), owner=self)
        nodes = []
        for entry in args.nodes:
            machine = Machine(cluster=args.cluster, node=entry.node, access=entry.access)
            if entry.gone:
                if entry.written:
                    GoneNode(entry.node.name, machine, child)
                continue
            joining = JoinedNodeArgs(
                machine=machine,
                token=tokens.get(entry.node.name) or tokens[None],
                join=entry.join,
                # Longer than the gate, which knows better why a node is late.
                join_limit_s=max(SHORTEST_JOIN_LIMIT_S, args.stall_seconds + 60),
                stack=args.stack,
                api_server=args.api_server,
                approver=approver,
                former=entry.former,
            )
            nodes.append(JoinedNode(entry.node.name, joining, child))
        pool_inventory(
            f"{name}-inventory",
            pool=name,
            namespace=args.inventory_namespace,
            nodes=[entry.inventory() for entry in members],
            denied=args.denied,
            opts=child,
        )
        report = GateReport(stack=args.stack, pool=name)
        report.remove()
        joins = [node.join for node in nodes]
        needed = [after(token, *token.ready) for token in tokens.values()]
        # Beside the joins, not after them: a machine that never joins must not hide who has.
        gate = commands.python_module(
            f"{name}-gate",
            create="admission gate",
            stdin=value_or(pulumi.Output.json_dumps({**orders, "report": str(report.path)}), ""),
            # What it proves. A new limit or kubeconfig is no reason to prove it again.
            triggers=[orders["nodes"], value_or(pulumi.Output.from_input(orders["tokens"]), [])],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=together(*needed, approver.all_begun(joins)),
                hooks=approver.gate_hooks,
                ignore_changes=["create", "stdin"],
            ),
        )
        approver.end_after([*joins, gate])
        self.failure = after(self, gate)
        self.ready = [gate, *(resource for node in nodes for resource in node.ready)]
        ids = {node: token.id for node, token in tokens.items()}
        self.token_id = value_or(pulumi.Output.from_input(ids.get(None, ids)), None)
        given, token = args.user_data, tokens.get(None)
        self.user_data = None if given is None else user_data(args.cluster, given, token)
        # A gate that fails takes no outputs with it: who reads them must not lose a whole pool.
        ends = {node.pulumi_resource_name: succeeded(node.ready[-1]) for node in nodes}
        joined = pulumi.Output.all(**ends)
        outcome = report.outcome(gate.stdout, [entry.known() for entry in members], joined)
        self.nodes = outcome.apply(lambda found: found["nodes"])
        self.pending = outcome.apply(lambda found: found["pending"])
        self.register_outputs({"tokenId": self.token_id, "nodes": self.nodes})

    def _tokens(
        self, name: str, args: NodePoolArgs, members: tuple[PoolNode, ...]
    ) -> dict[str | None, BootstrapToken]:
        """Declare a token for each node, by its name, or one for all of them, by None."""
        scopes: dict[str | None, tuple[PoolNode, ...]] = {None: members}
        if args.token.scope == "node":
            scopes = {entry.node.name: (entry,) for entry in members}
        # Machines that are not listed join with the pool's token as well.
        others = args.user_data is not None and args.user_data.with_token
        return {
            node: BootstrapToken(
                f"{node or name}-token",
                BootstrapTokenArgs(
                    pool=name,
                    node=node,
                    members={entry.node.name: entry.join for entry in entries},
                    ttl_minutes=args.token.ttl_minutes,
                    needed=others or not args.nodes or any(e.recorded is None for e in entries),
                    after=after(args.rbac, *args.rbac.ready),
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for node, entries in scopes.items()
        }


def gate_orders(
    name: str, args: NodePoolArgs, tokens: Mapping[str | None, BootstrapToken]
) -> dict[str, Any]:
    """Return everything that the gate reads on stdin."""
    return {
        "kubeconfig": {"stack": args.stack, "server": args.api_server},
        "pool": name,
        "nodes": [
            {
                **entry.inventory().document(),
                "join": entry.join,
                "kubeletVersion": entry.node.version,
            }
            for entry in sorted(args.nodes, key=lambda entry: entry.node.name)
            if not entry.gone
        ],
        "tokens": [
            {
                "id": token.id,
                "secretUid": token.secret_uid,
                "node": node,
                "group": bootstrap_token.groups(name, node)[-1],
            }
            for node, token in sorted(tokens.items(), key=lambda item: item[0] or "")
        ],
        "joining": sum(not entry.gone and entry.recorded is None for entry in args.nodes),
        "afterJoin": args.token.after_join,
        "approval": {"client": args.approval.client, "serving": args.approval.serving},
        "skipClusterChecks": list(args.skip_cluster_checks),
        "denied": args.denied.document(),
        "stallSeconds": args.stall_seconds,
    }
