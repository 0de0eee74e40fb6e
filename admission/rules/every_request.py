"""The rules that every kubelet's request must pass, whatever it asks for."""

from collections.abc import Iterator, Set
from datetime import datetime, timedelta

from admission.rules.certificate_request import CertificateRequest
from admission.rules.decision import Refuse, Request

USER_PREFIX = "system:node:"
NODES_GROUP = "system:nodes"
AUTHENTICATED_GROUP = "system:authenticated"
# A kubelet with an RSA key asks for it, one with an ECDSA key does not.
KEY_ENCIPHERMENT = "key encipherment"
LONGEST_EXPIRATION = timedelta(days=366)
# The kubelet gives up a request after 15 minutes and makes a new one.
OLDEST = timedelta(hours=1)
CLOCK_TOLERANCE = timedelta(minutes=5)
# A kubelet has one, or a few after restarts. Hundreds come from somebody who floods. There is no
# limit for all requesters together: it would let one of them block all others.
MOST_PENDING = 20
FROM_FUTURE = "it was made in the future; the clocks here and on the API server differ"


def object_problems(
    request: Request, *, signer: str, groups: Set[str], usages: Set[str], now: datetime
) -> Iterator[str]:
    """Say what is wrong with the object around a request."""
    if request.signer != signer:
        yield f"its signer is {request.signer}"
    if request.decided:
        yield "it has been decided already"
    missing = groups - request.groups
    if missing:
        yield f"its requester is not in the group {', '.join(sorted(missing))}"
    asked = frozenset(request.usages)
    if len(asked) != len(request.usages) or asked not in (usages, usages | {KEY_ENCIPHERMENT}):
        yield f"its usages are {', '.join(request.usages) or 'none'}"
    if request.expiration is not None and request.expiration > LONGEST_EXPIRATION:
        yield f"it asks for {request.expiration}, more than {LONGEST_EXPIRATION.days} days"
    if now - request.created > OLDEST:
        yield "it is older than an hour; restart the node's kubelet to make a new one"
    if request.created - now > CLOCK_TOLERANCE:
        yield FROM_FUTURE


def refusal(problem: str) -> Refuse:
    """Return the refusal for what is wrong with the object around a request."""
    return Refuse(reason=problem, passes=problem == FROM_FUTURE)


def refusal_of_flood(user: str, pending: int) -> Refuse | None:
    """Return a refusal if one requester has more undecided requests than a kubelet makes."""
    if pending <= MOST_PENDING:
        return None
    reason = (
        f"more than {MOST_PENDING} requests of {user} are pending; find out who makes them, and"
        " delete them"
    )
    return Refuse(reason=reason, passes=True)


def subject_problems(content: CertificateRequest, node: str) -> Iterator[str]:
    """Say what is wrong with the name that a node asks for."""
    user = USER_PREFIX + node
    if content.common_name != user:
        yield f"its common name is {content.common_name!r}, not {user!r}"
    if content.organization != NODES_GROUP:
        yield f"its organization is {content.organization!r}, not {NODES_GROUP!r}"
