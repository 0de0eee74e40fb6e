"""Joins and gates share the engine's slots: no number of pools, nodes or slots stops a run.

The real engine and the real approver of joins, on pools whose machines and cluster are files: a
join asks and waits, and what has been asked for is granted by the pool's approver or its gate.
"""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.engine import LIMIT_S, STACK, Done, Stack
from tests.contract.pools_of_files import GATE, JOIN, PROGRAM

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
Write = Callable[..., Stack]


@pytest.fixture
def pools(tmp_path: Path) -> Write:
    """Write a program with some pools, of some nodes each."""
    stack = Stack(tmp_path)

    def write(count: int, size: int, **shape: Any) -> Stack:
        if not stack.project.exists():
            stack.write_in_this_environment(PROGRAM)
            (stack.project / "join").write_text(JOIN)
            (stack.project / "gate").write_text(GATE)
            for directory in ("asked", "granted", "running"):
                (stack.project / directory).mkdir()
            stack.select()
        names = {f"p{i}": [f"p{i}-n{j}" for j in range(size)] for i in range(count)}
        usual = {
            "dead": [],
            "late": [],
            "approver": True,
            "granting": True,
            "broken": False,
            "generation": 1,
            "rounds": 400,
        }
        (stack.project / "shape.json").write_text(json.dumps({"pools": names} | usual | shape))
        return stack

    return write


def up(stack: Stack, parallel: int, *options: str, **variables: str) -> Done:
    return stack.run(*command(parallel), *options, PYTHONPATH=str(ROOT), **variables)


def command(parallel: int) -> tuple[str, ...]:
    return ("up", "--yes", "--skip-preview", "--stack", STACK, "--parallel", str(parallel))


def preview(stack: Stack) -> Done:
    return stack.run("preview", "--expect-no-changes", "--stack", STACK, PYTHONPATH=str(ROOT))


def gates(stack: Stack) -> list[str]:
    """The pools whose gates have let all nodes in."""
    found = stack.project / "gates"
    return sorted(found.read_text().split()) if found.exists() else []


@pytest.mark.parametrize(("parallel", "count", "size"), [(1, 2, 3), (2, 4, 3), (8, 9, 2)])
def test_more_pools_and_nodes_than_slots_all_join(
    pools: Write, parallel: int, count: int, size: int
) -> None:
    stack = pools(count, size)
    done = up(stack, parallel)
    assert done.status == 0, done.said
    assert gates(stack) == [f"p{i}" for i in range(count)]
    assert "approved beside the joins" in done.said
    assert not [*(stack.project / "running").iterdir()]


def test_a_new_generation_gets_in_as_the_first_did(pools: Write) -> None:
    stack = pools(2, 2)
    assert up(stack, 2).status == 0
    for granted in (stack.project / "granted").iterdir():
        granted.unlink()
    for asked in (stack.project / "asked").iterdir():
        asked.unlink()
    done = up(pools(2, 2, generation=2), 1)
    assert done.status == 0, done.said
    assert gates(stack) == ["p0", "p0", "p1", "p1"]
    assert "p1-n0 approved beside the joins" in done.said


def test_a_machine_that_never_joins_keeps_no_other_out(pools: Write) -> None:
    stack = pools(2, 3, dead=["p0-n1"])
    done = up(stack, 1, PULUMI_CONTINUE_ON_ERROR="true")
    assert done.status != 0
    assert {path.name for path in (stack.project / "granted").iterdir()} == {
        *("p0-n0", "p0-n2"),
        *("p1-n0", "p1-n1", "p1-n2"),
    }
    assert gates(stack) == ["p0", "p1"]
    assert "unhandled exception" not in done.said
    again = up(pools(2, 3), 1)
    assert again.status == 0, again.said
    assert "+ 1 created" in again.said
    assert (stack.project / "granted/p0-n1").exists()


def test_a_join_that_has_begun_is_approved_though_another_has_ended_the_run(pools: Write) -> None:
    stack = pools(1, 2, dead=["p0-n0"], late=["p0-n1"])
    done = up(stack, 2)
    assert done.status != 0
    assert "p0-n1 approved beside the joins" in done.said
    assert (stack.project / "granted/p0-n1").exists()
    assert gates(stack) == []


def test_an_interrupted_run_leaves_no_approver(pools: Write) -> None:
    stack = pools(1, 1, granting=False, rounds=60)
    process = stack.start(*command(1), PYTHONPATH=str(ROOT))
    running = stack.project / "running/p0"
    while not (running.exists() and (stack.project / "asked/p0-n0").exists()):
        assert process.poll() is None
        time.sleep(0.1)
    program = int(running.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode != 0
    assert not Path(f"/proc/{program}").exists()


def test_a_run_by_plan_is_the_same(pools: Write) -> None:
    stack = pools(1, 2)
    plan = ("--stack", STACK, "--save-plan", "plan.json")
    made = stack.run("preview", *plan, PYTHONPATH=str(ROOT))
    assert made.status == 0, made.said
    done = up(stack, 1, "--plan", "plan.json")
    assert done.status == 0, done.said
    assert gates(stack) == ["p0"]


def test_no_join_begins_once_its_pools_approver_has_failed(pools: Write) -> None:
    stack = pools(1, 3, broken=True, rounds=20)
    done = up(stack, 1, PULUMI_CONTINUE_ON_ERROR="true")
    assert done.status != 0
    assert "p0: the cluster is not ready" in done.said
    refused = "nobody approves what the pool's machines ask for: the cluster is not ready"
    assert refused in done.said
    assert [*(stack.project / "asked").iterdir()] == []


def test_hooks_are_no_change_and_run_in_no_preview(pools: Write) -> None:
    stack = pools(1, 2, approver=False)
    assert up(stack, 8).status == 0
    before = stack.run("stack", "export", "--stack", STACK).said
    pools(1, 2)
    seen = preview(stack)
    assert seen.status == 0, seen.said
    done = up(stack, 1)
    assert done.status == 0, done.said
    assert "approved beside the joins" not in done.said
    after = stack.run("stack", "export", "--stack", STACK).said
    assert gates(stack) == ["p0"]
    assert identities(before) == identities(after)
    gone = stack.run("destroy", "--yes", "--skip-preview", "--stack", STACK)
    assert gone.status == 0, gone.said


def identities(export: str) -> dict[str, Any]:
    """What a state says of each resource, but for the names of its hooks."""
    text = export[export.index("{") : export.rindex("}") + 1]
    return {
        resource["urn"]: {
            **{key: resource.get(key) for key in ("id", "inputs", "outputs")},
            "dependencies": sorted(resource.get("dependencies", ())),
        }
        for resource in json.loads(text)["deployment"]["resources"]
    }
