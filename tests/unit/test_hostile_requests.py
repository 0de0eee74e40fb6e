"""Every hostile request is refused for its own reason, and an honest one beside it is approved."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from admission.inventory import Denied, InventoryNode
from admission.rules import (
    CLIENT_SIGNER,
    Approve,
    Decision,
    NodeObject,
    Refuse,
    Request,
    TokenGrant,
    decide_client,
    decide_serving,
)
from tests.hostile import VECTORS
from tests.hostile.vector import (
    ADDRESSES,
    API_SERVER,
    API_SERVER_NAME,
    HONEST_LOOKING,
    SERVICES,
    THIEF_OF_TOKEN,
    Vector,
    client,
    client_vector,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INVENTORY = {
    name: InventoryNode(name=name, addresses=(ip_address(address),), dns_names=(name,))
    for name, address in ADDRESSES.items()
}
DENIED = Denied(
    addresses=frozenset({ip_address(API_SERVER)}),
    networks=(ip_network(SERVICES),),
    names=frozenset({API_SERVER_NAME}),
)
TOKENS = {
    f"token{name[-1]}": TokenGrant(
        node=name,
        created=NOW - timedelta(minutes=1),
        expires=NOW + timedelta(minutes=29),
        group=f"system:bootstrappers:lab:{name}",
    )
    for name in ADDRESSES
}
WORLD = {f"id-of-{grant.node}": token for token, grant in TOKENS.items()} | {
    f"group-of-{grant.node}": grant.group for grant in TOKENS.values()
}


def judge(vector: Vector) -> Decision:
    by, expiration = vector.by.known(WORLD), vector.expiration_s
    request = Request(
        name="csr-1",
        uid="1",
        signer=vector.signer,
        user=by.user,
        groups=frozenset(by.groups),
        usages=vector.usages,
        pem=vector.pem,
        created=NOW - timedelta(seconds=1),
        expiration=None if expiration is None else timedelta(seconds=expiration),
        decided=False,
    )
    if vector.signer == CLIENT_SIGNER:
        return decide_client(
            request,
            tokens=TOKENS,
            node_exists={"node-1"}.__contains__,
            approved_before=frozenset({"token1"}),
            now=NOW,
        )
    return decide_serving(
        request,
        inventory=INVENTORY,
        node=NodeObject(name=by.user.removeprefix("system:node:"), deleting=False),
        denied=DENIED,
        allowed=True,
        now=NOW,
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.title)
def test_it_is_refused_for_its_own_reason(vector: Vector) -> None:
    decision = judge(vector)
    assert isinstance(decision, Refuse)
    assert vector.reason in decision.reason


@pytest.mark.parametrize(
    "vector",
    [
        Vector(title="serving", pem=HONEST_LOOKING, reason=""),
        client_vector("client", client("node-3"), "", by=THIEF_OF_TOKEN),
    ],
    ids=lambda vector: vector.title,
)
def test_what_is_hostile_about_them_is_nothing_else(vector: Vector) -> None:
    assert isinstance(judge(vector), Approve)
