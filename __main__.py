"""Joins the machines of a stack's settings to its cluster, and keeps them joined."""

import pulumi
import pulumi_kubernetes as kubernetes

from components import settings as stack_settings
from components.bootstrap_rbac import BootstrapRbac, BootstrapRbacArgs
from components.control_plane import ControlPlane, ControlPlaneArgs
from components.node_pool import NodePool, NodePoolArgs
from components.serving_approver import ServingApprover, ServingApproverArgs

settings, credentials = stack_settings.read(pulumi.Config())

control_plane = ControlPlane(
    "control-plane",
    ControlPlaneArgs(settings=settings.control_plane, ssh=settings.ssh, credentials=credentials),
)
# Without an identifier of its own, a new path or a rotated key would replace all of the objects.
cluster = kubernetes.Provider(
    "cluster",
    kubeconfig=credentials.kubeconfig_path or credentials.kubeconfig,
    cluster_identifier=settings.cluster.name,
    # An inventory is changed in place: the resident approver reads it at all times.
    enable_config_map_mutable=True,
    # The API server may restart first, to learn the flags that it lacks.
    opts=pulumi.ResourceOptions(depends_on=control_plane.last),
)
rbac = BootstrapRbac(
    "rbac",
    BootstrapRbacArgs(client_approval=settings.approval.client),
    opts=pulumi.ResourceOptions(provider=cluster),
)
pools = {
    name: NodePool(
        name,
        NodePoolArgs(pool=pool, settings=settings, credentials=credentials, rbac=rbac),
        opts=pulumi.ResourceOptions(provider=cluster),
    )
    for name, pool in settings.pools.items()
}
if settings.approver.enabled:
    ServingApprover(
        "serving-approver",
        ServingApproverArgs(
            settings=settings.approver,
            after=[resource for pool in pools.values() for resource in pool.settled],
        ),
        opts=pulumi.ResourceOptions(provider=cluster),
    )

pulumi.export("clusterEndpoint", credentials.server)
pulumi.export("bootstrapTokenId", {name: pool.token_id for name, pool in pools.items()})
user_data = {name: pool.user_data for name, pool in pools.items() if pool.user_data is not None}
if user_data:
    pulumi.export("userData", user_data)
nodes = pulumi.Output.all(*(pool.nodes for pool in pools.values()))
pulumi.export("nodes", nodes.apply(lambda lists: [node for found in lists for node in found]))
