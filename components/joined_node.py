"""A machine that becomes a node: its files, its join, and its leaving."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pulumi

import node_files
from components import commands
from components.access import Access
from components.bootstrap_token import BootstrapToken
from components.deliveries import Bring, Deliveries
from components.dependencies import after, together, value_or
from components.join_approver import JoinApprover

TYPE = "kubelet-tls-bootstrap:index:Node"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine, and what it is to become."""

    cluster: node_files.Cluster
    """The cluster that it joins."""
    node: node_files.Node
    """The machine, and how its kubelet runs."""
    access: Access
    """How to reach it."""


@dataclass(frozen=True, kw_only=True)
class JoinedNodeArgs:
    """A machine, and the token it joins with."""

    machine: Machine
    """What joins."""
    token: BootstrapToken
    """The token of its pool or its own; read once, when the machine joins."""
    join: str
    """The name of its join: the machine joins again when it changes."""
    joins: bool
    """Whether it is not known to have joined by that."""
    bring: Bring
    """Brings something to the machine."""
    deliveries: Deliveries
    """What is brought, and when."""
    join_limit_s: int
    """How many seconds the machine waits for its certificates when it joins."""
    stack: str
    """The stack whose settings name the kubeconfig with which a leaving node is drained."""
    approver: JoinApprover
    """Who approves what the machine asks for."""
    api_server: str
    """The URL to which that kubeconfig leads."""
    former: tuple[str, ...] = ()
    """The nodes that the machine was until this run, which removes them."""


class JoinedNode(pulumi.ComponentResource):
    """Three commands: `files` writes, `join` starts and waits, `member` acts only on leaving.

    A node that is removed leaves in the reverse order: `member` drains it and deletes the Node
    while the kubelet still runs, `files` then stops the kubelet and removes what was written.
    """

    files: pulumi.Resource
    """What is written to the machine."""
    join: pulumi.Resource
    """The join, which waits on the machine for the node's certificates."""
    ready: list[pulumi.Resource]
    """The resources to depend on: created once the node has joined, deleted when it leaves."""

    def __init__(
        self, name: str, args: JoinedNodeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(TYPE, name, None, opts)
        machine, token = args.machine, args.token
        self.files = files = _files(
            name,
            machine,
            pulumi.ResourceOptions(
                parent=self,
                # Nothing is written to a machine before the cluster has answered.
                depends_on=after(token, *token.ready),
                hooks=args.deliveries.hooks,
                # So that nothing removes the files of a former node from what is this one now.
                aliases=_files_of(self, args.former),
            ),
        )
        self._deliver_before(name, args)
        # Only a change of `triggers` runs it again: that replaces it, with the token, the script
        # and the connection of that time. A `delete` would run after that, on a machine that has
        # just joined, so there is none.
        self.join = commands.on_host(
            f"{name}-join",
            machine.access,
            create=node_files.join(machine.node),
            # A number, as long as the generation alone names the join: as states have had it.
            triggers=[int(args.join) if args.join.isdecimal() else args.join],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=together(after(self, files), args.approver.ready),
                hooks=pulumi.ResourceHookBinding(
                    before_create=[args.approver.join_hook, args.deliveries.hook]
                ),
                ignore_changes=["connection", "create", "stdin"],
            ),
        )
        # Where the kubeconfig is, it reads when it runs: a path that stood here would be the one of
        # the run before the removal.
        member = commands.python_module(
            f"{name}-member",
            delete=_leave(name, args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after(self, self.join)),
        )
        self.ready = [member]
        self.register_outputs(
            {"addresses": list(machine.node.addresses), "kubeletVersion": machine.node.version}
        )

    def _deliver_before(self, name: str, args: JoinedNodeArgs) -> None:
        """Bring the bundle before `files`, and the token before `join`: at once where both run."""
        cluster, node, token = args.machine.cluster, args.machine.node, args.token
        join_text = value_or(
            pulumi.Output.all(token.id, token.secret).apply(
                lambda halves: node_files.join_bundle(
                    cluster, node, *halves, limit_s=args.join_limit_s
                )
            ),
            "",
        )
        brought_token = False

        async def bring(*, with_token: bool) -> None:
            nonlocal brought_token
            if with_token and brought_token:
                return
            text = await join_text.future() if with_token else ""
            await args.bring(node_files.deliver(cluster, node, text or ""))
            brought_token = bool(text)

        args.deliveries.before(f"{name}-files", partial(bring, with_token=args.joins))
        args.deliveries.before(f"{name}-join", partial(bring, with_token=True))


class GoneNode(pulumi.ComponentResource):
    """A node whose machine is gone: its files alone, so that nothing connects to it any more.

    That its join and its membership are no longer there takes the Node out of the cluster. The
    files stay in the state until the node leaves the settings, and then go without a connection.
    """

    def __init__(
        self,
        name: str,
        machine: Machine,
        former: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(TYPE, name, None, opts)
        _files(
            name,
            machine,
            pulumi.ResourceOptions(
                parent=self,
                aliases=_files_of(self, former),
                retain_on_delete=True,
                ignore_changes=["connection", "create", "delete", "logging", "stdin"],
            ),
        )
        self.register_outputs({"addresses": list(machine.node.addresses)})


def _files_of(component: pulumi.Resource, nodes: Sequence[str]) -> list[pulumi.Output[str]]:
    """Return the URNs of other nodes' files."""
    within = component.urn.apply(lambda urn: f"{urn.rpartition('::')[0]}${commands.ON_HOST}")
    return [pulumi.Output.concat(within, f"::{node}-files") for node in nodes]


def _leave(name: str, args: JoinedNodeArgs) -> str:
    server, bastion = args.machine.access.server, args.machine.access.bastion
    # Through a bastion, only SSH itself could tell whether the machine answers.
    at = "" if bastion else f" --ssh {shlex.quote(server.address)} {server.port}"
    cluster = f"--stack {shlex.quote(args.stack)} --server {shlex.quote(args.api_server)}"
    return f"admission leave {name} {cluster}{at}"


def _files(name: str, machine: Machine, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    return commands.on_host(
        f"{name}-files",
        machine.access,
        create=node_files.install(machine.node),
        delete=node_files.remove(machine.node),
        stdin=node_files.known(machine.cluster, machine.node),
        logging=commands.STDOUT,  # a line of JSON: what was changed and repaired
        opts=opts,
    )
