"""The resident approver's Deployment: its pods, where they run, and with what privileges."""

from urllib.parse import urlsplit

from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict
from pulumi_kubernetes.core.v1 import (
    AffinityArgsDict,
    ContainerArgsDict,
    EnvVarArgsDict,
    NodeSelectorTermArgsDict,
    PodSpecArgsDict,
    ProbeArgsDict,
)
from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgsDict

from components.approver_arguments import LABELS, NAME, PORT, ServingApproverArgs

USER_ID = 65532
# NodeRestriction lets no kubelet give this label to its own Node.
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
# What keeps other pods off such nodes: kubeadm's taint, the one it set until 1.24, RKE2's and k3s'.
TOLERATED = (
    CONTROL_PLANE_LABEL,
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
    "CriticalAddonsOnly",
)


def deployment(args: ServingApproverArgs) -> DeploymentSpecArgsDict:
    """Return the Deployment's specification."""
    return {
        "replicas": args.replicas,
        "selector": {"match_labels": LABELS},
        # No two replicas fit on one machine, so an old pod must go before a new one starts.
        "strategy": {"rolling_update": {"max_surge": 0, "max_unavailable": 1}},
        "template": {"metadata": {"labels": LABELS}, "spec": pod(args)},
    }


def network_policy() -> NetworkPolicySpecArgsDict:
    """Return what may reach the pods: health and metrics, from anywhere.

    What they may reach is left open: an API server can have any address.
    """
    return {
        "pod_selector": {"match_labels": LABELS},
        "policy_types": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": PORT}]}],
    }


def pod(args: ServingApproverArgs) -> PodSpecArgsDict:
    """Return a replica's specification."""
    return {
        "service_account_name": NAME,
        "host_network": args.host_network,
        "priority_class_name": "system-cluster-critical",
        "tolerations": [{"key": key, "operator": "Exists"} for key in TOLERATED],
        "affinity": affinity(args),
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER_ID,
            "run_as_group": USER_ID,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "termination_grace_period_seconds": 10,
        "containers": [container(args)],
    }


def affinity(args: ServingApproverArgs) -> AffinityArgsDict:
    """Return where a replica runs: on a machine of its own, one of the control plane's.

    Whoever owns its machine gets its ServiceAccount's tokens.
    """
    found: AffinityArgsDict = {
        "pod_anti_affinity": {
            "required_during_scheduling_ignored_during_execution": [
                {
                    "topology_key": "kubernetes.io/hostname",
                    "label_selector": {"match_labels": LABELS},
                }
            ]
        }
    }
    if not args.allow_workers:
        has_label: NodeSelectorTermArgsDict = {
            "match_expressions": [{"key": CONTROL_PLANE_LABEL, "operator": "Exists"}]
        }
        found["node_affinity"] = {
            "required_during_scheduling_ignored_during_execution": {
                "node_selector_terms": [has_label]
            }
        }
    return found


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
            *(f"--pool={pool}" for pool in args.pools),
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
