"""The gate as approver of client requests, and as adviser of a person who approves."""

from datetime import timedelta
from typing import Any

from admission.api_server.api import CSRS, NODES, ApiError
from admission.gate.orders import Token
from admission.rules.decision import TokenGrant
from tests.unit.admission.fakes import CLIENT, NOW, entry
from tests.unit.admission.test_gate import Run, joins

ONE = entry("node-1", "10.0.0.1")
TWO = entry("node-2", "10.0.0.2")
GROUP = "system:bootstrappers:workers:{}"
IDS = {"node-1": "aaaaaa", "node-2": "bbbbbb"}
TOKENS = tuple(
    Token(id=id_, secret_uid=f"uid-{id_}", group=GROUP.format(node), node=node)
    for node, id_ in IDS.items()
)
GRANTS = {
    id_: TokenGrant(
        node=node,
        created=NOW - timedelta(minutes=1),
        expires=NOW + timedelta(minutes=59),
        group=GROUP.format(node),
    )
    for node, id_ in IDS.items()
}


def gated(**kwargs: Any) -> Run:
    """A run for two nodes, each with a token of its own."""
    return Run(ONE, TWO, client_approval="gate", tokens=TOKENS, grants=GRANTS, **kwargs)


def asks(it: Run, name: str, holder: str, node: str, *, at: float = 0, **kwargs: Any) -> None:
    """Let the holder of one node's token ask for a node's client certificate."""
    it.at(
        at,
        it.api.ask,
        name,
        node,
        signer=CLIENT,
        user=f"system:bootstrap:{IDS[holder]}",
        groups=("system:bootstrappers", GROUP.format(holder), "system:authenticated"),
        **kwargs,
    )


def test_each_token_lets_in_its_node() -> None:
    it = gated()
    for number, node in enumerate((ONE, TWO)):
        asks(it, f"client-{node.name}", node.name, node.name, at=number)
        joins(it, node, at=number + 1)
    it.go()
    assert it.all_in
    assert sorted(it.api.approved) == [
        "client-node-1",
        "client-node-2",
        "csr-node-1",
        "csr-node-2",
    ]
    assert it.said[0] == "node-1: client CSR client-node-1 approved"


def test_a_stolen_token_gives_no_other_name_and_the_report_says_whose_it_was() -> None:
    it = gated(stall_s=10)
    asks(it, "stolen", "node-2", "node-1")
    it.go()
    assert it.api.approved == []
    assert (
        "node-2: client CSR stolen refused: its common name is 'system:node:node-1',"
        " not 'system:node:node-2'" in it.said
    )
    assert "node-2 has NOT joined: its client request stolen is refused" in it.told


def test_a_token_is_of_no_use_once_its_node_has_joined() -> None:
    it = gated(stall_s=10)
    it.api.node("node-1", "10.0.0.1")
    asks(it, "late", "node-1", "node-1", at=1)
    it.go()
    assert it.api.approved == []
    assert "client CSR late refused: the Node node-1 exists" in it.told


def test_a_node_that_the_watch_has_not_reported_yet_is_seen_all_the_same() -> None:
    it = gated(stall_s=10)

    def behind_the_watchs_back() -> None:
        it.api.objects[NODES]["node-1"] = {"metadata": {"name": "node-1"}}

    it.at(0, behind_the_watchs_back)
    asks(it, "late", "node-1", "node-1", at=1)
    it.go()
    assert it.api.approved == []


def test_a_token_lets_in_once_even_if_the_certificate_was_never_used() -> None:
    it = gated(stall_s=10)
    asks(it, "first", "node-1", "node-1")
    asks(it, "second", "node-1", "node-1", at=2)
    it.go()
    assert it.api.approved == ["first"]
    assert "client CSR second refused: the token aaaaaa has already admitted a machine" in it.told


