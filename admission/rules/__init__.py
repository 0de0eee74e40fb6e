"""Which certificate request is approved: pure decisions, each with its reason.

kube-controller-manager signs a `kubernetes.io/kubelet-serving` request without checking whose names
it holds, and approves none by itself; and it approves the client request of whoever holds a
bootstrap token, whatever node it names. What an approver must check is described in
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation
and in https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
(the signers' own terms). The rules here are stricter: names and addresses are compared with an
inventory that the node can't change, and a token stands for one node.

`every_request` holds what both kinds have in common, `serving` and `client` the rest,
`certificate_request` what the request itself may say.
"""

from admission.rules.client import BOOTSTRAP_PREFIX, CLIENT_SIGNER, decide_client
from admission.rules.decision import (
    Approve,
    Decision,
    NodeObject,
    Refuse,
    Request,
    TokenGrant,
    Unread,
    Wait,
)
from admission.rules.every_request import MOST_PENDING, OLDEST, USER_PREFIX
from admission.rules.serving import SERVING_SIGNER, decide_serving

__all__ = [
    "BOOTSTRAP_PREFIX",
    "CLIENT_SIGNER",
    "MOST_PENDING",
    "OLDEST",
    "SERVING_SIGNER",
    "USER_PREFIX",
    "Approve",
    "Decision",
    "NodeObject",
    "Refuse",
    "Request",
    "TokenGrant",
    "Unread",
    "Wait",
    "decide_client",
    "decide_serving",
]
