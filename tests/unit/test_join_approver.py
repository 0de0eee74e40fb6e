"""The approver of joins: when it begins and ends, what it reads, and what it tells."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.stack import ResourceRegistrationFailed

from components.join_approver import JoinApprover, orders_without_failed_tokens
from tests.unit.engine import COMPONENT, Engine

Say = Callable[[str], None]


async def nobody() -> dict[str, str]:
    return {}


class Approving:
    """An approval that notes when it runs."""

    def __init__(self, failure: Exception | None = None, taken: Any = nobody) -> None:
        self.orders: list[str] = []
        self.activations: list[Any] = []
        self.running = 0
        self._failure, self._taken = failure, taken

    async def __call__(self, orders: str, activations: Any, say: Say, ready: Any) -> None:
        self.orders.append(orders)
        self.activations.append(activations)
        self.running += 1
        try:
            say("it begins")
            if self._failure:
                raise self._failure
            ready(await self._taken())
            await asyncio.Event().wait()
        finally:
            self.running -= 1


async def begins(engine: Engine, hook: str, name: str) -> None:
    """Do what the engine does when a resource has its slot."""
    await until(lambda: hook in engine.hooks)
    called: Any = engine.hooks[hook](
        pulumi.ResourceHookArgs(urn=f"urn::{name}", id="", name=name, type="t")
    )
    await called


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)


def in_program(work: Callable[[Engine, pulumi.Resource], Coroutine[Any, Any, None]]) -> None:
    engine = Engine()
    ended: list[bool] = []

    def program() -> pulumi.Output[None]:
        owner = pulumi.ComponentResource(f"{COMPONENT}NodePool", "p")

        async def all_of_it() -> None:
            await work(engine, owner)
            ended.append(True)

        return pulumi.Output.from_input(all_of_it())

    engine.run(program)
    assert ended == [True]


ORDERS = json.dumps({"pool": "p"})
ACTIVATIONS = {"abcdef": {"token-secret": "c2VjcmV0"}}


def approver(owner: pulumi.Resource, approve: Approving) -> JoinApprover:
    orders, activations = pulumi.Output.from_input(ORDERS), pulumi.Output.from_input(ACTIVATIONS)
    return JoinApprover("p", orders=orders, activations=activations, owner=owner, approve=approve)


def test_one_approver_works_from_the_first_join_to_the_gate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    approve = Approving()

    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        it = approver(owner, approve)
        assert approve.orders == []
        await it.join_begins("n1-join")
        await until(lambda: approve.running)
        await it.join_begins("n2-join")
        await begins(engine, "p-gate-begins", "p-gate")
        assert approve.running == 0
        await until(lambda: "it begins" in caplog.messages)

    in_program(work)
    assert (approve.orders, approve.activations) == ([ORDERS], [ACTIVATIONS])


def test_a_gate_without_joins_ends_nothing() -> None:
    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        approve = Approving()
        approver(owner, approve)
        await begins(engine, "p-gate-begins", "p-gate")
        assert approve.orders == []

    in_program(work)


def test_the_gates_turn_comes_once_every_join_has_begun() -> None:
    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        it = approver(owner, Approving())
        settle: asyncio.Future[str] = asyncio.Future()
        unchanged = Settling("n1-join", settle)
        last: asyncio.Future[str] = asyncio.Future()
        waiting = Settling("n2-join", last)
        turn = asyncio.ensure_future(it.all_begun([unchanged, waiting]).future())
        settle.set_result("urn")
        for _ in range(100):
            await asyncio.sleep(0)
        assert not turn.done()
        await it.join_begins("n2-join")
        assert await turn == []
        await begins(engine, "p-gate-begins", "p-gate")
        last.set_result("urn")

    in_program(work)


class Settling:
    """As much of a resource as an approver looks at."""

    def __init__(self, name: str, urn: asyncio.Future[str]) -> None:
        self.pulumi_resource_name = name
        self.urn: pulumi.Output[str] = pulumi.Output.from_input(urn)


def test_a_failure_is_told_and_lets_no_join_begin(caplog: pytest.LogCaptureFixture) -> None:
    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        it = approver(owner, Approving(ValueError("the cluster is not ready; fix that")))
        for join in ("n1-join", "n2-join"):
            with pytest.raises(ValueError, match="ask for: the cluster is not ready; fix that"):
                await it.join_begins(join)
        assert not it._begun  # nor is the gate let go for it
        await until(lambda: "p: the cluster is not ready; fix that" in caplog.messages)

    in_program(work)


def test_what_approves_can_be_imported_ahead() -> None:
    program = (
        "import sys, time; from components.join_approver import prepare;"
        " assert 'admission.approving' not in sys.modules; prepare();"
        " [time.sleep(0.05) for _ in range(600) if 'admission.approving' not in sys.modules];"
        " print('admission.approving' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr


def test_no_join_begins_while_a_token_is_not_known() -> None:
    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        approve = Approving()
        unknown = pulumi.Output(set(), resolved(None), resolved(True))
        it = JoinApprover("p", orders=unknown, activations=unknown, owner=owner, approve=approve)
        with pytest.raises(ValueError, match=r"not all known.*run pulumi up without --target"):
            await it.join_begins("n1-join")
        assert approve.orders == []

    in_program(work)


async def resolved(value: Any) -> Any:
    return value


def test_a_name_of_another_living_machine_keeps_its_join_from_beginning() -> None:
    async def taken() -> dict[str, str]:
        await asyncio.sleep(0.2)
        return {"n1": "the name is taken"}

    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        approve = Approving(taken=taken)
        it = approver(owner, approve)
        with pytest.raises(ValueError, match="the name is taken"):
            await it.join_begins("n1-member", "n1")
        assert not it._begun  # nor is the gate let go for it
        await it.join_begins("n2-member", "n2")
        assert it._begun["n2-member"].is_set()
        await it.join_begins("n1-member")  # it has joined before
        await until(lambda: approve.running)
        await it._end(None)

    in_program(work)


def test_a_failure_after_the_first_join_has_begun_keeps_the_next_from_beginning() -> None:
    class Failing(Approving):
        async def __call__(self, orders: str, activations: Any, say: Say, ready: Any) -> None:
            ready({})
            raise ValueError("the cluster is not ready; fix that")

    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        it = approver(owner, Failing())
        await it.join_begins("n1-join")
        assert it._background is not None
        await until(lambda: it._background and it._background.error)
        with pytest.raises(ValueError, match="ask for: the cluster is not ready; fix that"):
            await it.join_begins("n2-join")
        assert it._begun.keys() == {"n1-join"}

    in_program(work)


def test_nobody_waits_for_a_thread_that_can_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_loop(*_: Any, **__: Any) -> None:
        raise OSError("too many open files")

    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        it = approver(owner, Approving())
        monkeypatch.setattr("asyncio.run", no_loop)
        with pytest.raises(ValueError, match="ask for: too many open files"):
            await asyncio.wait_for(it.join_begins("n1-join"), 10)

    in_program(work)


def test_nobody_waits_for_ever_for_an_approver_that_ends_before_it_is_ready() -> None:
    async def never() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def work(engine: Engine, owner: pulumi.Resource) -> None:
        it = approver(owner, Approving(taken=never))
        waiting = [asyncio.ensure_future(it.join_begins(f"n{n}-member", f"n{n}")) for n in (1, 2)]
        await asyncio.sleep(0.2)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert not waiting[1].done()
        await it._end(None)
        with pytest.raises(ValueError, match=r"nobody approves.*has ended"):
            await waiting[1]

    in_program(work)


NODES = [{"name": "n1"}, {"name": "n2"}]


async def not_made() -> str:
    raise ResourceRegistrationFailed


def read(tokens: Callable[[], list[dict[str, Any]]]) -> Any:
    """What is left of orders with these tokens."""
    found: list[str] = []

    def program() -> pulumi.Output[None]:
        orders = {"pool": "p", "nodes": NODES, "tokens": tokens()}
        return orders_without_failed_tokens(orders).apply(found.append)

    Engine().run(program)
    return json.loads(found[0])


def test_a_token_that_was_not_made_takes_only_its_node_out_of_the_orders() -> None:
    def tokens() -> list[dict[str, Any]]:
        return [
            {"id": pulumi.Output.from_input("abcdef"), "node": "n1"},
            {"id": pulumi.Output.from_input(not_made()), "node": "n2"},
        ]

    left = {"id": "abcdef", "node": "n1"}
    assert read(tokens) == {"pool": "p", "nodes": [{"name": "n1"}], "tokens": [left]}


def test_a_node_that_needs_no_token_any_more_stays_in_the_orders() -> None:
    def tokens() -> list[dict[str, Any]]:
        return [{"id": pulumi.Output.from_input(not_made()), "node": "n2"}]

    assert read(tokens) == {"pool": "p", "nodes": [{"name": "n1"}], "tokens": []}


def test_a_token_of_the_pool_that_was_not_made_leaves_nobody_in_them() -> None:
    def tokens() -> list[dict[str, Any]]:
        return [{"id": pulumi.Output.from_input(not_made()), "node": None}]

    assert read(tokens)["nodes"] == []


def test_a_token_of_the_pool_is_for_all_nodes() -> None:
    def tokens() -> list[dict[str, Any]]:
        return [{"id": pulumi.Output.from_input("abcdef"), "node": None}]

    assert read(tokens)["nodes"] == NODES


def test_the_rules_are_found_after_the_project_has_left_the_path() -> None:
    """A language host runs the program with `runpy`, which takes the project off `sys.path`."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import components.join_approver;"
        " sys.path.remove(sys.argv[1]); from admission.approving import approve; print(approve)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(  # from elsewhere, since Python looks in the working directory too
        [sys.executable, "-c", program, str(root)],
        cwd=root.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
