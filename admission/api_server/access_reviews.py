"""Who may do what: access reviews of our own rights, and of others' rights.

Each function asks through a `Post`: the connection's `request`, or its patient `insist`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

SELF_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
CERTIFICATES = "certificates.k8s.io"

# A right: group, resource with its subresource, namespace, name, verbs.
Right = tuple[str, str, str, str, str]
Post = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]


async def missing_rights(post: Post, rights: Iterable[Right]) -> list[str]:
    """Return which of the rights our credentials don't have."""
    wanted = [(right, verb) for right in rights for verb in right[-1].split()]
    allowed = await asyncio.gather(*(_may_we(post, right, verb) for right, verb in wanted))
    return [
        f"{verb} {name or resource}"
        for ((_, resource, _, name, _), verb), may in zip(wanted, allowed, strict=True)
        if not may
    ]


async def may_create_requests(
    post: Post, user: str, groups: Iterable[str], subresource: str
) -> bool:
    """Ask whether a user may create CertificateSigningRequests, or one kind of them."""
    attributes = {
        "group": CERTIFICATES,
        "resource": "certificatesigningrequests",
        "subresource": subresource,
        "verb": "create",
    }
    spec = {"user": user, "groups": [*groups], "resourceAttributes": attributes}
    return await _allowed(post, ACCESS_REVIEWS, "SubjectAccessReview", spec)


async def may_serve_itself(post: Post, requester: Mapping[str, Any]) -> bool:
    """Ask whether a requester may get serving certificates: the right that our binding gives.

    Takes a request's spec, and asks as kube-controller-manager asks for its own kinds:
    pkg/controller/certificates/approver/sarapprove.go.
    """
    who = {key: requester.get(key) for key in ("uid", "groups", "extra")}
    spec = {
        "user": requester["username"],
        **{key: value for key, value in who.items() if value},
        "resourceAttributes": {
            "group": CERTIFICATES,
            "version": "*",
            "resource": "certificatesigningrequests",
            "subresource": "selfnodeserver",
            "verb": "create",
        },
    }
    return await _allowed(post, ACCESS_REVIEWS, "SubjectAccessReview", spec)


async def may_approve(post: Post, signer: str) -> bool:
    """Ask whether we may approve the requests of a signer."""
    return not await missing_rights(
        post,
        [
            (CERTIFICATES, "certificatesigningrequests/approval", "", "", "update"),
            (CERTIFICATES, "signers", "", signer, "approve"),
        ],
    )


async def _may_we(post: Post, right: Right, verb: str) -> bool:
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
    return await _allowed(post, SELF_ACCESS_REVIEWS, "SelfSubjectAccessReview", spec)


async def _allowed(post: Post, path: str, kind: str, spec: Mapping[str, Any]) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = await post("POST", path, review)
    return answer["status"].get("allowed") is True
