"""Who may request a certificate, and whose requests are approved.

Upstream's roles: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go of Kubernetes.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs, ObjectMetaPatchArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    ClusterRoleBindingPatch,
    ClusterRolePatch,
    PolicyRuleArgs,
    PolicyRulePatchArgs,
    RoleRefArgs,
    RoleRefPatchArgs,
    SubjectArgs,
    SubjectPatchArgs,
)

from components import commands
from components.bootstrap_token import AUTO_APPROVED
from components.bootstrap_token import GROUP as BOOTSTRAPPERS
from components.dependencies import Dependencies, after, once_there, together

NODES = "system:nodes"
RBAC_GROUP = "rbac.authorization.k8s.io"
CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"
SERVING_ROLE = "approve-node-server-renewal-csr"
SERVING_RULE = {
    "api_groups": ["certificates.k8s.io"],
    "resources": ["certificatesigningrequests/selfnodeserver"],
    "verbs": ["create"],
}

# The binding's name -> its ClusterRole and the group that gets it.
BINDINGS = {
    "kubelet-bootstrap": ("system:node-bootstrapper", BOOTSTRAPPERS),
    "auto-approve-csrs-for-group": (f"{CSR_ROLE}:nodeclient", AUTO_APPROVED),
    "node-client-cert-renewal": (f"{CSR_ROLE}:selfnodeclient", NODES),
    "node-server-cert-renewal": (SERVING_ROLE, NODES),
}
# What all of them are called in the cluster, where something else has their name.
OWN_PREFIX = "kubelet-tls-bootstrap:"
KINDS = f"kubernetes:{RBAC_GROUP}/v1:"


def claim(stack: str) -> dict[str, str]:
    """Return the annotation by which a stack says that it needs an object.

    Each stack has a key of its own, so that none owns a field that another one writes. The same as
    in `admission`, which is a program of its own and not imported here.
    """
    return {f"kubelet-tls-bootstrap/stack-{hashlib.sha256(stack.encode()).hexdigest()[:16]}": stack}


@dataclass(frozen=True, kw_only=True)
class BootstrapRbacArgs:
    """Whose they are, and how the cluster is reached when the stack is destroyed."""

    stack: str
    """The stack whose settings name the kubeconfig."""
    api_server: str
    """The URL to which that leads."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What is called otherwise in the cluster than here, since something else has its name."""
    approver: bool = False
    """Whether the stack runs the resident approver, which ends with it."""


class BootstrapRbac(pulumi.ComponentResource):
    """The ClusterRole and the ClusterRoleBindings of TLS bootstrapping, one set for a cluster.

    kube-controller-manager approves client certificates by `nodeclient` and `selfnodeclient`. It
    does not know `selfnodeserver`: our own approver checks for that right before it approves a
    serving certificate. `nodeclient` is for a group that a pool's tokens are in or not: it leaves
    the first requests of all others to the gate.

    With arguments they are for all nodes of the cluster and all stacks: each stack applies them as
    a field manager of its own, so what is there already and says the same is shared, and they go
    with the cluster's last Node and its last stack. Without, they are this stack's alone.
    """

    ready: Dependencies
    """What to depend on: once it is known, a token's holder may ask for a certificate."""
    renewal: list[pulumi.Resource]
    """What a node needs for as long as it is one: deleted only once the nodes have left."""

    def __init__(
        self,
        name: str,
        args: BootstrapRbacArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:BootstrapRbac", name, None, opts)
        names = args.names if args is not None else {}
        role = self._role(args, names.get(SERVING_ROLE, SERVING_ROLE))
        made, self.renewal, first = [role], list[pulumi.Resource](), after(self, role)
        for binding, (role_name, group) in BINDINGS.items():
            called = names.get(binding, binding), names.get(role_name, role_name)
            bound = self._binding(args, binding, *called, group, first=first)
            made.append(bound)
            if group == NODES:
                self.renewal.append(bound)
        if args is not None:
            self.renewal = [_end(f"{name}-end", args, self, made)]
        self.ready = together(*(once_there(self, resource) for resource in made))
        self.register_outputs({"bindings": list(BINDINGS)})

    def _role(self, args: BootstrapRbacArgs | None, name: str) -> pulumi.Resource:
        if args is None:
            return ClusterRole(
                SERVING_ROLE,
                metadata=ObjectMetaArgs(name=name),
                rules=[PolicyRuleArgs(**SERVING_RULE)],
                opts=pulumi.ResourceOptions(parent=self),
            )
        return ClusterRolePatch(
            SERVING_ROLE,
            metadata=ObjectMetaPatchArgs(name=name, annotations=claim(args.stack)),
            rules=[PolicyRulePatchArgs(**SERVING_RULE)],
            opts=self._shared("ClusterRole"),
        )

    def _binding(
        self,
        args: BootstrapRbacArgs | None,
        title: str,
        name: str,
        role: str,
        group: str,
        *,
        first: Dependencies,
    ) -> pulumi.Resource:
        if args is None:
            return ClusterRoleBinding(
                title,
                metadata=ObjectMetaArgs(name=name),
                role_ref=RoleRefArgs(api_group=RBAC_GROUP, kind="ClusterRole", name=role),
                subjects=[SubjectArgs(api_group=RBAC_GROUP, kind="Group", name=group)],
                opts=pulumi.ResourceOptions(parent=self, depends_on=first),
            )
        return ClusterRoleBindingPatch(
            title,
            metadata=ObjectMetaPatchArgs(name=name, annotations=claim(args.stack)),
            role_ref=RoleRefPatchArgs(api_group=RBAC_GROUP, kind="ClusterRole", name=role),
            subjects=[SubjectPatchArgs(api_group=RBAC_GROUP, kind="Group", name=group)],
            opts=pulumi.ResourceOptions.merge(
                self._shared("ClusterRoleBinding"), pulumi.ResourceOptions(depends_on=first)
            ),
        )

    def _shared(self, kind: str) -> pulumi.ResourceOptions:
        # Earlier releases had the whole object, of which this takes over the state and the fields.
        return pulumi.ResourceOptions(
            parent=self, retain_on_delete=True, aliases=[pulumi.Alias(type_=f"{KINDS}{kind}")]
        )


def _end(
    name: str, args: BootstrapRbacArgs, rbac: BootstrapRbac, made: Sequence[pulumi.Resource]
) -> pulumi.Resource:
    """Declare what deletes them, which the engine itself does not."""
    names = [
        *(f"clusterrolebindings/{args.names.get(bound, bound)}" for bound in BINDINGS),
        f"clusterroles/{args.names.get(SERVING_ROLE, SERVING_ROLE)}",
    ]
    where = f"--stack {shlex.quote(args.stack)} --server {shlex.quote(args.api_server)}"
    approver = " --approver" if args.approver else ""
    return commands.python_module(
        name,
        delete=f"admission release {' '.join(names)} {where}{approver}",
        opts=pulumi.ResourceOptions(parent=rbac, depends_on=after(rbac, *made)),
    )
