"""What the tests make: the kinds that the program declares."""

from typing import Any

RBAC = "rbac.authorization.k8s.io"

SECRET = "kubernetes:core/v1:Secret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SERVICE_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
DISRUPTION_BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
CLUSTER_ROLE = f"kubernetes:{RBAC}/v1:ClusterRole"
CLUSTER_ROLE_BINDING = f"kubernetes:{RBAC}/v1:ClusterRoleBinding"
ROLE = f"kubernetes:{RBAC}/v1:Role"
ROLE_BINDING = f"kubernetes:{RBAC}/v1:RoleBinding"


def manifest(token: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return the properties that the SDK sends for a token; `metadata` is merged."""
    _, api_version, kind = token.split(":")
    metadata = {"name": name, "namespace": "default"} | fields.pop("metadata", {})
    return {
        "apiVersion": api_version.removeprefix("core/"),
        "kind": kind,
        "metadata": metadata,
        **fields,
    }


def config_map(name: str, text: str = "one", **metadata: Any) -> dict[str, Any]:
    """Return a ConfigMap with one key."""
    return manifest(CONFIG_MAP, name, metadata=metadata, data={"text": text})


def binding(name: str, role: str = "view") -> dict[str, Any]:
    """Return a binding of a group to a role, in one namespace."""
    return manifest(
        ROLE_BINDING,
        name,
        roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        subjects=[{"apiGroup": RBAC, "kind": "Group", "name": "system:bootstrappers"}],
    )


def deployment(name: str) -> dict[str, Any]:
    """Return a Deployment of one pod."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "one"}]},
    }
    return manifest(
        DEPLOYMENT,
        name,
        spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    )
