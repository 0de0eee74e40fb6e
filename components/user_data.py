"""cloud-init user data of a pool, for machines that an autoscaler or PXE creates."""

from dataclasses import dataclass

import pulumi

import node_files
from components.bootstrap_token import BootstrapToken


@dataclass(frozen=True, kw_only=True)
class UserDataArgs:
    """What the user data is made from."""

    node: node_files.Node
    """How the kubelet runs; the machine sets its own name and address at its first boot."""
    with_token: bool = False
    """Whether it holds the pool's token, which makes it secret."""


def user_data(
    cluster: node_files.Cluster, args: UserDataArgs, token: BootstrapToken | None
) -> pulumi.Output[str]:
    """Return the user data; it holds a token only if the pool has one for all nodes."""
    if token is None or not args.with_token:
        return pulumi.Output.from_input(node_files.user_data(cluster, args.node))
    whole = pulumi.Output.all(token.id, token.secret).apply(
        lambda halves: node_files.user_data(cluster, args.node, ".".join(halves))
    )
    return pulumi.Output.secret(whole)