def test_a_token_that_was_used_before_the_run_is_used() -> None:
    it = gated(stall_s=10)
    earlier = {"conditions": [{"type": "Approved"}], "certificate": "Y2VydA=="}
    asks(it, "earlier", "node-1", "node-1", **earlier)
    asks(it, "later", "node-1", "node-1")
    it.go()
    assert it.api.approved == []


def test_of_two_requests_at_once_one_is_approved() -> None:
    it = gated(stall_s=10)
    asks(it, "a", "node-1", "node-1")
    asks(it, "b", "node-1", "node-1")
    it.go()
    assert len(it.api.approved) == 1


def test_an_approval_whose_answer_is_lost_is_not_given_to_another_request() -> None:
    it = gated(stall_s=20)
    failure = ApiError(500, "PUT", "approval", "etcd is away")
    it.api.answers[f"PUT {CSRS}/first/approval"] = [failure]
    asks(it, "first", "node-1", "node-1")
    asks(it, "second", "node-1", "node-1", at=0.5, created=NOW)
    it.go()
    assert it.api.approved == ["first"]


def test_a_request_that_is_gone_gives_its_claim_back() -> None:
    it = gated(stall_s=20)
    gone = ApiError(404, "PUT", "approval", "not found")
    it.api.answers[f"PUT {CSRS}/first/approval"] = [gone]
    asks(it, "first", "node-1", "node-1")
    it.at(1, it.api.delete, CSRS, "first")
    asks(it, "second", "node-1", "node-1", at=2)
    it.go()
    assert it.api.approved == ["second"]


def test_a_token_whose_secret_is_not_there_lets_nobody_in() -> None:
    it = Run(ONE, client_approval="gate", tokens=TOKENS[:1], stall_s=10)
    asks(it, "odd", "node-1", "node-1")
    it.go()
    assert it.api.approved == []
    assert "holds no token of these nodes" in it.told


def test_with_the_controller_manager_the_gate_approves_no_client_request() -> None:
    it = Run(ONE, TWO, tokens=TOKENS, grants=GRANTS, stall_s=10)
    asks(it, "client", "node-1", "node-1")
    it.go()
    assert it.api.approved == []
    assert (
        "its client request client is not approved; check that kube-controller-manager runs"
        in it.told
    )


# By hand


def test_a_person_is_reported_what_to_type_and_what_the_rules_say() -> None:
    it = Run(ONE, TWO, serving_approval="manual")
    it.api.node("node-2", "10.0.0.2", ready=False)
    it.at(0, it.api.ask, "bad", "node-2", "10.0.0.1")
    joins(it, ONE)
    it.at(5, it.api.condition, "csr-node-1", "Approved")
    it.go()
    assert it.api.approved == []
    assert [line for line in sorted(it.said) if line.startswith("node-1")] == [
        "node-1: joined (1 of 2)",
        "node-1: serving CSR csr-node-1 passes all rules (SANs node-1,"
        " 10.0.0.1): kubectl certificate approve csr-node-1",
    ]
    assert (
        "node-2: serving CSR bad refused: the address 10.0.0.1 is not one of the node's in the"
        " inventory"
    ) in it.said


def test_a_request_that_nobody_has_approved_by_hand_is_named_with_what_to_type() -> None:
    it = Run(ONE, serving_approval="manual", stall_s=10)
    it.api.node("node-1", "10.0.0.1", ready=False)
    it.at(0, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go()
    assert "its serving request csr-1 waits for you: kubectl certificate approve csr-1" in it.told
    assert it.told.count("passes all rules") == 1


# Tokens that let nobody in


def test_a_dead_token_is_reported_at_once_for_nodes_that_need_it_and_again_at_the_end() -> None:
    problems = {"node-1": "the token abc123 is gone", "node-2": "the token abc123 is gone"}
    it = Run(ONE, TWO, token_problems=problems, stall_s=10)
    it.api.node("node-2", "10.0.0.2")
    it.go()
    assert it.said[0] == "node-1: the token abc123 is gone"
    assert "node-1 has NOT joined: the token abc123 is gone" in it.told
    assert "node-2: the token" not in it.told
