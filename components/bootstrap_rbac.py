"""Who may request a certificate, and whose requests are approved.

Upstream's roles: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go of Kubernetes.
"""

from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleRefArgs,
    SubjectArgs,
)

from components.bootstrap_token import GROUP as BOOTSTRAPPERS
from components.dependencies import after

NODES = "system:nodes"
RBAC_GROUP = "rbac.authorization.k8s.io"
CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"
SERVING_ROLE = "approve-node-server-renewal-csr"

AUTO_APPROVAL = "auto-approve-csrs-for-group"

# The binding's name -> its ClusterRole and the group that gets it.
BINDINGS = {
    "kubelet-bootstrap": ("system:node-bootstrapper", BOOTSTRAPPERS),
    AUTO_APPROVAL: (f"{CSR_ROLE}:nodeclient", BOOTSTRAPPERS),
    "node-client-cert-renewal": (f"{CSR_ROLE}:selfnodeclient", NODES),
    "node-server-cert-renewal": (SERVING_ROLE, NODES),
}


@dataclass(frozen=True, kw_only=True)
class BootstrapRbacArgs:
    """What differs between clusters."""

    client_approval: Literal["controller-manager", "gate"]
    """Who approves the first client certificates; the gate needs no binding for that."""


class BootstrapRbac(pulumi.ComponentResource):
    """The ClusterRole and the ClusterRoleBindings of TLS bootstrapping, one set for a cluster.

    kube-controller-manager approves client certificates by `nodeclient` and `selfnodeclient`. It
    does not know `selfnodeserver`: our own approver checks for that right before it approves a
    serving certificate. Without the binding for `nodeclient` it leaves first requests to the gate.
    """

    ready: list[pulumi.Resource]
    """The resources to depend on: once they exist, a token's holder may ask for a certificate."""

    def __init__(
        self, name: str, args: BootstrapRbacArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
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
        bindings = [
            binding
            for binding in BINDINGS
            if binding != AUTO_APPROVAL or args.client_approval == "controller-manager"
        ]
        self.ready = [role]
        for binding in bindings:
            role_name, group = BINDINGS[binding]
            bound = ClusterRoleBinding(
                binding,
                metadata=ObjectMetaArgs(name=binding),
                role_ref=RoleRefArgs(api_group=RBAC_GROUP, kind="ClusterRole", name=role_name),
                subjects=[SubjectArgs(api_group=RBAC_GROUP, kind="Group", name=group)],
                opts=pulumi.ResourceOptions(parent=self, depends_on=after(self, role)),
            )
            self.ready.append(bound)
        self.register_outputs({"bindings": bindings})
