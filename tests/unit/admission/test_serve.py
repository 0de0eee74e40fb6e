"""The resident approver against an API server in memory: what it approves, and what it reports."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from admission.api_server.api import CSRS, NODES, ApiError
from admission.approver.approver import SERVING_CSRS, Approver
from admission.approver.journal import Journal
from admission.approver.lease import LEASE_DURATION_S, RENEW_DEADLINE_S
from admission.judge import REQUESTS_AT_ONCE
from admission.objects.csr import count_pending
from admission.objects.whole_requests import MOST_KEPT
from admission.rules import MOST_PENDING
from tests.unit.admission.approver_fakes import MAPS, NAMESPACE, ApproverApi, inventory_map
from tests.unit.admission.fakes import NOW, clock, run


class Run:
    """A replica that runs for a while, and what happens meanwhile."""

    def __init__(self) -> None:
        self.api = ApproverApi()
        self.lines: list[dict[str, Any]] = []
        self._events: list[tuple[float, Callable[[], Any]]] = []

    def at(self, seconds: float, event: Any, *args: Any, **kwargs: Any) -> None:
        self._events.append((seconds, lambda: event(*args, **kwargs)))

    def go(self, seconds: float = 5) -> "Run":
        run(self.work(seconds))
        return self

    async def work(self, seconds: float) -> None:
        before = asyncio.all_tasks()
        for when, event in self._events:
            asyncio.get_running_loop().call_later(when, event)
        self.approver = Approver(
            self.api,
            namespace=NAMESPACE,
            identity="me",
            host="10.0.0.9",
            journal=Journal(lambda line: self.lines.append(json.loads(line)), clock=clock),
            clock=clock,
            now=lambda: NOW,
        )
        task = asyncio.create_task(self.approver.run())
        try:
            await asyncio.wait([task], timeout=seconds)
            self.numbers = self.approver.exposition()
        finally:
            task.cancel()
            with_error = await asyncio.gather(task, return_exceptions=True)
            left = asyncio.all_tasks() - before
            assert not left, f"left running: {left}"
        if not isinstance(with_error[0], asyncio.CancelledError):
            raise with_error[0]  # type: ignore[misc]

    def of(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]

    def number(self, name: str) -> float:
        prefix = f"kubelet_serving_approver_{name} "
        found = [line for line in self.numbers.splitlines() if line.startswith(prefix)]
        return float(found[0].removeprefix(prefix)) if found else 0.0


@pytest.fixture
def it() -> Run:
    """A replica of a cluster with one joined node."""
    made = Run()
    made.api.inventory("workers", node_1="10.0.0.1")
    made.api.node("node-1", "10.0.0.1")
    return made


# Approvals


def test_a_renewal_of_the_inventory_is_approved_and_logged(it: Run) -> None:
    it.api.node("node-1", "10.0.0.1", uid="5f3c")
    it.at(1, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == ["csr-1"]
    (line,) = it.of("serving request approved")
    assert line["csr"] == "csr-1"
    assert line["uid"] == "uid-csr-1"
    assert line["requester"] == "system:node:node-1"
    assert line["pool"] == "workers"
    assert line["nodeUid"] == "5f3c"
    assert line["sans"] == ["node-1", "10.0.0.1"]
    assert len(line["keyFingerprint"]) == 64
    assert it.number('decisions_total{result="approved",rule="none"}') == 1
    assert it.number("approve_seconds_count") == 1
    assert it.number("leader") == 1
    assert it.number("pending_requests") == 0


def test_what_waited_before_it_started_is_approved(it: Run) -> None:
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    assert it.go().api.approved == ["csr-1"]


def test_nodes_of_all_pools_are_served(it: Run) -> None:
    it.api.inventory("others", node_2="10.0.0.2")
    it.api.node("node-2", "10.0.0.2")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "node-2", "10.0.0.2")
    assert sorted(it.go().api.approved) == ["csr-1", "csr-2"]


def test_a_node_that_is_added_to_the_inventory_later_is_served_then(it: Run) -> None:
    it.api.node("node-2", "10.0.0.2")
    it.api.ask("csr-2", "node-2", "10.0.0.2")
    it.at(3, lambda: it.lines.append({"message": f"so far {it.api.approved}"}))
    it.at(3, it.api.inventory, "workers", node_1="10.0.0.1", node_2="10.0.0.2")
    it.go()
    assert it.of("so far []")
    assert it.api.approved == ["csr-2"]


def test_a_node_that_is_taken_out_of_the_inventory_is_served_no_more(it: Run) -> None:
    it.at(1, it.api.inventory, "workers")
    it.at(2, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == []
    assert it.number('decisions_total{result="refused",rule="requester"}') == 1


def test_a_lost_answer_is_asked_for_again(it: Run) -> None:
    it.api.answers["REVIEW system:node:node-1"] = [OSError("reset"), ApiError(503, "POST", "", "")]
    it.at(1, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go(10)
    assert it.api.approved == ["csr-1"]
    assert it.number("api_failures_total") == 2


def test_a_right_that_is_missing_is_not_asked_for_all_the_time(it: Run) -> None:
    it.api.allowed = False
    it.at(1, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go(300)
    assert it.api.approved == []
    assert it.api.asked.count("REVIEW system:node:node-1") < 20
    assert it.number('decisions_total{result="refused",rule="right"}') == 1


# Who may act


def test_only_the_holder_of_the_lease_approves(it: Run) -> None:
    it.api.leases.hold("other")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.go(LEASE_DURATION_S - 2)
    assert it.api.approved == []
    assert it.number("leader") == 0
    assert it.number("pending_requests") == 1
    assert it.approver.ready


def test_a_standby_takes_over_what_is_pending(it: Run) -> None:
    it.api.leases.hold("dead")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.go(LEASE_DURATION_S + 5)
    assert it.api.approved == ["csr-1"]
    assert it.of("this replica approves")


def test_a_holder_that_can_not_renew_approves_nothing_more(it: Run) -> None:
    it.at(4.5, lambda: setattr(it.api.leases, "failure", OSError("gone")))
    it.at(4 + RENEW_DEADLINE_S + 0.1, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go(30)
    assert it.api.approved == []
    assert it.of("this replica no longer approves")


def test_the_lease_is_lost_while_the_api_server_thinks(it: Run) -> None:
    review = it.api.may_serve_itself

    async def slow(requester: Any) -> bool:
        it.api.leases.hold("thief")
        await asyncio.sleep(3)
        return await review(requester)

    it.api.may_serve_itself = slow  # type: ignore[method-assign]
    it.at(1, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    assert it.go(10).api.approved == []


def test_a_replica_that_is_reported_to_stop_gives_the_lease_up(it: Run) -> None:
    it.go()
    assert it.api.leases.holder == ""


def test_it_is_not_ready_and_judges_nothing_until_the_inventory_is_there(it: Run) -> None:
    watch = it.api.watch

    async def late(path: str, see: Any, say: Any) -> None:
        if path == MAPS:
            await asyncio.sleep(3)
            assert not it.approver.ready
            assert it.lines == [line for line in it.lines if "decision" not in line]
        await watch(path, see, say)

    it.api.watch = late  # type: ignore[method-assign]
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == ["csr-1"]


@pytest.mark.parametrize("last", [SERVING_CSRS, NODES, MAPS])
def test_whatever_is_seen_last_all_requests_are_judged_then(it: Run, last: str) -> None:
    watch = it.api.watch

    async def late(path: str, see: Any, say: Any) -> None:
        if path == last:
            await asyncio.sleep(3)
        await watch(path, see, say)

    it.api.watch = late  # type: ignore[method-assign]
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "stranger", "10.0.0.2")
    it.go()
    assert it.api.approved == ["csr-1"]
    assert [line["csr"] for line in it.of("serving request refused")] == ["csr-2"]


def test_a_missing_right_ends_it_with_the_reason(it: Run) -> None:
    it.api.answers[f"WATCH {NODES}"] = [ApiError(403, "GET", NODES, "forbidden")]
    with pytest.raises(ApiError, match="403"):
        it.go()


# Refusals


def test_an_address_that_changed_behind_our_back_is_refused_and_reported(it: Run) -> None:
    it.at(1, it.api.node, "node-1", "10.0.0.77")
    it.at(2, it.api.ask, "csr-1", "node-1", "10.0.0.77")
    it.go()
    assert it.api.approved == []
    (moved,) = it.of("address changed")
    assert "10.0.0.77" in moved["reason"]
    (refused,) = it.of("serving request refused")
    assert refused["sans"] == ["node-1", "10.0.0.77"]
    assert "10.0.0.77" in refused["reason"]
    assert it.number('decisions_total{result="refused",rule="address"}') == 1
    assert it.number("node_address_mismatches") == 1
    assert [event["reason"] for event in it.api.events] == [
        "NodeAddressMismatch",
        "ServingCertificateRefused",
    ]
    assert {event["involvedObject"]["name"] for event in it.api.events} == {"node-1"}


def test_an_address_that_changes_back_is_no_mismatch(it: Run) -> None:
    it.at(1, it.api.node, "node-1", "10.0.0.77")
    it.at(2, it.api.node, "node-1", "10.0.0.1")
    it.go()
    assert it.number("node_address_mismatches") == 0
    assert len(it.of("address changed")) == 1


def test_a_name_that_two_pools_claim_is_refused_to_both_and_reported(it: Run) -> None:
    it.api.inventory("others", node_1="10.0.0.7", node_2="10.0.0.2")
    it.api.node("node-2", "10.0.0.2")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "node-2", "10.0.0.2")
    it.go()
    assert it.api.approved == ["csr-2"]
    (refused,) = it.of("serving request refused")
    assert "node-1 of the pool others and node-1 of the pool workers" in refused["reason"]
    assert it.number("inventory_disputes") == 1
    assert it.number('decisions_total{result="refused",rule="dispute"}') == 1
    assert it.of("inventory refused")


def test_an_address_that_two_nodes_claim_is_refused_to_both(it: Run) -> None:
    it.api.inventory("others", node_2="10.0.0.1")
    it.api.node("node-2", "10.0.0.1")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "node-2", "10.0.0.1")
    it.go()
    assert it.api.approved == []
    assert it.number("inventory_disputes") == 2


def test_a_dispute_that_is_settled_is_no_more(it: Run) -> None:
    it.api.inventory("others", node_1="10.0.0.7")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.at(3, it.api.delete, MAPS, "kubelet-tls-bootstrap-others")
    assert it.go().api.approved == ["csr-1"]
    assert it.number("inventory_disputes") == 0


def test_an_inventory_that_can_not_be_read_is_reported_and_the_others_count(it: Run) -> None:
    it.api.put(MAPS, inventory_map("broken", "{"))
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == ["csr-1"]
    assert it.number("inventory_problems") == 1
    (line,) = it.of("inventory refused")
    assert line["reason"].startswith("the inventory kubelet-tls-bootstrap-broken is left out")


def test_a_refusal_is_reported_once_however_often_it_is_judged(it: Run) -> None:
    it.api.ask("csr-1", "node-1", "10.0.0.5")
    for second in range(1, 20):
        it.at(second, it.api.inventory, "workers", node_1="10.0.0.1")
    it.go(30)
    assert len(it.of("serving request refused")) == 1
    assert it.number('decisions_total{result="refused",rule="address"}') == 1
    assert len(it.api.events) == 1


def test_a_flood_fills_neither_the_log_nor_keeps_an_honest_node_waiting(it: Run) -> None:
    it.api.node("node-2", "10.0.0.2")
    for number in range(1000):
        it.api.ask(f"junk-{number}", "node-2", "10.0.0.2", user="mallory")
        it.api.ask(f"more-{number}", "node-2", "10.0.0.2", user=f"system:node:stranger-{number}")
    it.at(0.5, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go(30)
    assert it.api.approved == ["csr-1"]
    assert len(it.lines) < 20
    held = 1000 + MOST_KEPT + MOST_PENDING  # of one requester no more
    assert it.number('decisions_total{result="refused",rule="requester"}') == held
    assert it.number("pending_requests") == held
    assert it.api.events == []


def test_an_event_that_can_not_be_made_stops_nothing(it: Run) -> None:
    it.api.answers["EVENT"] = [ApiError(403, "POST", "/events", "forbidden")]
    it.at(1, it.api.node, "node-1", "10.0.0.77")
    it.at(3, it.api.node, "node-1", "10.0.0.1")
    it.at(3, it.api.ask, "csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == ["csr-1"]
    assert it.of("no Event")


def test_a_watch_that_starts_again_loses_nothing_and_is_counted(it: Run) -> None:
    it.api.ask("csr-1", "node-1", "10.0.0.5")
    for path in (CSRS, NODES, MAPS):
        it.at(2, it.api.sync, path)
    it.at(3, it.api.ask, "csr-2", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == ["csr-2"]
    assert it.number('watch_starts_total{resource="nodes"}') == 2
    assert len(it.of("serving request refused")) == 1


def test_a_user_with_a_node_s_bare_name_is_not_that_node(it: Run) -> None:
    for number in range(30):
        it.api.ask(f"junk-{number}", "node-1", "10.0.0.1", user="node-1")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.go()
    assert it.api.approved == ["csr-1"]
    assert it.api.events == []


def test_what_waits_for_its_turn_is_judged_by_what_is_known_then(it: Run) -> None:
    """The inventory changes while a slow API server takes all that may be approved at once."""
    names = [f"slow-{number}" for number in range(REQUESTS_AT_ONCE)]
    nodes = {name.replace("-", "_"): f"10.0.1.{number}" for number, name in enumerate(names)}
    it.api.inventory("slow", **nodes)
    for number, name in enumerate(names):
        it.api.node(name, f"10.0.1.{number}")
        it.api.ask(f"csr-{name}", name, f"10.0.1.{number}")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    request = it.api.request

    async def slow(method: str, path: str, body: Any = None) -> Any:
        if method == "PUT" and path.startswith(CSRS):
            await asyncio.sleep(3)
        return await request(method, path, body)

    review = it.api.may_serve_itself

    async def prompt(requester: Any) -> bool:
        await asyncio.sleep(0)
        return await review(requester)

    it.api.request = slow  # type: ignore[method-assign]
    it.api.may_serve_itself = prompt  # type: ignore[method-assign]
    it.at(1, it.api.inventory, "workers", node_1="10.0.0.8")
    it.go(20)
    assert sorted(it.api.approved) == sorted(f"csr-{name}" for name in names)
    assert it.of("serving request refused")[0]["csr"] == "csr-1"


def test_a_flood_is_counted_no_further_than_its_limit() -> None:
    def request(created: datetime) -> dict[str, Any]:
        return {"metadata": {"creationTimestamp": created.isoformat()}}

    def flood(created: datetime, most: int) -> Iterator[dict[str, Any]]:
        for _ in range(most):
            yield request(created)
        raise AssertionError("counted on, which takes minutes for thousands of requests")

    limit = MOST_PENDING + 1
    assert count_pending(request(NOW), flood(NOW, limit), NOW) == limit
    old = request(NOW - timedelta(hours=2))
    assert count_pending(old, flood(NOW, 0), NOW) == 1
    assert count_pending(request(NOW), [old, old, request(NOW)], NOW) == 1


def test_one_request_whose_approval_is_forbidden_stops_no_other(it: Run) -> None:
    it.api.inventory("others", node_2="10.0.0.2")
    it.api.node("node-2", "10.0.0.2")
    path = f"{CSRS}/csr-1/approval"
    it.api.may = True
    it.api.answers[f"PUT {path}"] = [ApiError(403, "PUT", path, "a webhook says no")] * 100
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    it.at(300, it.api.ask, "csr-2", "node-2", "10.0.0.2")
    it.go(310)
    assert it.api.approved == ["csr-2"]
    assert 5 < it.api.asked.count(f"PUT {path}") < 20
    assert any("a webhook says no" in line.get("reason", "") for line in it.lines)
