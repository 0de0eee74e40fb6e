"""More nodes than the settings allow leave no stack: one error, before anything is touched."""

import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest

from settings.parsing import parse
from settings.problem import SettingsError
from stack import membership
from stack.record import Record
from stack.removals import problems
from stack.state import State
from tests.unit.changes.program import PROJECT, declare
from tests.unit.changes.row import world
from tests.unit.engine import Engine
from tests.unit.test_record import URN, of_node

ROOT = Path(__file__).parents[2]


def pools(**sizes: int) -> dict[str, Any]:
    """Settings with pools of so many nodes."""
    return {
        name: {"nodes": [machine(f"{name}-{number}") for number in range(size)]}
        for name, size in sizes.items()
    }


def machine(name: str) -> dict[str, Any]:
    return {"name": name, "address": f"10.0.{name.encode()[0]}.{name.rpartition('-')[2]}"}


def recorded(
    raw: dict[str, Any], *, outputs: bool = True, gone: int = 0, release: str = ""
) -> Record:
    """What is known of a stack whose nodes of these pools have all joined."""
    settings = parse({"pools": raw})
    names = membership.names(settings)
    record = membership.document(settings, Record())
    for name in sorted(names)[:gone]:
        record["nodes"][name]["gone"] = True
    members = {name: f"{URN}command:local:Command::{name}-member" for name in sorted(names)}
    told = {"record": record} if outputs else {}
    joins = dict.fromkeys(names, "1")
    files = {name: of_node(name) for name in names}
    of_pool = (
        {} if release else {node: pool for pool in raw for node in names if node.startswith(pool)}
    )
    state = State(outputs=told, files=files, joins=joins, pools=of_pool, members=members)
    return Record.of(state)


def told(was: dict[str, Any], now: dict[str, Any], **keys: Any) -> list[str]:
    return [str(each) for each in problems(parse({"pools": now, **keys}), recorded(was))]


@pytest.mark.parametrize(
    ("had", "leave", "limit", "refused"),
    [
        # By default a fifth, and two at least.
        (4, 2, None, False),
        (4, 3, None, True),
        (15, 3, None, False),
        (14, 3, None, True),
        (100, 20, None, False),
        (100, 21, None, True),
        # By the settings.
        (100, 21, 21, False),
        (100, 22, 21, True),
        (100, 50, "50%", False),
        (100, 51, "50%", True),
        (9, 1, "10%", True),
        (4, 1, 0, True),
        (4, 1, "0%", True),
        (4, 3, "100%", False),
        (2, 1, None, False),
        # All of them: a number does not say that.
        (2, 2, None, True),
        (1, 1, None, True),
        (2, 2, 2, True),
        (2, 2, "99%", True),
        (2, 2, "100%", False),
    ],
)
@pytest.mark.parametrize("of_pool", [True, False])
def test_how_many_nodes_of_a_pool_may_leave(
    had: int, leave: int, limit: Any, refused: bool, of_pool: bool
) -> None:
    was, now = pools(a=had), pools(a=had - leave)
    keys = {} if limit is None else {"maxRemovals": limit}
    if of_pool:
        now["a"] |= keys
    found = told(was, now, **({} if of_pool else keys))
    assert bool(found) is refused


def test_a_pools_own_limit_counts_before_the_stacks() -> None:
    now = pools(a=5)
    now["a"]["maxRemovals"] = 1
    (message,) = told(pools(a=9), now, maxRemovals="100%")
    assert message == (
        "pools.a lacks 4 nodes (a-5, a-6, a-7, a-8), which would leave in this run; it had 9, and"
        " maxRemovals allows 1 at a time: put them back, remove them in several runs, or set"
        " maxRemovals of the pool to 4 if that is meant"
    )


def test_each_pool_is_counted_by_itself() -> None:
    found = told(pools(a=10, b=10, c=10), pools(a=8, b=7, c=6))
    assert [message.split()[0] for message in found] == ["pools.b", "pools.c"]


