"""Who may request a certificate, and whose requests are approved.

Upstream's roles: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go of Kubernetes.
"""

import shlex
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleRefArgs,
    SubjectArgs,
)

from components import commands
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


@dataclass(frozen=True, kw_only=True)
class BootstrapRbacArgs:
    """How the cluster is reached when the stack is destroyed."""

    stack: str
    """The stack whose settings name the kubeconfig."""
    api_server: str
    """The URL to which that leads."""


class BootstrapRbac(pulumi.ComponentResource):
    """The ClusterRole and the ClusterRoleBindings of TLS bootstrapping, one set for a cluster.

    kube-controller-manager approves client certificates by `nodeclient` and `selfnodeclient`. It
    does not know `selfnodeserver`: our own approver checks for that right before it approves a
    serving certificate. `nodeclient` is for a group that a pool's tokens are in or not: it leaves
    the first requests of all others to the gate.

    With arguments they go with the cluster's last Node when the stack is destroyed: other nodes
    need them too, which this stack may not manage. Without, they go with the stack. Objects that
    are there already are taken over if the Kubernetes provider does that (`upsertExistingObjects`).
    """

    ready: list[pulumi.Resource]
    """The resources to depend on: once they exist, a token's holder may ask for a certificate."""
    renewal: list[pulumi.Resource]
    """What a node needs for as long as it is one: deleted only once the nodes have left."""

    def __init__(
        self,
        name: str,
        args: BootstrapRbacArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:BootstrapRbac", name, None, opts)
        stay = args is not None
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
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=stay),
        )
        self.ready, self.renewal = [role], []
        for binding, (role_name, group) in BINDINGS.items():
            bound = ClusterRoleBinding(
                binding,
                metadata=ObjectMetaArgs(name=binding),
                role_ref=RoleRefArgs(api_group=RBAC_GROUP, kind="ClusterRole", name=role_name),
                subjects=[SubjectArgs(api_group=RBAC_GROUP, kind="Group", name=group)],
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=after(self, role), retain_on_delete=stay
                ),
            )
            self.ready.append(bound)
            if group == NODES:
                self.renewal.append(bound)
        if args is not None:
            self.renewal = [_end(f"{name}-end", args, self)]
        self.register_outputs({"bindings": list(BINDINGS)})


def _end(name: str, args: BootstrapRbacArgs, rbac: BootstrapRbac) -> pulumi.Resource:
    """Declare what deletes them, which the engine itself does not."""
    names = [
        *(f"clusterrolebindings/{bound}" for bound in BINDINGS),
        f"clusterroles/{SERVING_ROLE}",
    ]
    where = f"--stack {shlex.quote(args.stack)} --server {shlex.quote(args.api_server)}"
    return commands.python_module(
        name,
        delete=f"admission release {' '.join(names)} {where}",
        opts=pulumi.ResourceOptions(parent=rbac, depends_on=after(rbac, *rbac.ready)),
    )
