"""Which request for a first client certificate, made with a bootstrap token, is approved.

The rules need a token for each node: its id is in the requester's name, and so stands for the
machine that it was delivered to. With a shared token each machine could take any other's name.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta

from admission.rules import certificate_request
from admission.rules.certificate_request import CertificateRequest
from admission.rules.decision import (
    Approve,
    Decision,
    Refuse,
    Request,
    TokenGrant,
    Unread,
    Wait,
)
from admission.rules.every_request import (
    AUTHENTICATED_GROUP,
    object_problems,
    refusal,
    refusal_of_flood,
    subject_problems,
)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
BOOTSTRAP_PREFIX = "system:bootstrap:"
BOOTSTRAPPERS_GROUP = "system:bootstrappers"
USAGES = frozenset({"digital signature", "client auth"})
# Creation times have whole seconds, and a token's is written down by another clock.
TOKEN_TOLERANCE = timedelta(seconds=10)


def decide_client(
    request: Request,
    *,
    tokens: Mapping[str, TokenGrant],
    node_exists: Callable[[str], bool],
    approved_before: frozenset[str],
    others: Collection[Request] = (),
    now: datetime,
) -> Decision:
    """Decide on a request for a kubelet's first client certificate.

    `tokens` holds what each token, by its id, was made for; `approved_before` the ids of those
    with which a client request has been approved, no matter by whom; `others` the other undecided
    client requests of the same requester.

    A token admits once: whatever its holder asks for after an approval is refused, even when the
    certificate was never fetched. Of several undecided requests the newest that passes is the one
    to approve, and the others wait: a kubelet that restarts has lost the key of its last request
    (it keeps keys in memory until their certificate comes), so only the newest is of use.
    """
    refused = _refusal_of_requester(request, tokens, approved_before, now)
    flood = refused or refusal_of_flood(request.user, len(others) + 1)
    if flood is not None:
        return flood
    decision = _decide_alone(request, tokens, node_exists, approved_before, now)
    if not isinstance(decision, Approve):
        return decision
    for other in others:
        if other.created > request.created and isinstance(
            _decide_alone(other, tokens, node_exists, approved_before, now), Approve | Unread
        ):
            return Wait(reason=f"the kubelet has made a newer request since, {other.name}")
    return decision


def _decide_alone(
    request: Request,
    tokens: Mapping[str, TokenGrant],
    node_exists: Callable[[str], bool],
    approved_before: frozenset[str],
    now: datetime,
) -> Approve | Refuse | Unread:
    """Decide on a request as if there were no other undecided one."""
    refused = _refusal_of_requester(request, tokens, approved_before, now)
    if refused is not None:
        return refused
    if request.pem is None:
        return Unread()
    try:
        content = certificate_request.parse(request.pem)
    except ValueError as error:
        return Refuse(reason=str(error))
    grant = tokens[request.user.removeprefix(BOOTSTRAP_PREFIX)]
    problem = next(_content_problems(content, grant), None)
    if problem is None and node_exists(grant.node):
        problem = (
            f"the Node {grant.node} exists; if this machine is to take its place, run"
            f" kubectl delete node {grant.node}"
        )
    return Approve(content=content) if problem is None else Refuse(reason=problem)


def _refusal_of_requester(
    request: Request,
    tokens: Mapping[str, TokenGrant],
    approved_before: frozenset[str],
    now: datetime,
) -> Refuse | None:
    """Return a refusal if something around what the request holds is wrong."""
    token = request.user.removeprefix(BOOTSTRAP_PREFIX)
    grant = tokens.get(token)
    if grant is None or request.user != BOOTSTRAP_PREFIX + token:
        return Refuse(reason=f"its requester {request.user} holds no token of these nodes")
    groups = {BOOTSTRAPPERS_GROUP, AUTHENTICATED_GROUP, grant.group}
    problems = object_problems(request, signer=CLIENT_SIGNER, groups=groups, usages=USAGES, now=now)
    problem = next(problems, None)
    if problem is not None:
        return refusal(problem)
    problem = next(_token_problems(request, token, grant, approved_before), None)
    return None if problem is None else Refuse(reason=problem)


def _token_problems(
    request: Request, token: str, grant: TokenGrant, approved_before: frozenset[str]
) -> Iterator[str]:
    """Say what is wrong with the use of the token."""
    if request.created < grant.created - TOKEN_TOLERANCE:
        yield f"it is older than the token {token}"
    if request.created > grant.expires:
        yield f"it was made after the token {token} had expired"
    if token in approved_before:
        yield (
            f"the token {token} has already admitted a machine; if it was not {grant.node}, look"
            " for the one that holds the token, and raise the node's generation for a new one"
        )


def _content_problems(content: CertificateRequest, grant: TokenGrant) -> Iterator[str]:
    """Say what is wrong with what the request asks for."""
    yield from subject_problems(content, grant.node)
    if content.dns_names or content.addresses:
        yield "it asks for names or addresses, which a client certificate does not hold"
