"""What the tests make."""

from typing import Any

SECRET = "kubernetes:core/v1:Secret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
NAMESPACE = "kubernetes:core/v1:Namespace"
SERVICE_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
POD = "kubernetes:core/v1:Pod"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
LEASE = "kubernetes:coordination.k8s.io/v1:Lease"
CLUSTER_ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
CLUSTER_ROLE_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
ROLE_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
CRD = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"

RBAC = "rbac.authorization.k8s.io"


def manifest(token: str, name: str = "", **fields: Any) -> dict[str, Any]:
    """Return the properties that the SDK sends for a token; `metadata` is merged."""
    _, api_version, kind = token.split(":")
    metadata = ({"name": name} if name else {}) | fields.pop("metadata", {})
    base = {"apiVersion": api_version.removeprefix("core/"), "kind": kind}
    return base | ({"metadata": metadata} if metadata else {}) | fields


def cluster_role(name: str, verb: str = "get", **fields: Any) -> dict[str, Any]:
    """Return a role with one rule."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]
    return manifest(CLUSTER_ROLE, name, rules=rules, **fields)


def binding(name: str, role: str = "view") -> dict[str, Any]:
    """Return a cluster-wide binding of a group to a role."""
    return manifest(
        CLUSTER_ROLE_BINDING,
        name,
        roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        subjects=[{"apiGroup": RBAC, "kind": "Group", "name": "system:bootstrappers"}],
    )


def deployment(name: str, image: str = "one", **metadata: Any) -> dict[str, Any]:
    """Return a deployment of one pod."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    return manifest(
        DEPLOYMENT,
        name,
        metadata=metadata,
        spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    )


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    """Return a pod of one container."""
    return manifest(
        POD, name, metadata=metadata, spec={"containers": [{"name": "main", "image": "one"}]}
    )
