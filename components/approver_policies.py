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
LONGEST_EXPIRATION_S = 366 * 24 * 3600
MOST_OF_EACH = 16
REQUEST_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
USAGES = ("digital signature", "key encipherment", "server auth")
LONGEST_NAME = 253
OWNER_FIELDS = ("apiVersion", "kind", "name", "uid")
# What an API server says of a token that is bound to a pod, since 1.30. One that is bound to a Node
# has the node's name alone.
POD_NAME = "authentication.kubernetes.io/pod-name"
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
                "object.spec.username.startsWith('system:node:')"
                " && 'system:nodes' in object.spec.groups",
                "the approver may approve requests of nodes only",
            ),
            _validation(
                f"object.spec.usages.all(usage, usage in [{usages}])"
                " && 'server auth' in object.spec.usages",
                "the approver may approve only the usages of a kubelet's serving certificate",
            ),
            _validation(
                "!has(object.spec.expirationSeconds)"
                f" || object.spec.expirationSeconds <= {LONGEST_EXPIRATION_S}",
                "the approver may approve 366 days at most",
            ),
            _size(),
            _validation(
                "has(request.userInfo.extra)"
                f" && '{POD_NAME}' in request.userInfo.extra"
                f" && '{NODE_NAME}' in request.userInfo.extra",
                "the approver may approve only with the token of a pod that runs on a node",
            ),
        ],
    )


def requests() -> ValidatingAdmissionPolicySpecArgsDict:
    """Return the policy for requests of nodes, and of those who hold bootstrap tokens."""
    groups = "['system:nodes', 'system:bootstrappers']"
    metadata = "object.metadata"
    annotations = f"{metadata}.annotations"
    total = (
        f"{annotations}.map(key, size(key) + size({annotations}[key])).sum()"
        f" <= {LARGEST_ANNOTATIONS}"
    )
    owners = f"{metadata}.ownerReferences"
    short = " && ".join(f"size(owner.{field}) <= {LONGEST_NAME}" for field in OWNER_FIELDS)
    return _policy(
        operation="CREATE",
        resource="certificatesigningrequests",
        condition=f"request.userInfo.groups.exists(group, group in {groups})",
        validations=[
            _size(),
            _validation(
                f"{metadata}.name.matches('^{REQUEST_NAME}$')",
                "a certificate request of a node has a name of letters, digits, '.', '_' and '-'",
            ),
            _validation(
                f"!has({annotations}) || {total}",
                f"annotations of such a request may have {LARGEST_ANNOTATIONS} characters together",
            ),
            _validation(
                " && ".join(
                    f"(!has({metadata}.{field}) || size({metadata}.{field}) <= {MOST_OF_EACH})"
                    for field in ("labels", "finalizers", "ownerReferences")
                ),
                f"such a request may have {MOST_OF_EACH} labels, finalizers and owners each",
            ),
            _validation(
                f"!has({metadata}.generateName) || size({metadata}.generateName) <= {LONGEST_NAME}",
                f"generateName of such a request may have {LONGEST_NAME} characters",
            ),
            _validation(
                f"!has({owners}) || {owners}.all(owner, {short})",
                f"what such a request says of an owner may have {LONGEST_NAME} characters each",
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


def _size() -> ValidationArgsDict:
    return _validation(
        f"size(object.spec.request) <= {LONGEST_REQUEST}",
        f"a certificate request of a node may have {LARGEST_REQUEST_BYTES} bytes",
    )
