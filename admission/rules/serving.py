"""Which request for a kubelet's serving certificate is approved."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from admission.claims import claim, nobodys
from admission.inventory import Denied, InventoryNode
from admission.rules import certificate_request
from admission.rules.certificate_request import CertificateRequest
from admission.rules.decision import Approve, Decision, NodeObject, Refuse, Request, Unread, Wait
from admission.rules.every_request import (
    AUTHENTICATED_GROUP,
    NODES_GROUP,
    USER_PREFIX,
    object_problems,
    refusal,
    refusal_of_flood,
    subject_problems,
)

SERVING_SIGNER = "kubernetes.io/kubelet-serving"
REQUESTER_GROUPS = frozenset({NODES_GROUP, AUTHENTICATED_GROUP})
USAGES = frozenset({"digital signature", "server auth"})


def decide_serving(
    request: Request,
    *,
    inventory: Mapping[str, InventoryNode],
    node: NodeObject | None,
    denied: Denied,
    allowed: bool,
    pending: int = 1,
    now: datetime,
) -> Decision:
    """Decide on a request for a kubelet's serving certificate.

    `node` is the cluster's object of the requester's name, `allowed` the API server's answer to
    whether the requester may create certificatesigningrequests/selfnodeserver, `pending` the
    number of its undecided requests, including this one.
    """
    entry = inventory.get(request.user.removeprefix(USER_PREFIX))
    if entry is None or request.user != entry.user:
        return Refuse(reason=f"its requester {request.user} is not a node of the inventory")
    problems = object_problems(
        request, signer=SERVING_SIGNER, groups=REQUESTER_GROUPS, usages=USAGES, now=now
    )
    problem = next(problems, None)
    if problem is not None:
        return refusal(problem)
    flood = refusal_of_flood(request.user, pending)
    if flood is not None:
        return flood
    if request.pem is None:
        return Unread()
    try:
        content = certificate_request.parse(request.pem)
    except ValueError as error:
        return Refuse(reason=str(error))
    problem = next(_content_problems(content, entry, inventory, denied), None)
    if problem is None and not allowed:
        problem = (
            f"{request.user} may not create certificatesigningrequests/selfnodeserver;"
            " the ClusterRoleBinding node-server-cert-renewal gives that right"
        )
    if problem is not None:
        return Refuse(reason=problem)
    if node is None or node.name != entry.name:
        return Wait(reason=f"the Node {entry.name} does not exist yet")
    if node.deleting:
        return Refuse(reason=f"the Node {entry.name} is being deleted")
    return Approve(content=content, node_uid=node.uid)


def _content_problems(
    content: CertificateRequest,
    entry: InventoryNode,
    inventory: Mapping[str, InventoryNode],
    denied: Denied,
) -> Iterator[str]:
    """Say what is wrong with what the request asks for."""
    yield from subject_problems(content, entry.name)
    names, addresses = content.dns_names, content.addresses
    if not names and not addresses:
        yield "it holds neither a name nor an address"
    if len(set(names)) != len(names) or len(set(addresses)) != len(addresses):
        yield "it holds a name or an address twice"
    others = [other for other in inventory.values() if other.name != entry.name]
    for name in names:
        if claim(name) != name:
            yield f"the name {name} is an address"
        elif why := nobodys(name):
            yield f"{name} is {why}"
        elif name in denied.names:
            yield f"{name} is the API server's name"
        elif name not in entry.claims:
            yield f"the name {name} is not one of the node's in the inventory"
        elif any(name in other.claims for other in others):
            yield f"the name {name} also belongs to another node in the inventory"
    for address in addresses:
        if denied.covers(address):
            yield f"the address {address} is one that no node may have"
        elif address not in entry.claims:
            yield f"the address {address} is not one of the node's in the inventory"
        elif any(address in other.claims for other in others):
            yield f"the address {address} also belongs to another node in the inventory"
