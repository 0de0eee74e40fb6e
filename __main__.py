"""Joins the machines of a stack's settings to its cluster, and keeps them joined."""

import pulumi
import pulumi_kubernetes as kubernetes

from components.bootstrap_rbac import BootstrapRbac
from components.control_plane import ControlPlane
from components.node_pool import NodePool
from components.serving_approver import ServingApprover
from stack import arguments, reading, removals

stack = reading.read(pulumi.Config())

control_plane = ControlPlane("control-plane", arguments.control_plane(stack))
# Without an identifier of its own, a new path or a rotated key would replace all of the objects.
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
pools = {
    name: NodePool(name, arguments.node_pool(stack, pool, rbac), in_cluster)
    for name, pool in stack.settings.pools.items()
}
joined = [resource for pool in pools.values() for resource in pool.ready]
if (approver := arguments.serving_approver(stack, joined)) is not None:
    ServingApprover("serving-approver", approver, in_cluster)

pulumi.export("clusterEndpoint", stack.credentials.server)
pulumi.export("bootstrapTokenId", {name: pool.token_id for name, pool in pools.items()})
user_data = {name: pool.user_data for name, pool in pools.items() if pool.user_data is not None}
if user_data:
    pulumi.export("userData", user_data)
nodes = pulumi.Output.all(*(pool.nodes for pool in pools.values())).apply(
    lambda found: [node for of_pool in found for node in of_pool]
)
pulumi.export("nodes", nodes)
wanted = [node.name for pool in stack.settings.pools.values() for node in pool.nodes]
pending = nodes.apply(lambda found: sorted(set(wanted) - {node["name"] for node in found}))
pulumi.export("pendingNodes", pending)
removals.only_if_all_have_joined(pending)
