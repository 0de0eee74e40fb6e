"""Who may request a certificate, and whose requests are approved.

Upstream's roles: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go of Kubernetes.
"""

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleRefArgs,
    SubjectArgs,
)

from components.bootstrap_token import AUTO_APPROVED
from components.bootstrap_token import GROUP as BOOTSTRAPPERS
from components.dependencies import after

NODES = "system:nodes"
RBAC_GROUP = "rbac.authorization.k8s.io"
CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"
SERVING_ROLE = "approve-node-server-renewal-csr"

# The binding's name -> its ClusterRole and the group that gets it.
BINDINGS = {
    "kubelet-bootstrap": ("system:node-bootstrapper", BOOTSTRAPPERS),
    "auto-approve-csrs-for-group": (f"{CSR_ROLE}:nodeclient", AUTO_APPROVED),
    "node-client-cert-renewal": (f"{CSR_ROLE}:selfnodeclient", NODES),
    "node-server-cert-renewal": (SERVING_ROLE, NODES),
}


class BootstrapRbac(pulumi.ComponentResource):
    """The ClusterRole and the ClusterRoleBindings of TLS bootstrapping, one set for a cluster.

    kube-controller-manager approves client certificates by `nodeclient` and `selfnodeclient`. It
    does not know `selfnodeserver`: our own approver checks for that right before it approves a
    serving certificate. `nodeclient` is for a group that a pool's tokens are in or not: it leaves
    the first requests of all others to the gate.
    """

    ready: list[pulumi.Resource]
    """The resources to depend on: once they exist, a token's holder may ask for a certificate."""
    renewal: list[pulumi.Resource]
    """What a node needs for as long as it is one: without these its certificates end."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("kubelet-tls-bootstrap:index:BootstrapRbac", name, None, opts)
        role = ClusterRole(
            SERVING_ROLE,
            metadata=ObjectMetaArgs(name=SERVING_ROLE),
            rules=[
                PolicyRuleArgs(
                    api_groups=["certificates.k8s.io"],
                    resources=["certificatesigningrequests/selfnodeserver"],
                    verbs=["create"],
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.ready, self.renewal = [role], []
        for binding, (role_name, group) in BINDINGS.items():
            bound = ClusterRoleBinding(
                binding,
                metadata=ObjectMetaArgs(name=binding),
                role_ref=RoleRefArgs(api_group=RBAC_GROUP, kind="ClusterRole", name=role_name),
                subjects=[SubjectArgs(api_group=RBAC_GROUP, kind="Group", name=group)],
                opts=pulumi.ResourceOptions(parent=self, depends_on=after(self, role)),
            )
            self.ready.append(bound)
            if group == NODES:
                self.renewal.append(bound)
        self.register_outputs({"bindings": list(BINDINGS)})