def test_no_pools_at_all_are_one_error() -> None:
    (message,) = told(pools(a=8, b=4), {})
    assert message == (
        "pools has no pool, but the stack has 12 nodes (a-0, a-1, a-2, a-3, a-4, a-5, a-6, a-7,"
        " b-0, b-1 and 2 more), which would all leave in this run; put the pools back, or set"
        ' maxRemovals to "100%" if that is meant'
    )
    assert told(pools(a=8, b=4), {}, maxRemovals=12)
    assert not told(pools(a=8, b=4), {}, maxRemovals="100%")


def test_a_pool_that_is_missing_or_empty_is_told() -> None:
    (message,) = told(pools(a=1, b=1), pools(b=1))
    assert message == (
        "pools.a is missing, and all that it had would leave in this run: 1 node (a-0); put them"
        ' back, or set maxRemovals of the stack to "100%" if that is meant'
    )
    (message,) = told(pools(a=1, b=1), {**pools(b=1), "a": {"nodes": []}})
    assert message.startswith("pools.a has no nodes, and all that it had")
    assert "maxRemovals of the pool" in message


def test_nodes_that_move_or_whose_pool_is_renamed_do_not_leave() -> None:
    was = pools(a=9, b=1)
    assert not told(was, {"c": pools(a=9)["a"], **pools(b=1)})
    assert not told(was, {"b": {"nodes": [*pools(a=9)["a"]["nodes"], *pools(b=1)["b"]["nodes"]]}})
    assert not told(was, {"c": {"nodes": pools(a=9)["a"]["nodes"][1:]}, **pools(b=1)})


def test_a_node_whose_machine_is_gone_is_no_removal() -> None:
    now = pools(a=9)
    for entry in now["a"]["nodes"][:5]:
        entry["force"] = True
    assert not told(pools(a=9), now)
    # Nor is the removal of its entry afterwards, when nothing but that is left of it.
    settings = parse({"pools": {"a": {"nodes": pools(a=9)["a"]["nodes"][5:]}}})
    assert not list(problems(settings, recorded(pools(a=9), gone=5)))


def test_a_stack_that_never_ran_or_whose_nodes_never_joined_has_nothing_to_lose() -> None:
    assert not list(problems(parse({"pools": {}}), Record()))
    never = recorded(pools(a=9))
    assert not list(problems(parse({}), Record(nodes=never.nodes, joins=never.joins)))


def test_what_was_there_is_known_after_a_run_that_was_interrupted() -> None:
    interrupted = recorded(pools(a=9), outputs=False)
    (problem,) = problems(parse({"pools": pools(a=5)}), interrupted)
    assert str(problem).startswith("pools.a lacks 4 nodes")
    assert list(problems(parse({"pools": {}}), interrupted))


def test_by_an_earlier_release_nodes_whose_pool_is_not_known_are_counted_together() -> None:
    earlier = recorded(pools(a=9, b=9), outputs=False, release="earlier")
    assert not list(problems(parse({"pools": pools(a=8, b=7)}), earlier))
    (problem,) = problems(parse({"pools": pools(a=8, b=6)}), earlier)
    assert str(problem).startswith("pools lacks 4 nodes (a-8, b-6, b-7, b-8)")
    assert "it had 18, and maxRemovals allows 3 at a time" in str(problem)


def test_the_program_declares_nothing_then(tmp_path: Path) -> None:
    before = world()
    last = declare(before, tmp_path)
    after = before.copy()
    after.settings["pools"].clear()
    engine = Engine(state=last.state)
    texts = {f"{PROJECT}:{k}": v if isinstance(v, str) else json.dumps(v)
             for k, v in after.settings.items()}  # fmt: skip
    pulumi.runtime.set_all_config(texts)
    monkey = pytest.MonkeyPatch()
    monkey.chdir(tmp_path)
    try:
        with pytest.raises(SettingsError, match=r"nothing was changed:\n  pools has no pool, but"):
            engine.run_stack(lambda: runpy.run_path(str(ROOT / "__main__.py")) and None)
    finally:
        monkey.undo()
        pulumi.runtime.set_all_config({})
    assert not engine.resources
