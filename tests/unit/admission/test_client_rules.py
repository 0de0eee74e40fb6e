"""Whose first client request is approved, with a token that was made for one node."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from admission.rules import (
    MOST_PENDING,
    Approve,
    Decision,
    Refuse,
    Request,
    TokenGrant,
    Unread,
    Wait,
    decide_client,
)
from tests.request_bytes import (
    ADDRESS,
    BASIC_CONSTRAINTS,
    CN,
    NAME,
    O,
    attribute,
    extension,
    extension_request,
    request,
    sans,
    sequence,
    subject_of,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CREATED = NOW - timedelta(minutes=1)
EXPIRES = NOW + timedelta(minutes=29)
GROUP = "system:bootstrappers:lab:node-1"
GRANT = TokenGrant(node="node-1", created=CREATED, expires=EXPIRES, group=GROUP)
TOKENS = {"abc123": GRANT, "def456": replace(GRANT, node="node-2", group="another")}
GROUPS = frozenset({"system:bootstrappers", "system:authenticated", GROUP})
GOOD = Request(
    name="csr-1",
    uid="1",
    signer="kubernetes.io/kube-apiserver-client-kubelet",
    user="system:bootstrap:abc123",
    groups=GROUPS,
    usages=("digital signature", "client auth"),
    pem=request(),
    created=NOW - timedelta(seconds=5),
    expiration=None,
    decided=False,
)


def named(name: str, organization: str = "system:nodes") -> bytes:
    return request(
        subject=subject_of(attribute(O, organization), attribute(CN, f"system:node:{name}"))
    )


def decide(
    request: Request,
    *,
    nodes: frozenset[str] = frozenset(),
    approved_before: frozenset[str] = frozenset(),
    others: tuple[Request, ...] = (),
    grant: TokenGrant = GRANT,
    now: datetime = NOW,
) -> Decision:
    return decide_client(
        request,
        tokens=TOKENS | {"abc123": grant},
        node_exists=nodes.__contains__,
        approved_before=approved_before,
        others=others,
        now=now,
    )


def reason(decision: Decision) -> str:
    assert isinstance(decision, Refuse)
    return decision.reason


@pytest.mark.parametrize(
    "request_",
    [
        GOOD,
        replace(GOOD, usages=("digital signature", "key encipherment", "client auth")),
        replace(GOOD, groups=GROUPS | {"system:bootstrappers:lab:workers"}),
        replace(GOOD, created=CREATED - timedelta(seconds=10)),
        replace(GOOD, created=NOW + timedelta(minutes=5)),
        replace(GOOD, expiration=timedelta(days=366)),
        replace(GOOD, expiration=timedelta(minutes=10)),
    ],
    ids=lambda _: "",
)
def test_what_a_kubelet_with_its_own_token_sends_is_approved(request_: Request) -> None:
    decision = decide(request_)
    assert isinstance(decision, Approve)
    assert decision.content.common_name == "system:node:node-1"


REFUSED = {
    "another signer": (replace(GOOD, signer="kubernetes.io/kubelet-serving"), "its signer is"),
    "decided": (replace(GOOD, decided=True), "decided already"),
    "no token's user": (replace(GOOD, user="system:node:node-1"), "system:node:node-1 holds no"),
    "a bare token": (replace(GOOD, user="abc123"), "abc123 holds no token"),
    "a token of somebody else": (replace(GOOD, user="system:bootstrap:xyz789"), "holds no token"),
    "another node's token": (
        replace(GOOD, user="system:bootstrap:def456", groups=GROUPS | {"another"}),
        "its common name is 'system:node:node-1', not 'system:node:node-2'",
    ),
    "not a bootstrapper": (
        replace(GOOD, groups=GROUPS - {"system:bootstrappers"}),
        "not in the group system:bootstrappers",
    ),
    "not authenticated": (
        replace(GOOD, groups=GROUPS - {"system:authenticated"}),
        "not in the group system:authenticated",
    ),
    "not in the token's group": (
        replace(GOOD, groups=GROUPS - {GROUP}),
        f"not in the group {GROUP}",
    ),
    "a server's usage": (
        replace(GOOD, usages=("digital signature", "server auth")),
        "its usages are digital signature, server auth",
    ),
    "a server's usage beside its own": (
        replace(GOOD, usages=("digital signature", "client auth", "server auth")),
        "its usages are",
    ),
    "too long": (replace(GOOD, expiration=timedelta(days=366, seconds=1)), "more than 366 days"),
    "from the future": (
        replace(GOOD, created=NOW + timedelta(minutes=5, seconds=1)),
        "made in the future",
    ),
    "before the token": (
        replace(GOOD, created=CREATED - timedelta(seconds=11)),
        "older than the token abc123",
    ),
    "another name": (replace(GOOD, pem=named("node-2")), "its common name is"),
    "another organization": (
        replace(GOOD, pem=named("node-1", "system:masters")),
        "its organization is",
    ),
    "a name": (replace(GOOD, pem=request(extension_request(sans(NAME)))), "names or addresses"),
    "an address": (
        replace(GOOD, pem=request(extension_request(sans(ADDRESS)))),
        "names or addresses",
    ),
    "a CA": (
        replace(GOOD, pem=request(extension_request(extension(BASIC_CONSTRAINTS, sequence())))),
        "an extension other than",
    ),
    "no PEM": (replace(GOOD, pem=b" " + GOOD.pem), "not exactly one PEM block"),
}


@pytest.mark.parametrize(("request_", "why"), REFUSED.values(), ids=REFUSED)
def test_what_no_kubelet_with_its_own_token_sends_is_refused(request_: Request, why: str) -> None:
    assert why in reason(decide(request_))


def test_a_request_after_the_tokens_end_is_refused() -> None:
    grant = replace(GRANT, expires=GOOD.created)
    assert isinstance(decide(GOOD, grant=grant), Approve)
    late = replace(grant, expires=GOOD.created - timedelta(seconds=1))
    assert "after the token abc123 had expired" in reason(decide(GOOD, grant=late))


def test_a_request_of_a_living_token_is_refused_when_it_is_an_hour_old() -> None:
    grant = replace(GRANT, expires=NOW + timedelta(hours=2))
    later = GOOD.created + timedelta(hours=1)
    assert isinstance(decide(GOOD, grant=grant, now=later), Approve)
    later += timedelta(seconds=1)
    assert "older than an hour" in reason(decide(GOOD, grant=grant, now=later))


def test_no_machine_takes_the_name_of_a_node_that_is_there() -> None:
    said = reason(decide(GOOD, nodes=frozenset({"node-1"})))
    assert said == (
        "the Node node-1 exists; if this machine is to take its place, run"
        " kubectl delete node node-1"
    )
    assert isinstance(decide(GOOD, nodes=frozenset({"node-2", "node-10"})), Approve)


def test_a_token_lets_in_once() -> None:
    said = reason(decide(GOOD, approved_before=frozenset({"abc123"})))
    assert said == (
        "the token abc123 has already admitted a machine; if it was not node-1, look for the one"
        " that holds the token, and raise the node's generation for a new one"
    )
    assert isinstance(decide(GOOD, approved_before=frozenset({"def456"})), Approve)


LATER = replace(GOOD, name="csr-2", uid="2", created=GOOD.created + timedelta(seconds=1))


def test_of_two_requests_the_newer_is_approved_and_the_older_waits() -> None:
    decision = decide(GOOD, others=(LATER,))
    assert decision == Wait(reason="the kubelet has made a newer request since, csr-2")
    assert isinstance(decide(LATER, others=(GOOD,)), Approve)


def test_of_two_requests_of_the_same_second_neither_waits() -> None:
    twin = replace(LATER, created=GOOD.created)
    assert isinstance(decide(GOOD, others=(twin,)), Approve)


@pytest.mark.parametrize(
    "other",
    [
        replace(LATER, pem=named("node-2")),
        replace(LATER, pem=b""),
        replace(LATER, groups=frozenset()),
        replace(LATER, created=NOW + timedelta(hours=1)),
    ],
    ids=lambda _: "",
)
def test_a_newer_request_that_is_wrong_keeps_no_other_waiting(other: Request) -> None:
    assert isinstance(decide(GOOD, others=(other,)), Approve)


def test_a_newer_request_that_is_right_is_found_behind_a_wrong_one() -> None:
    wrong = replace(LATER, pem=b"")
    assert isinstance(decide(GOOD, others=(wrong, LATER)), Wait)


def test_many_pending_requests_are_a_flood() -> None:
    wrong = replace(LATER, pem=b"")
    assert isinstance(decide(GOOD, others=(wrong,) * (MOST_PENDING - 1)), Approve)
    said = reason(decide(GOOD, others=(wrong,) * MOST_PENDING))
    assert said == (
        "more than 20 requests of system:bootstrap:abc123 are pending; find out who makes them, and"
        " delete them"
    )


def test_what_was_not_kept_must_be_read_again_unless_something_else_refuses_it() -> None:
    unread = replace(GOOD, pem=None)
    assert decide(unread) == Unread()
    assert isinstance(decide(unread, approved_before=frozenset({"abc123"})), Refuse)
    flood = tuple(replace(GOOD, uid=str(n)) for n in range(MOST_PENDING))
    assert "requests of system:bootstrap:abc123 are pending" in reason(decide(unread, others=flood))


def test_a_request_waits_for_a_newer_one_that_must_be_read_again() -> None:
    newer = replace(GOOD, name="new", created=NOW, pem=None)
    assert isinstance(decide(GOOD, others=(newer,)), Wait)
    older = replace(newer, created=CREATED)
    assert isinstance(decide(GOOD, others=(older,)), Approve)
