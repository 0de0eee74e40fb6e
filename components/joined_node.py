"""A machine that becomes a node: its files, its join, and its leaving."""

from dataclasses import dataclass

import pulumi

import node_files
from components import commands
from components.access import Access
from components.bootstrap_token import BootstrapToken
from components.dependencies import after
from components.kubeconfig_source import KubeconfigSource


@dataclass(frozen=True, kw_only=True)
class JoinedNodeArgs:
    """A machine, and the token it joins with."""

    cluster: node_files.Cluster
    """The cluster that it joins."""
    node: node_files.Node
    """The machine, and how its kubelet runs."""
    access: Access
    """How to reach it."""
    token: BootstrapToken
    """The token of its pool or its own; read once, when the machine joins."""
    kubeconfig: KubeconfigSource
    """The kubeconfig with which a leaving node is drained and deleted."""
    join_limit_s: int
    """How many seconds the machine waits for its certificates when it joins."""
    force: bool = False
    """The machine is dead: nothing waits for its pods, and nothing connects to it."""


class JoinedNode(pulumi.ComponentResource):
    """Three commands: `files` writes, `join` starts and waits, `member` acts only on leaving.

    A node that is removed leaves in the reverse order: `member` drains it and deletes the Node
    while the kubelet still runs, `files` then stops the kubelet and removes what was written.
    """

    ready: list[pulumi.Resource]
    """The resources to depend on: created once the node has joined, deleted when it leaves."""

    def __init__(
        self, name: str, args: JoinedNodeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:Node", name, None, opts)
        files = commands.on_host(
            f"{name}-files",
            args.access,
            create=node_files.INSTALL,
            delete=node_files.REMOVE,
            stdin=node_files.bundle(args.cluster, args.node),
            logging=commands.STDOUT,  # a line of JSON: what was changed and repaired
            # Nothing is written to a machine before the cluster has answered.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after(args.token, *args.token.ready),
                retain_on_delete=args.force,
            ),
        )
        join_input = pulumi.Output.all(args.token.id, args.token.secret).apply(
            lambda token: node_files.join_bundle(
                args.cluster, args.node, *token, limit_s=args.join_limit_s
            )
        )
        # Only a change of `triggers` runs it again: that replaces it, with the token, the script
        # and the connection of that time. A `delete` would run after that, on a machine that has
        # just joined, so there is none.
        join = commands.on_host(
            f"{name}-join",
            args.access,
            create=node_files.JOIN,
            stdin=pulumi.Output.secret(join_input),
            triggers=[args.node.generation],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after(self, files),
                ignore_changes=["connection", "create", "stdin"],
            ),
        )
        leave = f"admission leave {name} {args.kubeconfig.leave_arguments()}"
        member = commands.python_module(
            f"{name}-member",
            delete=f"{leave} --force" if args.force else leave,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after(self, join)),
        )
        self.ready = [member]
        self.register_outputs(
            {"addresses": list(args.node.addresses), "kubeletVersion": args.node.version}
        )
