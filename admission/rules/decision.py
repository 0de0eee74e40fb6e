"""What the rules know of a request, and what they can decide."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from admission.rules.certificate_request import CertificateRequest


@dataclass(frozen=True, kw_only=True)
class Request:
    """A CertificateSigningRequest object, as far as the rules look at it."""

    name: str
    uid: str
    signer: str
    user: str
    groups: frozenset[str]
    usages: tuple[str, ...]
    pem: bytes | None  # None: it was not kept
    created: datetime
    expiration: timedelta | None
    decided: bool  # it has a condition or a certificate


@dataclass(frozen=True, kw_only=True)
class NodeObject:
    """The Node that a request is for, as far as the rules look at it."""

    name: str
    deleting: bool
    uid: str = ""


@dataclass(frozen=True, kw_only=True)
class TokenGrant:
    """What a bootstrap token was made for: one node, for a while."""

    node: str
    created: datetime
    expires: datetime
    group: str  # its own among the Secret's auth-extra-groups


@dataclass(frozen=True, kw_only=True)
class Approve:
    """The request is exactly what the inventory says."""

    content: CertificateRequest
    node_uid: str = ""  # of the Node that a serving request is for, for the record


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Something that a request needs does not exist yet."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """The request must not be approved. It is left pending, for an operator to look at."""

    reason: str
    passes: bool = field(default=False, compare=False)
    """Whether the reason may pass by itself, so that the request is to be judged again."""


@dataclass(frozen=True, kw_only=True)
class Unread:
    """What a request holds would decide, but was not kept: it must be read again."""


Decision = Approve | Wait | Refuse | Unread
