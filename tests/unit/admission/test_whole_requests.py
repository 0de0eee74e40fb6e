"""What is kept of a flood of requests: of each requester only the newest few, whole."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from admission.api_server.api import CSRS, ApiError, Watched
from admission.api_server.lists import read_list
from admission.judge import READINGS_AT_ONCE
from admission.objects.csr import kept_request, request_pem, request_status
from admission.objects.whole_requests import MOST_KEPT, WholeRequests, new_bound
from admission.rules import MOST_PENDING
from tests.unit.admission.fakes import NOW, FakeApi, listed, run
from tests.unit.admission.test_gate import ONE, TWO
from tests.unit.admission.test_gate import Run as GateRun
from tests.unit.admission.test_gate_client_requests import asks, gated
from tests.unit.admission.test_reading import page
from tests.unit.admission.test_serve import Run

MORE = 10


def asked(name: str, node: str, *, age: int = 1, **status: Any) -> dict[str, Any]:
    api = FakeApi()
    api.ask(name, node, "10.0.0.1", created=NOW - timedelta(seconds=age), **status)
    return api.objects[CSRS][name]


def bounded(*items: dict[str, Any]) -> dict[str, dict[str, Any]]:
    whole = WholeRequests()
    kept = [kept_request(item) for item in items]
    for item in kept:
        whole.add(item)
    return {item["metadata"]["name"]: item for item in kept}


def flood(node: str) -> list[dict[str, Any]]:
    """One a second; the highest number is the oldest."""
    return [asked(f"{node}-{n:03}", node, age=n + 1) for n in range(MOST_PENDING + MORE)]


def whole_names(kept: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, item in kept.items() if request_pem(item) is not None}


def test_the_newest_of_each_requester_stay_whole_in_whatever_order_they_come() -> None:
    one, honest = flood("one"), asked("honest", "two", age=3000)
    newest = {item["metadata"]["name"] for item in one[:MOST_PENDING]}
    for order in (one, one[::-1]):
        assert whole_names(bounded(honest, *order)) == {*newest, "honest"}


def test_the_others_have_what_a_refusal_for_a_flood_needs_and_no_more() -> None:
    item = asked("old", "one", age=500)
    item["metadata"]["annotations"] = {"a": "b" * 10_000}
    slim = bounded(item, *flood("one"))["old"]
    assert len(json.dumps(slim)) < 500
    assert request_status(slim) == request_status(item)
    assert slim["spec"]["groups"] == item["spec"]["groups"]


def test_decided_ones_displace_no_undecided_one_and_keep_their_state() -> None:
    issued = [
        {**item, "status": {"certificate": "Y2VydA==", "conditions": [{"type": "Approved"}]}}
        for item in flood("one")
    ]
    kept = bounded(asked("undecided", "one", age=3000), *issued)
    assert "undecided" in whole_names(kept)
    assert len(whole_names(kept)) == MOST_PENDING + 1
    assert {request_status(kept[i["metadata"]["name"]]).state for i in issued} == {"issued"}


def test_one_that_is_gone_makes_room_for_another_whether_it_was_decided_meanwhile_or_not() -> None:
    for status in ({}, {"conditions": [{"type": "Approved"}]}):
        whole, kept = WholeRequests(), [kept_request(i) for i in flood("one")[: MOST_PENDING + 1]]
        *first, last = kept
        for item in first:
            whole.add(item)
        whole.remove({**first[0], "status": status})
        whole.add(last)
        assert all(request_pem(item) is not None for item in kept)


def many(node: str, number: int) -> list[dict[str, Any]]:
    """One a second, in no order of their ages."""
    ages = sorted(range(number), key=lambda age: (age % 7, age))
    return [kept_request(asked(f"{node}-{age:05}", node, age=age)) for age in ages]


def test_of_thousands_the_oldest_are_dropped_and_of_others_nothing() -> None:
    whole, most = WholeRequests(), MOST_KEPT + MOST_PENDING
    items = many("one", most + 200)
    honest = kept_request(asked("honest", "two", age=3000))
    dropped = [gone for item in [honest, *items] if (gone := whole.add(item))]
    names = {item["metadata"]["name"] for item in dropped}
    assert names == {f"one-{age:05}" for age in range(most, most + 200)}
    assert len(dropped) == 200
    for _ in range(3 * MOST_KEPT):  # new versions of one
        whole.add(next(item for item in items if request_pem(item) is None))
    (found,) = (r for r in whole._requests.values() if r.others)
    assert len(found.oldest) <= 2 * MOST_KEPT


def test_what_has_gone_makes_room_among_thousands_too() -> None:
    whole, most = WholeRequests(), MOST_KEPT + MOST_PENDING
    items = many("one", most)
    assert not [gone for item in items if (gone := whole.add(item))]
    for item in items[:100]:
        whole.remove(item)
    more = [kept_request(asked(f"more-{n}", "one", age=n)) for n in range(100)]
    assert not [gone for item in more if (gone := whole.add(item))]
    assert whole.add(kept_request(asked("last", "one", age=1)))
    for item in [*items, *more]:
        whole.remove(item)


def test_a_list_of_thousands_of_one_requester_is_short() -> None:
    """Before anything is judged: old ones too, of which a count would have to look at each."""
    found = listed(
        (asked(f"{n}", "one", age=n) for n in range(MOST_KEPT + MOST_PENDING + 300)),
        kept_request,
        new_bound,
    )
    assert len(found.items) == MOST_KEPT + MOST_PENDING


def test_an_approver_holds_a_bounded_number_of_a_flood_and_judges_the_others() -> None:
    it = Run()
    it.api.inventory("others", node_2="10.0.0.2")
    it.api.node("node-2", "10.0.0.2")
    number = MOST_KEPT + MOST_PENDING + 100
    for n in range(number):
        it.api.ask(f"flood-{n}", "node-1", "10.0.0.1")
    it.at(1, lambda: [it.api.ask(f"more-{n}", "node-1", "10.0.0.1") for n in range(100)])
    it.at(2, it.api.ask, "honest", "node-2", "10.0.0.2")
    it.go(20)
    assert it.api.approved == ["honest"]
    held = list(it.approver._judge.pending())
    assert len(held) == MOST_KEPT + MOST_PENDING
    assert len(it.approver._seen_at) == len(held)


def test_what_two_requests_have_in_common_is_kept_once() -> None:
    items = [json.loads(json.dumps(asked(name, "one"))) for name in "ab"]
    items[1]["spec"]["request"] = json.loads(json.dumps(items[0]["spec"]["request"]))
    a, b = bounded(*items).values()
    assert a["spec"]["request"] is b["spec"]["request"]
    assert a["spec"]["groups"] is b["spec"]["groups"]


def test_a_list_is_bounded_while_its_pages_are_read() -> None:
    async def fetch(_: str) -> bytes:
        return page(*map(json.dumps, [*flood("one"), asked("z", "two")]))

    listed = run(read_list(fetch, CSRS, kept_request, new_bound))
    assert len(listed.items) == MOST_PENDING + MORE + 1
    kept = {item["metadata"]["name"]: item for item in listed.items}
    assert len(whole_names(kept)) == MOST_PENDING + 1
    assert "z" in whole_names(kept)


# The resident approver


def flooded() -> Run:
    """A replica beside a flood of node-1, whose oldest request is `csr-1`."""
    it = Run()
    it.api.inventory("workers", node_1="10.0.0.1")
    it.api.node("node-1", "10.0.0.1")
    it.api.ask("csr-1", "node-1", "10.0.0.1", created=NOW - timedelta(seconds=900))
    for n in range(MOST_PENDING + MORE):
        it.api.ask(f"junk-{n}", "node-1", "10.0.0.77", created=NOW - timedelta(seconds=n))
    return it


def end_of_flood(it: Run, seconds: float) -> None:
    for n in range(MOST_PENDING + MORE):
        it.at(seconds, it.api.delete, CSRS, f"junk-{n}")


def test_a_flood_is_refused_unread_and_what_is_left_of_it_read_again() -> None:
    it = flooded()
    it.at(3, lambda: it.lines.append({"message": f"read {it.api.asked.count(GET)}"}))
    end_of_flood(it, 4)
    it.go(60)
    assert it.of("read 0")
    assert it.api.approved == ["csr-1"]
    reasons = {line["reason"] for line in it.of("serving request refused")}
    assert all(reason.startswith("more than 20 requests of ") for reason in reasons)


# As the API in memory notes a list of one object.
GET = f"GET {CSRS}/csr-1"


def test_what_was_changed_or_replaced_meanwhile_is_not_approved_by_what_is_read_again() -> None:
    for change in ({"uid": "another"}, {"name": "csr-1"}):
        it = flooded()
        end_of_flood(it, 4)
        found = it.api.objects[CSRS]["csr-1"]

        def behind_the_watch(
            it: Run = it, found: dict[str, Any] = found, change: dict[str, str] = change
        ) -> None:
            status = {"conditions": [{"type": "Denied"}]} if "name" in change else {}
            metadata = {**found["metadata"], **change}
            it.api.objects[CSRS]["csr-1"] = {**found, "metadata": metadata, "status": status}

        it.at(3.9, behind_the_watch)
        it.go(60)
        assert GET in it.api.asked
        assert it.api.approved == []


def test_a_request_that_is_not_read_at_once_is_asked_for_again() -> None:
    it = flooded()
    it.api.answers[GET] = [OSError("reset"), ApiError(503, "GET", CSRS, "")]
    end_of_flood(it, 4)
    it.go(60)
    assert it.api.approved == ["csr-1"]


def test_old_requests_without_their_bytes_are_refused_for_their_age_and_not_read() -> None:
    it = flooded()
    end_of_flood(it, 1)
    for n in range(2 * MOST_PENDING):
        it.api.ask(f"old-{n}", "node-1", "10.0.0.1", created=NOW - timedelta(hours=2, seconds=n))
    it.go(60)
    assert it.api.approved == ["csr-1"]
    assert not any(call.startswith(f"GET {CSRS}/old-") for call in it.api.asked)


def test_few_requests_are_read_again_at_the_same_time() -> None:
    it = flooded()
    request, now, most = it.api.request, 0, 0

    async def slow(method: str, path: str, body: Any = None) -> Any:
        nonlocal now, most
        if method == "GET" and path.startswith(f"{CSRS}?"):
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1
        return await request(method, path, body)

    it.api.request = slow  # type: ignore[method-assign]
    for n in range(MOST_PENDING):
        it.at(4, it.api.delete, CSRS, f"junk-{n}")
    it.go(60)
    assert most == READINGS_AT_ONCE
    assert it.api.approved == ["csr-1"]


# The gate


def test_a_gate_keeps_nothing_of_other_pools_and_strangers() -> None:
    it = GateRun(ONE, TWO, stall_s=5)
    watched: list[Watched] = []
    watch = it.api.watch

    async def note(found: Watched, see: Any, say: Any) -> None:
        watched.append(found)
        await watch(found, see, say)

    it.api.watch = note  # type: ignore[method-assign]
    it.go()
    for found in watched[:2]:
        assert found.keep(asked("a", "stranger")) is None
        assert found.bound is new_bound


def test_of_a_tokens_requests_the_oldest_is_not_approved_unread_nor_before_a_newer_one() -> None:
    it = gated(stall_s=40)
    asks(it, "first", "node-1", "node-1", created=NOW - timedelta(seconds=50))
    for n in range(MOST_PENDING + MORE):
        name, created = f"junk-{n}", NOW - timedelta(seconds=n)
        asks(it, name, "node-1", "node-2", created=created)
        it.at(5, it.api.delete, CSRS, name)
    it.go()
    assert it.api.approved == ["first"]
    assert f"GET {CSRS}/first" in it.api.asked


def test_a_token_that_a_flood_has_used_before_is_used() -> None:
    it = gated(stall_s=40)
    earlier = {"conditions": [{"type": "Approved"}], "certificate": "Y2VydA=="}
    old = NOW - timedelta(minutes=5)
    asks(it, "used", "node-1", "node-1", created=old, **earlier)
    for n in range(MOST_PENDING + MORE):
        asks(it, f"use-{n}", "node-1", "node-1", **earlier)
    for n in range(MOST_PENDING + MORE):
        asks(it, f"junk-{n}", "node-1", "node-1")
    it.at(0.5, it.api.sync, CSRS)
    it.go()
    assert it.api.approved == []
    assert "has already admitted a machine" in it.told
