"""The resident approver: `python -m admission serve` as a Deployment, and its rights.

It can approve one signer's requests, and change nothing else in the cluster but its own Lease.
"""

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.coordination.v1 import LeasePatch
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs, ObjectMetaPatchArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgsDict,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from components import approver_placement, approver_policies
from components.approver_arguments import LABELS, NAME, ServingApproverArgs
from components.approver_pods import deployment, network_policy
from components.dependencies import after, together
from components.pool_inventory import OWNER

RBAC_GROUP = "rbac.authorization.k8s.io"
CERTIFICATES_GROUP = "certificates.k8s.io"
CSRS = "certificatesigningrequests"

CLUSTER_RULES: list[PolicyRuleArgsDict] = [
    {"api_groups": [CERTIFICATES_GROUP], "resources": [CSRS], "verbs": ["list", "watch"]},
    {"api_groups": [CERTIFICATES_GROUP], "resources": [f"{CSRS}/approval"], "verbs": ["update"]},
    {
        "api_groups": [CERTIFICATES_GROUP],
        "resources": ["signers"],
        "resource_names": ["kubernetes.io/kubelet-serving"],
        "verbs": ["approve"],
    },
    {"api_groups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
    {
        "api_groups": ["authorization.k8s.io"],
        "resources": ["subjectaccessreviews"],
        "verbs": ["create"],
    },
]
OWN_RULES: list[PolicyRuleArgsDict] = [
    {"api_groups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]},
    {
        "api_groups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resource_names": [NAME],
        "verbs": ["get", "update"],
    },
]
# Events of Nodes, which have no namespace, are in `default`.
EVENT_NAMESPACE = "default"
EVENT_RULES: list[PolicyRuleArgsDict] = [
    {"api_groups": [""], "resources": ["events"], "verbs": ["create"]}
]


class ServingApprover(pulumi.ComponentResource):
    """A Deployment, its ServiceAccount with no more rights than it needs, and its budget."""

    def __init__(
        self, name: str, args: ServingApproverArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:ServingApprover", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = args.namespace
        metadata = ObjectMetaArgs(name=NAME, namespace=namespace, labels=LABELS)
        account = ServiceAccount(f"{name}-account", metadata=metadata, opts=child)
        subject = SubjectArgs(kind="ServiceAccount", name=NAME, namespace=namespace)
        ClusterRole(
            f"{name}-role", metadata=ObjectMetaArgs(name=NAME), rules=CLUSTER_RULES, opts=child
        )
        bindings: list[pulumi.Resource] = [
            ClusterRoleBinding(
                f"{name}-binding",
                metadata=ObjectMetaArgs(
                    name=NAME, annotations={OWNER: args.stack} if args.stack else None
                ),
                role_ref=RoleRefArgs(api_group=RBAC_GROUP, kind="ClusterRole", name=NAME),
                subjects=[subject],
                opts=child,
            )
        ]
        for purpose, place, rules in (
            ("own", namespace, OWN_RULES),
            ("events", EVENT_NAMESPACE, EVENT_RULES),
        ):
            within = ObjectMetaArgs(name=f"{NAME}-{purpose}", namespace=place)
            Role(f"{name}-{purpose}-role", metadata=within, rules=rules, opts=child)
            binding = RoleBinding(
                f"{name}-{purpose}-binding",
                metadata=within,
                role_ref=RoleRefArgs(api_group=RBAC_GROUP, kind="Role", name=f"{NAME}-{purpose}"),
                subjects=[subject],
                opts=child,
            )
            bindings.append(binding)
        if args.admission_policy:
            approver_policies.declare(name, namespace, child)
        if not args.host_network:  # it would have no effect
            NetworkPolicy(
                f"{name}-network-policy", metadata=metadata, spec=network_policy(), opts=child
            )
        # A patch creates what is not there and takes over what a former approver has created. It
        # owns the labels alone: who holds the Lease is the replicas' to write.
        lease = LeasePatch(
            f"{name}-lease",
            metadata=ObjectMetaPatchArgs(name=NAME, namespace=namespace, labels=LABELS),
            opts=child,
        )
        PodDisruptionBudget(
            f"{name}-budget",
            metadata=metadata,
            spec={"max_unavailable": 1, "selector": {"match_labels": LABELS}},
            opts=child,
        )
        Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment(args),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=together(
                    after(self, account, lease, *bindings), *([args.after] if args.after else [])
                ),
                hooks=approver_placement.hooks(name, args),
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m"),
            ),
        )
        self.register_outputs({"name": NAME, "namespace": namespace})
