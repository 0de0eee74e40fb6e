"""The resident approver: `python -m admission serve` as a Deployment, and its rights.

It can approve one signer's requests, and change nothing else in the cluster but its own Lease.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgsDict
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    EnvVarArgsDict,
    PodSpecArgsDict,
    ProbeArgsDict,
    ServiceAccount,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
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

from components.dependencies import Dependencies, after, together

NAME = "kubelet-serving-approver"
LABELS = {"app.kubernetes.io/name": NAME}
PORT = 10279  # the same as in `admission`, which is a program of its own and not imported here
USER_ID = 65532
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
    # `create` can't be limited to a name.
    {"api_groups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
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


@dataclass(frozen=True, kw_only=True)
class ServingApproverArgs:
    """How the approver runs."""

    image: str
    """An image built from the Containerfile."""
    replicas: int = 2
    """How many run, each on its own machine; one of them approves."""
    namespace: str = "kube-system"
    """Where its objects are, and the inventories that it reads."""
    host_network: bool = False
    """Whether its pods use the machine's network: they then work without a CNI plugin."""
    server: str | None = None
    """The API server's https URL for its pods; None: the cluster's Service."""
    after: Dependencies | None = None
    """What it depends on: the nodes that it runs on."""


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
                metadata=ObjectMetaArgs(name=NAME),
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
                    after(self, account, *bindings), *([args.after] if args.after else [])
                ),
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m"),
            ),
        )
        self.register_outputs({"name": NAME, "namespace": namespace})


def deployment(args: ServingApproverArgs) -> DeploymentSpecArgsDict:
    """Return the Deployment's specification."""
    return {
        "replicas": args.replicas,
        "selector": {"match_labels": LABELS},
        # No two replicas fit on one machine, so an old pod must go before a new one starts.
        "strategy": {"rolling_update": {"max_surge": 0, "max_unavailable": 1}},
        "template": {"metadata": {"labels": LABELS}, "spec": pod(args)},
    }


def pod(args: ServingApproverArgs) -> PodSpecArgsDict:
    """Return a replica's specification."""
    return {
        "service_account_name": NAME,
        "host_network": args.host_network,
        "priority_class_name": "system-cluster-critical",
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
        "affinity": {
            "pod_anti_affinity": {
                "required_during_scheduling_ignored_during_execution": [
                    {
                        "topology_key": "kubernetes.io/hostname",
                        "label_selector": {"match_labels": LABELS},
                    }
                ]
            }
        },
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER_ID,
            "run_as_group": USER_ID,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "termination_grace_period_seconds": 10,
        "containers": [container(args)],
    }


def container(args: ServingApproverArgs) -> ContainerArgsDict:
    """Return the pod's only container."""
    environment: list[EnvVarArgsDict] = [
        {"name": "POD_NAME", "value_from": {"field_ref": {"field_path": "metadata.name"}}}
    ]
    if args.server:
        url = urlsplit(args.server)
        environment += [
            {"name": "KUBERNETES_SERVICE_HOST", "value": url.hostname or ""},
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(url.port or 443)},
        ]
    return {
        "name": "approver",
        "image": args.image,
        "image_pull_policy": "IfNotPresent",
        "args": [
            "serve",
            f"--namespace={args.namespace}",
            "--identity=$(POD_NAME)",
            f"--port={PORT}",
        ],
        "env": environment,
        "ports": [{"name": "metrics", "container_port": PORT}],
        "liveness_probe": _probe("/healthz", period_s=10),
        "readiness_probe": _probe("/readyz", period_s=2),
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _probe(path: str, *, period_s: int) -> ProbeArgsDict:
    return {"http_get": {"path": path, "port": PORT}, "period_seconds": period_s}
