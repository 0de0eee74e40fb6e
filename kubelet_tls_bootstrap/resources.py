"""Every resource of a stack, for this project's own program and for others'."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.bootstrap_rbac import BootstrapRbac
from components.control_plane import ControlPlane
from components.dependencies import (
    Dependencies,
    after,
    together,
    unless_all_failed,
    unless_unknown,
)
from components.node_pool import NodePool
from stack import arguments, membership
from stack.reading import Stack
from stack.sender import Sender


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The machines of a stack, and what the cluster has for them."""

    server: str
    """The API server's URL, by which the kubelets reach it."""
    pools: Mapping[str, NodePool]
    """By their names."""
    rbac: BootstrapRbac
    """What lets the nodes have certificates."""
    approver: pulumi.Resource | None
    """The resident approver, if the settings have one."""
    nodes: Mapping[str, pulumi.Output[Any]]
    """By the pools' names, and in each by the nodes': what is known of those that have joined."""
    pending: pulumi.Output[Any]
    """For each node that has not joined: name, pool, reason."""
    unfinished: pulumi.Output[Any]
    """The names of the nodes of which something has failed."""
    user_data: Mapping[str, pulumi.Output[str]]
    """cloud-init user data of the pools that have some."""
    joined: Dependencies
    """What to depend on (`depends_on`): the nodes that have joined."""
    record: Any
    """What the next run needs to know of this one."""


@contextlib.contextmanager
def without_calls() -> Iterator[None]:
    """Let resources be declared without the stack of calls that has made them.

    The SDK gives each one that, and the engine keeps it in the state: more than a kilobyte for
    each. An error is shown with all of its own calls.
    """
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        del sys.tracebacklimit


async def declare(
    stack: Stack, *, provider: str, depends_on: Sequence[pulumi.Resource] = ()
) -> Fleet:
    """Declare the resources of a stack.

    `provider` is the name of the one for the cluster, which depends on `depends_on`.

    Raises:
        RunError: no host of the control plane can be reached.
    """
    with without_calls():
        control_plane = ControlPlane("control-plane", arguments.control_plane(stack))
    await control_plane.require_a_host()
    with without_calls():
        return _in_cluster(stack, control_plane, provider, depends_on)


def _in_cluster(
    stack: Stack,
    control_plane: ControlPlane,
    provider: str,
    depends_on: Sequence[pulumi.Resource],
) -> Fleet:
    # Without an identifier of its own, a new path or a rotated key would replace all of the
    # objects.
    cluster = kubernetes.Provider(
        provider,
        kubeconfig=stack.credentials.kubeconfig_path or stack.credentials.kubeconfig,
        cluster_identifier=f"{pulumi.get_project()}/{pulumi.get_stack()}",
        # An inventory is changed in place: the resident approver reads it at all times.
        enable_config_map_mutable=True,
        # The API server may restart first, to get missing flags. Earlier releases had another
        # identifier.
        opts=pulumi.ResourceOptions(
            depends_on=together(control_plane.ready, after(None, *depends_on)),
            ignore_changes=["clusterIdentifier"],
        ),
    )
    in_cluster = pulumi.ResourceOptions(provider=cluster)
    rbac = BootstrapRbac("rbac", arguments.bootstrap_rbac(stack), in_cluster)
    sender = Sender(stack.credentials)
    pools = {
        name: NodePool(name, arguments.node_pool(stack, pool, rbac, sender), in_cluster)
        for name, pool in stack.settings.pools.items()
    }
    # A machine that has failed is no reason to have no approver. But its pods need a node: without
    # one, the engine would wait for them in vain.
    ready = [resource for pool in pools.values() for resource in pool.ready]
    failures = together(*(pool.failure for pool in pools.values()))
    joined = unless_all_failed(ready, failures)
    return Fleet(
        server=stack.credentials.server,
        pools=pools,
        rbac=rbac,
        approver=_approver(stack, joined, in_cluster),
        nodes={name: pool.nodes for name, pool in pools.items()},
        pending=together(*(pool.pending for pool in pools.values())),
        unfinished=together(*(pool.unfinished for pool in pools.values())),
        user_data={name: p.user_data for name, p in pools.items() if p.user_data is not None},
        joined=joined,
        record=unless_unknown(
            membership.document(stack.settings, stack.record),
            all(maker.is_done for maker in stack.makers.values()),
        ),
    )


def _approver(
    stack: Stack, joined: Dependencies, opts: pulumi.ResourceOptions
) -> pulumi.Resource | None:
    args = arguments.serving_approver(stack, joined)
    if args is None:
        return None
    # An import that takes a quarter of a second, which a stack without an approver saves.
    from components.serving_approver import ServingApprover  # noqa: PLC0415

    return ServingApprover("serving-approver", args, opts)
