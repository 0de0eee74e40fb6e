"""A second line in the API server: admission policies for what the approver may approve.

They hold also for whoever has got hold of a token of its ServiceAccount. The first looks at each
approval by that account, the second at each request of a node or of a token's holder.
"""

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicySpecArgsDict,
    ValidationArgsDict,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.approver_arguments import NAME

APPROVALS, REQUESTS = f"{NAME}-approvals", f"{NAME}-requests"
# As in `admission`: a request that is longer is refused there too.
LARGEST_REQUEST_BYTES = 16384
# An expression sees it in base64.
LONGEST_REQUEST = (LARGEST_REQUEST_BYTES + 2) // 3 * 4
LARGEST_ANNOTATIONS = 4096  # characters
USAGES = ("digital signature", "key encipherment", "server auth")
# What an API server says of a token that is bound to a pod, since 1.30.
NODE_NAME = "authentication.kubernetes.io/node-name"


def approvals(namespace: str) -> ValidatingAdmissionPolicySpecArgsDict:
    """Return the policy for approvals by the approver's account."""
    usages = ", ".join(f"'{usage}'" for usage in USAGES)
    return _policy(
        operation="UPDATE",
        resource="certificatesigningrequests/approval",
        condition=f"request.userInfo.username == 'system:serviceaccount:{namespace}:{NAME}'",
        validations=[
            _validation(
                "object.spec.signerName == 'kubernetes.io/kubelet-serving'",
                "the approver may approve requests of kubernetes.io/kubelet-serving only",
            ),
            _validation(
                "object.spec.username.startsWith('system:node:')",
                "the approver may approve requests of nodes only",
            ),
            _validation(
                f"object.spec.usages.all(usage, usage in [{usages}])",
                "the approver may approve only the usages of a kubelet's serving certificate",
            ),
            _size("object.spec.request"),
            _validation(
                f"has(request.userInfo.extra) && '{NODE_NAME}' in request.userInfo.extra",
                "the approver may approve only with the token of a pod that runs on a node",
            ),
        ],
    )


def requests() -> ValidatingAdmissionPolicySpecArgsDict:
    """Return the policy for requests of nodes, and of those who hold bootstrap tokens."""
    groups = "['system:nodes', 'system:bootstrappers']"
    annotations = "object.metadata.annotations"
    total = (
        f"{annotations}.map(key, size(key) + size({annotations}[key])).sum()"
        f" <= {LARGEST_ANNOTATIONS}"
    )
    return _policy(
        operation="CREATE",
        resource="certificatesigningrequests",
        condition=f"request.userInfo.groups.exists(group, group in {groups})",
        validations=[
            _size("object.spec.request"),
            _validation(
                f"!has({annotations}) || {total}",
                f"annotations of such a request may have {LARGEST_ANNOTATIONS} characters together",
            ),
        ],
    )


def declare(name: str, namespace: str, opts: pulumi.ResourceOptions) -> None:
    """Declare both policies, each with its binding."""
    for part, title, spec in (
        ("approvals", APPROVALS, approvals(namespace)),
        ("requests", REQUESTS, requests()),
    ):
        metadata = ObjectMetaArgs(name=title)
        ValidatingAdmissionPolicy(f"{name}-{part}-policy", metadata=metadata, spec=spec, opts=opts)
        ValidatingAdmissionPolicyBinding(
            f"{name}-{part}-policy-binding",
            metadata=metadata,
            spec={"policy_name": title, "validation_actions": ["Deny"]},
            opts=opts,
        )


def _policy(
    *, operation: str, resource: str, condition: str, validations: list[ValidationArgsDict]
) -> ValidatingAdmissionPolicySpecArgsDict:
    return {
        "failure_policy": "Fail",
        "match_constraints": {
            "resource_rules": [
                {
                    "api_groups": ["certificates.k8s.io"],
                    "api_versions": ["v1"],
                    "operations": [operation],
                    "resources": [resource],
                }
            ]
        },
        "match_conditions": [{"name": "requester", "expression": condition}],
        "validations": validations,
    }


def _validation(expression: str, message: str) -> ValidationArgsDict:
    return {"expression": expression, "message": message, "reason": "Forbidden"}


def _size(what: str) -> ValidationArgsDict:
    return _validation(
        f"size({what}) <= {LONGEST_REQUEST}",
        f"a certificate request of a node may have {LARGEST_REQUEST_BYTES} bytes",
    )
