"""The election: one holder at a time, who stops in time, and is followed in time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from admission.api_server.api import ApiError
from admission.approver.lease import (
    LEASE_DURATION_S,
    LONGEST_DURATION_S,
    RENEW_DEADLINE_S,
    RETRY_PERIOD_S,
    Lease,
)
from tests.unit.admission.approver_fakes import LEASE_PATH, NAMESPACE, FakeLeases
from tests.unit.admission.fakes import clock, run


class Candidate:
    """A replica, and when it was told that it leads."""

    def __init__(self, api: Any, identity: str = "a") -> None:
        self.told: list[tuple[float, bool]] = []
        self.missed: list[str] = []
        self.lease = Lease(
            api, namespace=NAMESPACE, name=LEASE_PATH.rpartition("/")[2], identity=identity,
            changed=lambda held: self.told.append((clock(), held)), unheld=self.missed.append,
            clock=clock,
        )  # fmt: skip


def after(seconds: float, event: Callable[[], Any]) -> None:
    asyncio.get_running_loop().call_later(seconds, event)


async def contend(*candidates: Candidate, for_s: float) -> None:
    tasks = [asyncio.create_task(candidate.lease.contend()) for candidate in candidates]
    await asyncio.wait(tasks, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            raise ended


def test_a_free_lease_is_taken_at_once_and_kept() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        await contend(one, for_s=120)
        assert one.told == [(0, True)]
        assert one.lease.held
        assert api.holder == "a"
        assert api.lease is not None
        assert api.lease["spec"]["leaseTransitions"] == 1
        assert api.lease["spec"]["leaseDurationSeconds"] == LEASE_DURATION_S

    run(work())


def test_of_two_one_leads() -> None:
    api = FakeLeases()

    async def work() -> None:
        one, two = Candidate(api, "a"), Candidate(api, "b")
        await contend(one, two, for_s=120)
        assert [one.lease.held, two.lease.held].count(True) == 1
        assert len(one.told) + len(two.told) == 1

    run(work())


def test_a_lease_that_is_no_longer_renewed_is_taken_after_its_duration() -> None:
    api = FakeLeases()
    api.hold("dead")

    async def work() -> None:
        one = Candidate(api)
        await contend(one, for_s=60)
        ((when, held),) = one.told
        assert held
        assert LEASE_DURATION_S <= when <= LEASE_DURATION_S + RETRY_PERIOD_S

    run(work())


def test_no_holder_reserves_it_for_longer_than_a_minute() -> None:
    """Whoever has had a replica's token for a moment must not stop all replicas for good."""
    api = FakeLeases()
    api.hold("thief", leaseDurationSeconds=2**31 - 1)

    async def work() -> None:
        one = Candidate(api)
        await contend(one, for_s=LONGEST_DURATION_S + 30)
        ((when, held),) = one.told
        assert held
        assert LONGEST_DURATION_S <= when <= LONGEST_DURATION_S + RETRY_PERIOD_S
        assert one.missed == [
            f"thief holds the Lease {NAMESPACE}/kubelet-serving-approver for 2147483647 s;"
            " it is taken over 60 s after the last renewal"
        ]

    run(work())


@pytest.mark.parametrize("last", [2**31 - 1, 2**31 - 2, -1])
def test_a_last_number_of_transitions_is_followed_by_the_first(last: int) -> None:
    api = FakeLeases()
    api.hold("", leaseTransitions=last)

    async def work() -> None:
        one, two = Candidate(api, "a"), Candidate(api, "b")
        await contend(one, for_s=1)
        await one.lease.release()
        await contend(two, for_s=1)
        assert two.lease.held
        assert one.missed == two.missed == []

    run(work())


def test_a_lease_that_is_renewed_is_left_alone() -> None:
    api = FakeLeases()

    async def work() -> None:
        other, one = Candidate(api, "other"), Candidate(api)
        await contend(other, for_s=0.5)
        await contend(other, one, for_s=300)
        assert one.told == []

    run(work())


def test_a_holder_that_can_not_renew_stops_before_another_may_start() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        after(20.5, lambda: setattr(api, "failure", OSError("gone")))
        await contend(one, for_s=60)
        (_, (when, held)) = one.told
        assert not held
        # The last renewal was at 20 s; another may start 15 s after it at the earliest.
        assert 20 + RENEW_DEADLINE_S <= when < 20 + LEASE_DURATION_S

    run(work())


def test_it_is_not_held_between_two_looks_once_the_time_is_over() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        await contend(one, for_s=1)
        await asyncio.sleep(RENEW_DEADLINE_S - 1.5)
        assert one.lease.held
        await asyncio.sleep(0.6)
        assert not one.lease.held

    run(work())


def test_an_answer_that_never_comes_ends_the_office_in_time() -> None:
    class Hangs(FakeLeases):
        hanging = False

        async def request(self, *arguments: Any) -> Any:
            if self.hanging:
                await asyncio.sleep(3600)
            return await super().request(*arguments)

    api = Hangs()

    async def work() -> None:
        one = Candidate(api)
        after(20.5, lambda: setattr(api, "hanging", True))
        await contend(one, for_s=60)
        (_, (when, held)) = one.told
        assert not held
        assert 20 + RENEW_DEADLINE_S <= when < 20 + LEASE_DURATION_S

    run(work())


