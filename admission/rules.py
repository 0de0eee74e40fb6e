"""Which serving-certificate request is approved: pure decisions, each with its reason.

kube-controller-manager signs a `kubernetes.io/kubelet-serving` request without looking whose names
it holds, and approves none by itself. What is asked of an approver is said in
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation
and in https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
(the signer's own terms). The rules here are stricter: names and addresses are compared with an
inventory that the node can't change.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from admission import certificate_request
from admission.certificate_request import CertificateRequest
from admission.inventory import DNS_NAME, Denied, NodeEntry

SERVING_SIGNER = "kubernetes.io/kubelet-serving"
USER_PREFIX = "system:node:"
NODES_GROUP = "system:nodes"
REQUESTER_GROUPS = frozenset({NODES_GROUP, "system:authenticated"})
USAGES = frozenset({"digital signature", "server auth"})
RSA_USAGES = USAGES | {"key encipherment"}
LONGEST_EXPIRATION = timedelta(days=366)
# The kubelet gives a request up after 15 minutes and makes a new one.
OLDEST = timedelta(hours=1)
CLOCK_TOLERANCE = timedelta(minutes=5)
CLUSTER_NAME = re.compile(
    r"\A(localhost|kubernetes)(\..*)?\Z|\A(.*\.)?localhost\Z|\A.*\.svc(\..*)?\Z"
)
# A kubelet has one, or a few after restarts. Hundreds come from somebody who floods.
MOST_PENDING = 20


@dataclass(frozen=True, kw_only=True)
class Request:
    """A CertificateSigningRequest object, as far as the rules look at it."""

    name: str
    uid: str
    signer: str
    user: str
    groups: frozenset[str]
    usages: tuple[str, ...]
    pem: bytes
    created: datetime
    expiration: timedelta | None
    decided: bool  # it has a condition or a certificate


@dataclass(frozen=True, kw_only=True)
class NodeObject:
    """The Node that a request is for, as far as the rules look at it."""

    name: str
    deleting: bool


@dataclass(frozen=True, kw_only=True)
class Approve:
    """The request is exactly what the inventory says."""

    content: CertificateRequest


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Something that a request needs is not there yet."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """The request must never be approved. It is left pending, for an operator to look at."""

    reason: str


Decision = Approve | Wait | Refuse


def decide_serving(
    request: Request,
    *,
    inventory: Mapping[str, NodeEntry],
    node: NodeObject | None,
    denied: Denied,
    allowed: bool,
    pending: int = 1,
    now: datetime,
) -> Decision:
    """Decide on a request for a kubelet's serving certificate.

    `node` is the cluster's object of the requester's name, `allowed` the API server's answer to
    whether the requester may create certificatesigningrequests/selfnodeserver, `pending` the
    number of its undecided requests, this one among them.
    """
    entry = inventory.get(request.user.removeprefix(USER_PREFIX))
    if entry is None or request.user != entry.user:
        return Refuse(reason=f"its requester {request.user} is no node of the inventory")
    fault = next(_object_faults(request, now), None)
    if fault is None and pending > MOST_PENDING:
        fault = (
            f"{pending} requests of {request.user} are pending, more than {MOST_PENDING};"
            " find out who makes them, and delete them"
        )
    if fault is not None:
        return Refuse(reason=fault)
    try:
        content = certificate_request.parse(request.pem)
    except ValueError as error:
        return Refuse(reason=str(error))
    fault = next(_content_faults(content, entry, inventory, denied), None)
    if fault is None and not allowed:
        fault = (
            f"{request.user} may not create certificatesigningrequests/selfnodeserver;"
            " the ClusterRoleBinding node-server-cert-renewal gives that right"
        )
    if fault is None and node is None:
        return Wait(reason=f"the Node {entry.name} does not exist yet")
    if fault is None and node is not None and (node.name != entry.name or node.deleting):
        fault = f"the Node {entry.name} is being deleted"
    return Approve(content=content) if fault is None else Refuse(reason=fault)


def _object_faults(request: Request, now: datetime) -> Iterator[str]:
    """What is wrong with the object around the request."""
    if request.signer != SERVING_SIGNER:
        yield f"its signer is {request.signer}"
    if request.decided:
        yield "it has been decided already"
    missing = REQUESTER_GROUPS - request.groups
    if missing:
        yield f"its requester is not in the group {', '.join(sorted(missing))}"
    usages = frozenset(request.usages)
    if len(usages) != len(request.usages) or usages not in (USAGES, RSA_USAGES):
        yield f"its usages are {', '.join(request.usages) or 'none'}"
    if request.expiration is not None and request.expiration > LONGEST_EXPIRATION:
        yield f"it asks for {request.expiration.days} days, more than {LONGEST_EXPIRATION.days}"
    if now - request.created > OLDEST:
        yield "it is older than an hour; restart the node's kubelet, and it makes a new one"
    if request.created - now > CLOCK_TOLERANCE:
        yield "it comes from the future; the clocks here and on the API server differ"


def _content_faults(
    content: CertificateRequest,
    entry: NodeEntry,
    inventory: Mapping[str, NodeEntry],
    denied: Denied,
) -> Iterator[str]:
    """What is wrong with what the request asks for."""
    if content.common_name != entry.user:
        yield f"its common name is {content.common_name!r}, not {entry.user!r}"
    if content.organization != NODES_GROUP:
        yield f"its organization is {content.organization!r}, not {NODES_GROUP!r}"
    names, addresses = content.dns_names, content.addresses
    if not names and not addresses:
        yield "it holds neither a name nor an address"
    if len(set(names)) != len(names) or len(set(addresses)) != len(addresses):
        yield "it holds a name or an address twice"
    for name in names:
        if not DNS_NAME.match(name):
            yield f"{name!r} is no lower-case DNS name"
        elif CLUSTER_NAME.match(name):
            yield f"{name} is a name of the cluster's own"
        elif name in denied.names:
            yield f"{name} is the API server's name"
        elif name not in entry.dns_names:
            yield f"the name {name} is not the node's in the inventory"
    others = {
        a for other in inventory.values() if other.name != entry.name for a in other.addresses
    }
    for address in addresses:
        mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped
        if mapped or denied.covers(address):
            yield f"the address {address} is one that no node may have"
        elif address in others or address not in entry.addresses:
            yield f"the address {address} is not the node's in the inventory"
