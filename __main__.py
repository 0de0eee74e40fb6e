"""Joins the machines of a stack's settings to its cluster, and keeps them joined."""
# ruff: noqa: E402

import gc
import sys

# The imports make hundreds of thousands of objects that stay. Looking among them for garbage, again
# and again and once more when Python ends, takes as long as the imports themselves.
gc.set_threshold(100_000)

import pulumi
import pulumi_kubernetes as kubernetes

from components.bootstrap_rbac import BootstrapRbac
from components.control_plane import ControlPlane
from components.dependencies import together, unless_all_failed
from components.node_pool import NodePool
from components.serving_approver import ServingApprover
from stack import arguments, membership, reading, removals, shared_cluster
from stack.sender import Sender


async def main() -> None:
    """Run the program, and spare its end the look for garbage."""
    # The SDK gives each resource the stack of calls that has made it, and the engine keeps that in
    # the state: more than a kilobyte for each. An error is shown with all of its own calls.
    sys.tracebacklimit = 1
    try:
        await declare()
    finally:
        del sys.tracebacklimit
        gc.freeze()


async def declare() -> None:
    """Declare every resource and output, and wait until all nodes have joined."""
    stack = await reading.with_record(await reading.read(pulumi.Config()))
    stack = await shared_cluster.with_cluster(stack)
    control_plane = ControlPlane("control-plane", arguments.control_plane(stack))
    await control_plane.require_a_host()
    # Without an identifier of its own, a new path or a rotated key would replace all of the
    # objects.
    cluster = kubernetes.Provider(
        "cluster",
        kubeconfig=stack.credentials.kubeconfig_path or stack.credentials.kubeconfig,
        cluster_identifier=f"{pulumi.get_project()}/{pulumi.get_stack()}",
        # An inventory is changed in place: the resident approver reads it at all times.
        enable_config_map_mutable=True,
        # The API server may restart first, to get missing flags. Earlier releases had another
        # identifier.
        opts=pulumi.ResourceOptions(
            depends_on=control_plane.ready, ignore_changes=["clusterIdentifier"]
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
    if (approver := arguments.serving_approver(stack, joined)) is not None:
        ServingApprover("serving-approver", approver, in_cluster)

    pulumi.export("clusterEndpoint", stack.credentials.server)
    pulumi.export("bootstrapTokenId", {name: pool.token_id for name, pool in pools.items()})
    user_data = {name: p.user_data for name, p in pools.items() if p.user_data is not None}
    if user_data:
        pulumi.export("userData", user_data)
    # The next run reads these three: who has joined, and by what.
    pulumi.export("nodes", {name: pool.nodes for name, pool in pools.items()})
    pending = together(*(pool.pending for pool in pools.values()))
    pulumi.export("pendingNodes", pending)
    pulumi.export("record", membership.document(stack.settings, stack.record))
    unfinished = together(*(pool.unfinished for pool in pools.values()))
    await removals.only_if_nothing_has_failed(pending, unfinished)


pulumi.run(main)
