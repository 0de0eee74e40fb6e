"""A machine that becomes a node: its files, its join, and its leaving."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

import pulumi

import node_files
from components import commands
from components.access import Access
from components.bootstrap_rbac import BootstrapRbac
from components.bootstrap_token import BootstrapToken
from components.deliveries import Bring, Deliveries
from components.dependencies import after, once_there, together
from components.join_approver import JoinApprover, prepare
from components.rollout import Rollout


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine, and what it is to become."""

    cluster: node_files.Cluster
    """The cluster that it joins."""
    node: node_files.Node
    """The machine, and how its kubelet runs."""
    access: Access
    """How to reach it."""
    made_by: tuple[pulumi.Resource, ...] = ()
    """What makes it in the same program, and goes only once the node has left."""
    is_made: bool = True
    """Whether its address and its host key are known."""

    @cached_property
    def known(self) -> str:
        """What a state is to know of its files; it takes a rendering of all of them."""
        return node_files.known(self.cluster, self.node)


@dataclass(frozen=True, kw_only=True)
class JoinedNodeArgs:
    """A machine, and the token it joins with."""

    machine: Machine
    """What joins."""
    token: BootstrapToken | None
    """The token of its pool or its own; None: it has joined in an earlier run."""
    join: str
    """The name of its join: the machine joins again when it changes."""
    is_new: bool
    """Whether the stack has no membership of it yet."""
    joins: bool
    """Whether its machine is not known to have joined by this very join."""
    bring: Bring
    """Brings something to the machine."""
    deliveries: Deliveries
    """What is brought, and when."""
    rollout: Rollout
    """Whose turn it is to change."""
    join_limit_s: int
    """How many seconds the machine waits for its certificates when it joins."""
    stack: str
    """The stack whose settings name the kubeconfig with which a leaving node is drained."""
    pool: str
    """The pool whose settings say how; the node's own entry is gone then."""
    approver: JoinApprover
    """Who approves what the machine asks for."""
    rbac: BootstrapRbac
    """What lets it renew its certificates; it ends only once the node has left."""
    api_server: str
    """The URL to which that kubeconfig leads."""
    former_files: tuple[str, ...] = ()
    """The other URNs that its files had until this run, which must not remove them."""
    former_member: str | None = None
    """The other URN that its membership had until this run."""


@dataclass(frozen=True, kw_only=True)
class JoinedNode:
    """The two commands of a node."""

    member: pulumi.Resource
    """What to depend on: created once the node has joined, deleted when it leaves."""
    installed: pulumi.Output[str]
    """What its machine has printed when its files were installed."""


def joined_node(name: str, args: JoinedNodeArgs, owner: pulumi.Resource) -> JoinedNode:
    """Declare two commands as children of `owner`: `files` writes, `member` joins and leaves.

    A node that is removed leaves in the reverse order: `member` drains it and deletes the Node
    while the kubelet still runs, `files` then stops the kubelet and removes what was written.
    """
    machine, deliveries = args.machine, args.deliveries
    token = None if args.token is None else args.token.resource
    deliveries.before(f"{name}-files", partial(_bring, args))
    files = _files(
        name,
        machine,
        pulumi.ResourceOptions(
            parent=owner,
            # It does not wait for the token, which is made meanwhile.
            depends_on=together(args.rollout.turn(name), after(None, *machine.made_by)),
            hooks=deliveries.hooks,
            aliases=[*args.former_files],
        ),
    )
    args.rollout.ends_with(name, files.stdout)
    # The join is no command of its own, which would have a connection and a token in the state.
    if args.joins:
        deliveries.before(f"{name}-member", partial(_join, args))
    member = commands.python_module(
        f"{name}-member",
        # Where the kubeconfig is, it reads when it runs: a path that stood here would be the one of
        # the run before the removal.
        delete=_leave(name, args),
        stdin=f"join {args.join}",
        is_known=machine.is_made,
        opts=pulumi.ResourceOptions(
            parent=owner,
            depends_on=together(
                after(owner, files),
                once_there(owner, token),
                args.rbac.ready,
                after(args.rbac, *args.rbac.renewal),
                args.approver.ready,
            ),
            hooks=deliveries.hooks,
            aliases=[args.former_member] if args.former_member else None,
        ),
    )
    return JoinedNode(member=member, installed=files.stdout)


async def _bring(args: JoinedNodeArgs) -> None:
    args.rollout.check(args.machine.node.name)
    if args.joins:
        prepare()
    await args.bring(node_files.deliver(args.machine.cluster, args.machine.node))


async def _join(args: JoinedNodeArgs) -> None:
    cluster, node = args.machine.cluster, args.machine.node
    if args.token is None or not await args.token.is_current.future():
        raise ValueError(
            f"{node.name} has no new token to join with; run pulumi up without --target, or with"
            f" --target for {args.pool}-token-seed and its token too"
        )
    await args.approver.join_begins(f"{node.name}-member", node.name if args.is_new else None)
    # Known by now: that fails where it is not.
    halves = await pulumi.Output.all(args.token.id, args.token.secret).future()
    token_id, secret = cast(list[str], halves)
    await args.bring(node_files.join(cluster, node, token_id, secret, limit_s=args.join_limit_s))


def gone_node(
    name: str, machine: Machine, former_files: Sequence[str], owner: pulumi.Resource
) -> None:
    """Declare a node whose machine is gone: its files alone, so that nothing connects to it.

    That its membership is no longer there takes the Node out of the cluster. The files stay in the
    state until the node leaves the settings, and then go without a connection.
    """
    _files(
        name,
        machine,
        pulumi.ResourceOptions(
            parent=owner,
            aliases=[*former_files],
            retain_on_delete=True,
            ignore_changes=["connection", "create", "delete", "logging", "stdin"],
        ),
    )


def _leave(name: str, args: JoinedNodeArgs) -> str:
    server, bastion = args.machine.access.server, args.machine.access.bastion
    address = args.machine.node.addresses[0]
    # Through a bastion, only SSH itself could tell whether the machine answers.
    at = "" if bastion else f" --ssh {shlex.quote(server.address)} {server.port}"
    if at and server.address != address:
        at += f" --address {shlex.quote(address)}"
    cluster = f"--stack {shlex.quote(args.stack)} --server {shlex.quote(args.api_server)}"
    return f"admission leave {name} {cluster} --pool {shlex.quote(args.pool)}{at}"


def _files(name: str, machine: Machine, opts: pulumi.ResourceOptions) -> commands.OnHost:
    return commands.on_host(
        f"{name}-files",
        machine.access,
        create=node_files.install(machine.node),
        delete=node_files.remove(machine.node),
        stdin=machine.known,
        is_known=machine.is_made,
        logging=commands.STDOUT,  # a line of JSON: what was changed and repaired
        opts=opts,
    )
