"""A machine that becomes a node: its files, its join, and its leaving."""

from dataclasses import dataclass

import pulumi

import node_files
from components import commands
from components.bootstrap_token import BootstrapToken


@dataclass(frozen=True, kw_only=True)
class NodeArgs:
    """A machine, and the token it joins with."""

    cluster: node_files.Cluster
    """The cluster that it joins."""
    node: node_files.Node
    """The machine, and how its kubelet shall run."""
    access: commands.Access
    """How it is reached."""
    token: BootstrapToken
    """The live token of its pool; looked at once, when the machine joins."""
    leave: str
    """What `python -m admission` is told to make a node leave: where the kubeconfig is."""
    force: bool
    """The machine is dead: leaving waits for no pod and connects to no machine."""


class Node(pulumi.ComponentResource):
    """Three commands: `files` push, `join` starts and waits, `member` does something on leaving.

    A node that is removed leaves in the reverse order: `member` drains it and deletes the Node
    while the kubelet still runs, `files` then stops the kubelet and removes what was written.
    """

    member: pulumi.Resource
    """The resource to depend on for what must go before the node is drained."""

    def __init__(
        self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:Node", name, None, opts)
        files = commands.on_host(
            f"{name}-files",
            args.access,
            create=node_files.INSTALL,
            delete=node_files.REMOVE,
            stdin=node_files.bundle(args.cluster, args.node),
            logging=commands.STDOUT,  # a line of JSON: what was changed and repaired
            # Nothing is brought to a machine before the cluster has answered.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[args.token.live], retain_on_delete=args.force
            ),
        )
        join_input = pulumi.Output.all(args.token.id, args.token.secret).apply(
            lambda token: node_files.join_bundle(args.cluster, args.node, *token)
        )
        # A change of `triggers` replaces: it runs again with the token of that day. A `delete`
        # would then run after it, on the machine that has just joined, so there is none.
        join = commands.on_host(
            f"{name}-join",
            args.access,
            create=node_files.JOIN,
            stdin=pulumi.Output.secret(join_input),
            triggers=[args.node.generation],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[files], ignore_changes=["stdin"]),
        )
        self.member = commands.python_module(
            f"{name}-member",
            delete=f"admission leave {name} {args.leave}{' --force' if args.force else ''}",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[join]),
        )
        self.register_outputs({})
