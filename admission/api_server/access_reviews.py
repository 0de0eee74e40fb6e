"""Who may do what: access reviews of our own rights, and of a token's holder."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from admission.api_server.connection import Cluster
from admission.gate.bootstrap_token import Found

SELF_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
CERTIFICATES = "certificates.k8s.io"

# A right: group, resource with its subresource, namespace, name, verbs.
Right = tuple[str, str, str, str, str]
GATE_RIGHTS: tuple[Right, ...] = (
    (CERTIFICATES, "certificatesigningrequests", "", "", "list watch"),
    (CERTIFICATES, "certificatesigningrequests/approval", "", "", "update"),
    ("", "nodes", "", "", "get list watch"),
    ("", "nodes/proxy", "", "", "get"),
    ("", "secrets", "kube-system", "", "get patch delete"),
    ("authorization.k8s.io", "subjectaccessreviews", "", "", "create"),
)
LEAVE_RIGHTS: tuple[Right, ...] = (
    ("", "nodes", "", "", "get patch delete"),
    ("", "pods", "", "", "get list"),
    ("", "pods/eviction", "", "", "create"),
    ("apps", "daemonsets", "", "", "get"),
)


async def lacking(cluster: Cluster, rights: Iterable[Right]) -> list[str]:
    """Return those of the rights that our credentials don't have."""
    wanted = [(right, verb) for right in rights for verb in right[-1].split()]
    allowed = await asyncio.gather(*(_may_we(cluster, right, verb) for right, verb in wanted))
    return [
        f"{verb} {name or resource}"
        for ((_, resource, _, name, _), verb), may in zip(wanted, allowed, strict=True)
        if not may
    ]


async def holder_may(cluster: Cluster, found: Found, subresource: str) -> bool:
    """Ask whether a token's holder may create requests, or some kind of them."""
    spec = {
        "user": found.token.user,
        "groups": ["system:bootstrappers", "system:authenticated", found.token.group],
        "resourceAttributes": {
            "group": CERTIFICATES,
            "resource": "certificatesigningrequests",
            "subresource": subresource,
            "verb": "create",
        },
    }
    return await _allowed(cluster, ACCESS_REVIEWS, "SubjectAccessReview", spec)


async def _may_we(cluster: Cluster, right: Right, verb: str) -> bool:
    group, resource, namespace, name, _ = right
    resource, _, subresource = resource.partition("/")
    attributes = {
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
        "verb": verb,
    }
    spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    return await _allowed(cluster, SELF_ACCESS_REVIEWS, "SelfSubjectAccessReview", spec)


async def _allowed(cluster: Cluster, path: str, kind: str, spec: Mapping[str, Any]) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = await cluster.insist("POST", path, review)
    return answer["status"].get("allowed") is True