def test_it_leads_again_when_the_api_server_is_back() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        after(20.5, lambda: setattr(api, "failure", OSError("gone")))
        after(60, lambda: setattr(api, "failure", None))
        await contend(one, for_s=90)
        assert [held for _, held in one.told] == [True, False, True]

    run(work())


def test_a_lease_that_another_took_is_not_written_over() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        after(5, lambda: api.hold("thief"))
        await contend(one, for_s=10)
        assert [held for _, held in one.told] == [True, False]
        assert api.holder == "thief"

    run(work())


def test_a_released_lease_is_taken_without_waiting_for_its_end() -> None:
    api = FakeLeases()

    async def work() -> None:
        one, two = Candidate(api, "a"), Candidate(api, "b")
        await contend(one, for_s=5)
        await one.lease.release()
        assert not one.lease.held
        assert api.holder == ""
        await contend(two, for_s=1)
        assert two.lease.held

    run(work())


def test_who_does_not_hold_it_releases_nothing() -> None:
    api = FakeLeases()
    api.hold("other")

    async def work() -> None:
        await Candidate(api).lease.release()
        assert api.holder == "other"
        assert api.requests == []

    run(work())


def test_a_right_that_is_missing_for_a_moment_ends_nothing() -> None:
    api = FakeLeases()
    api.failure = ApiError(403, "GET", LEASE_PATH, "RBAC: not there yet")

    async def work() -> None:
        one = Candidate(api)
        after(3, lambda: setattr(api, "failure", None))
        await contend(one, for_s=10)
        assert [held for _, held in one.told] == [True]

    run(work())


def test_an_office_that_ended_for_a_moment_is_reported_of() -> None:
    """What came in that moment was not judged, and would wait for ever."""
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        await contend(one, for_s=1)
        renewed_at = one.lease._renewed_at
        assert renewed_at is not None
        one.lease._renewed_at = renewed_at - RENEW_DEADLINE_S
        await contend(one, for_s=1)
        assert [held for _, held in one.told] == [True, False, True]

    run(work())


def test_a_lease_that_is_not_there_is_waited_for_and_reported_once() -> None:
    api = FakeLeases()
    made, api.lease = api.lease, None

    async def work() -> None:
        one = Candidate(api)
        after(60, lambda: setattr(api, "lease", made))
        await contend(one, for_s=59)
        assert one.told == []
        (line,) = one.missed
        assert line == f"there is no Lease {NAMESPACE}/kubelet-serving-approver; create it"
        await contend(one, for_s=5)
        assert [held for _, held in one.told] == [True]
        assert "POST" not in api.requests

    run(work())


def test_a_lease_that_goes_while_it_is_held_ends_the_office() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        after(20.5, lambda: setattr(api, "lease", None))
        await contend(one, for_s=60)
        (_, (when, held)) = one.told
        assert not held
        assert when <= 20 + RENEW_DEADLINE_S
        assert len(one.missed) == 1

    run(work())


def test_why_it_can_not_be_taken_is_told_once() -> None:
    api = FakeLeases()

    async def work() -> None:
        one = Candidate(api)
        api.failure = ApiError(422, "PUT", LEASE_PATH, "it is odd")
        after(30, lambda: setattr(api, "failure", None))
        after(40, lambda: setattr(api, "failure", ApiError(422, "PUT", LEASE_PATH, "it is odd")))
        await contend(one, for_s=29)
        assert one.missed == [f"PUT {LEASE_PATH}: 422 it is odd"]
        await contend(one, for_s=60)
        assert one.missed == [f"PUT {LEASE_PATH}: 422 it is odd"] * 2
        assert [held for _, held in one.told] == [True, False]

    run(work())


def test_that_another_was_faster_is_not_told() -> None:
    api = FakeLeases()
    api.failure = ApiError(409, "PUT", LEASE_PATH, "the object has been modified")

    async def work() -> None:
        one = Candidate(api)
        await contend(one, for_s=10)
        assert one.missed == []

    run(work())


def test_a_missing_right_ends_the_contest() -> None:
    api = FakeLeases()
    api.failure = ApiError(403, "GET", LEASE_PATH, "forbidden")

    async def work() -> None:
        with pytest.raises(ApiError, match="403"):
            await contend(Candidate(api), for_s=30)

    run(work())


def test_one_who_waits_for_its_turn_outlives_a_refusal_now_and_then() -> None:
    api = FakeLeases()
    api.hold("other")

    def refuse() -> None:
        api.failure = ApiError(401, "GET", LEASE_PATH, "expired")

    async def work() -> None:
        for second in (10, 40):
            after(second, refuse)
            after(second + 3, lambda: setattr(api, "failure", None))
        for second in range(60):
            after(
                second, lambda second=second: api.put({"spec": {**api.lease["spec"], "n": second}})
            )  # type: ignore
        await contend(Candidate(api), for_s=60)

    run(work())
