"""A pool: the nodes, the tokens that they join with, and the gate that lets them in."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

import pulumi

import node_files
from components import commands
from components.deliveries import Deliveries
from components.dependencies import Dependencies, after, plain, succeeded, together, value_or
from components.gate_orders import gate_orders
from components.gate_report import GateReport
from components.join_approver import JoinApprover, orders_without_failed_tokens
from components.joined_node import (
    JoinedNode,
    JoinedNodeArgs,
    Machine,
    gone_node,
    joined_node,
)
from components.node_attributes import node_attributes
from components.node_outputs import known as known_entry
from components.pool_arguments import NodePoolArgs, PoolNode
from components.pool_inventory import pool_inventory
from components.pool_tokens import pool_tokens
from components.rollout import Rollout, restarted_at, with_restarts
from components.user_data import user_data

SHORTEST_JOIN_LIMIT_S = 180


class NodePool(pulumi.ComponentResource):
    """Tokens, the nodes that join with them, and the gate, which works while they join."""

    token_id: pulumi.Output[Any]
    """The public half of the pool's token; if each node has its own, a map by the node's name."""
    nodes: pulumi.Output[Any]
    """By the names of the nodes that have joined: their entries, as `node_outputs` makes them."""
    pending: pulumi.Output[Any]
    """For each node that has not joined: name, pool, reason."""
    unfinished: pulumi.Output[list[str]]
    """The nodes of which something has failed in this run, so that the engine left the rest out,
    and the gate if that has."""
    user_data: pulumi.Output[str] | None
    """cloud-init user data, secret if it holds the token; None: there is none."""
    failure: Dependencies
    """What the engine leaves something out by, if the gate has failed."""
    ready: list[pulumi.Resource]
    """The resources to depend on: created once all nodes have joined, deleted before a drain."""

    def __init__(
        self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        present = tuple(entry for entry in args.nodes if not entry.gone)
        is_made = all(entry.is_made for entry in present)
        shared: dict[str, list[str]] = {}
        for entry in present:
            text = node_files.shared(args.cluster, entry.node)
            shared.setdefault(text, []).append(entry.node.name)
        # For a preview, and the state: a node's own resource has only what is its own.
        inputs = {
            "shared": [{"nodes": names, "text": text} for text, names in shared.items()],
            "attributes": node_attributes(present),
        }
        super().__init__("kubelet-tls-bootstrap:index:NodePool", name, inputs, opts)
        tokens = pool_tokens(name, args, present, self)
        orders = gate_orders(name, args, tokens.by_node)
        deliveries = Deliveries(
            name, existing={f"{e.node.name}-{part}" for e in args.nodes for part in e.existing}
        )
        known_orders = orders_without_failed_tokens(orders)
        approver = JoinApprover(
            name, orders=known_orders, activations=tokens.activations, owner=self
        )
        machines = {
            entry.node.name: Machine(
                cluster=args.cluster,
                node=entry.node,
                access=entry.access,
                made_by=entry.made_by,
                is_made=entry.is_made,
            )
            for entry in args.nodes
        }
        known = {entry.node.name: machines[entry.node.name].known for entry in present}
        installed = {entry.node.name: entry.installed for entry in present if not entry.joins}
        changes = [
            node
            for node, has in installed.items()
            if has is not None and node_files.concerns_running_kubelet(has, known[node])
        ]
        rollout = Rollout(
            name,
            changes=changes,
            members=installed.keys(),
            policy=args.rollout,
            orders=known_orders,
            owner=self,
        )
        joined_nodes: dict[str, JoinedNode] = {}
        for entry in args.nodes:
            machine = machines[entry.node.name]
            if entry.gone:
                if "files" in entry.existing:
                    gone_node(entry.node.name, machine, entry.former_files, self)
                continue
            joining = JoinedNodeArgs(
                machine=machine,
                token=tokens.of(entry.node.name),
                join=entry.join,
                is_new="member" not in entry.existing,
                joins=entry.joins,
                bring=entry.bring,
                deliveries=deliveries,
                rollout=rollout,
                # Longer than the gate, which knows better why a node is late.
                join_limit_s=max(SHORTEST_JOIN_LIMIT_S, args.stall_seconds + 60),
                stack=args.stack,
                pool=name,
                api_server=args.api_server,
                approver=approver,
                rbac=args.rbac,
                former_files=entry.former_files,
                former_member=entry.former_member,
            )
            joined_nodes[entry.node.name] = joined_node(entry.node.name, joining, self)
        members = {name: node.member for name, node in joined_nodes.items()}
        restarts = plain(_restarts(joined_nodes, present, changes))
        pool_inventory(
            f"{name}-inventory",
            pool=name,
            stack=args.stack,
            namespace=args.inventory_namespace,
            nodes=[entry.inventory() for entry in present],
            denied=args.denied,
            is_known=is_made,
            opts=pulumi.ResourceOptions(parent=self),
        )
        report = GateReport(stack=args.stack, pool=name)
        report.remove()
        # Beside the joins, not after them: a machine that never joins must not hide who has.
        gate = commands.python_module(
            f"{name}-gate",
            create="admission gate",
            is_known=is_made,
            # Plain, for the state would name each token that a value is from.
            stdin=plain(
                value_or(
                    pulumi.Output.json_dumps(
                        {
                            **orders,
                            "nodes": restarts.apply(partial(with_restarts, orders["nodes"])),
                            "report": str(report.path),
                        },
                        separators=(",", ":"),
                    ),
                    "",
                )
            ),
            # What it proves and sets. A new limit or kubeconfig is no reason to do it again.
            triggers=[plain(value_or(_digest(orders, known, restarts), ""))],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=together(
                    args.rbac.ready, tokens.ready(self), approver.all_begun([*members.values()])
                ),
                hooks=pulumi.ResourceHookBinding(
                    before_create=[approver.before_gate],
                    before_update=[approver.before_gate],
                    after_create=[tokens.guard.after_gate],
                    after_update=[tokens.guard.after_gate],
                ),
                ignore_changes=["create", "stdin"],
                # So that the state has no gate once one has failed: the next run has one, though
                # its settings may be those of the last gate that succeeded.
                delete_before_replace=True,
            ),
        )
        approver.end_after([*members.values(), gate])
        self.failure = after(self, gate)
        self.ready = [gate, *members.values()]
        ids = {node: token.id for node, token in tokens.by_node.items()}
        public = ids.get(None) if args.token.scope == "pool" else ids
        self.token_id = value_or(pulumi.Output.from_input(public), None)
        given, token = args.user_data, tokens.by_node.get(None)
        self.user_data = None if given is None else user_data(args.cluster, given, token)
        # A gate that fails takes no outputs with it: who reads them must not lose a whole pool.
        ends = {name: succeeded(member) for name, member in members.items()}
        joined = pulumi.Output.all(**ends)
        entries = {
            entry.node.name: known_entry(entry, tokens.id_of(entry.node.name), args.approval)
            for entry in present
        }
        outcome = report.outcome(gate.stdout, pulumi.Output.all(**entries), joined)
        self.nodes = outcome.apply(lambda found: found["nodes"])
        self.pending = outcome.apply(lambda found: found["pending"])
        ends |= {f"{name}-gate": succeeded(gate)}
        self.unfinished = pulumi.Output.all(**ends).apply(_without_success)
        # What there is to know stands once in the state, in the stack's outputs.
        self.register_outputs({})


def _without_success(succeeded: Any) -> list[str]:
    return [name for name, has in dict(succeeded).items() if not has]


def _restarts(
    nodes: Mapping[str, JoinedNode], entries: Iterable[PoolNode], changes: Collection[str]
) -> pulumi.Output[dict[str, str]]:
    """Return when kubelets were restarted for new files, by the nodes' names."""
    printed = {name: value_or(node.installed, "") for name, node in nodes.items()}
    if pulumi.runtime.is_dry_run():
        # A preview does not know what a command will print. One that runs over another connection
        # finds the files as they are, so the gate has no reason to run, and no plan expects it.
        printed |= {
            entry.node.name: pulumi.Output.from_input(entry.printed)
            for entry in entries
            if entry.printed is not None and entry.node.name not in changes
        }
    return pulumi.Output.all(*printed.values()).apply(
        lambda texts: {
            name: since
            for name, text in zip(printed, texts, strict=True)
            if (since := restarted_at(text)) is not None
        }
    )


def _digest(
    orders: Mapping[str, Any], files: Mapping[str, str], restarts: pulumi.Output[Any]
) -> pulumi.Output[str]:
    """Return a hash of what a gate is about: a state has it in the place of that.

    New files are a part of it, restart or not: what a preview tells of the gate must come true, or
    `pulumi up --plan` would end with an error.
    """
    subject = orders["nodes"], orders["tokens"], orders["attributes"], files, restarts
    text = pulumi.Output.json_dumps(subject, sort_keys=True)
    return text.apply(lambda known: hashlib.sha256(known.encode()).hexdigest()[:32])
