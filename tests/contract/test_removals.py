"""A run that would remove too many nodes touches nothing, with the real engine.

The program has the components and commands of nodes, without machines.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preview.report import report
from tests.contract.engine import STACK, Done, Stack

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]

PROGRAM = """
import json
from pathlib import Path
import pulumi
from pulumi_command import local
from settings.parsing import parse
from settings.problem import SettingsError
from stack import membership, removals, state
from stack.record import Record

async def main():
    settings = parse(json.loads(Path("settings.json").read_text()))
    record = Record.of(await state.read())
    if problems := list(removals.problems(settings, record)):
        raise SettingsError(problems)
    for name, pool in settings.pools.items():
        owner = pulumi.ComponentResource(state.POOL, name)
        for node in pool.nodes:
            local.Command(
                f"{node.name}-member",
                stdin="join 1",
                delete=f"touch {node.name}-left; true leave {node.name} --pool {name} --ssh x 1",
                opts=pulumi.ResourceOptions(parent=owner),
            )
    if settings.repair != 7:
        pulumi.export("record", membership.document(settings, record))

pulumi.run(main)
"""
Run = Callable[..., Done]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    return stack


def settings(stack: Stack, *, size: int, **keys: Any) -> None:
    nodes = [{"name": f"n{number}", "address": f"10.0.0.{number + 1}"} for number in range(size)]
    pools = {"workers": {"nodes": nodes}} if size else {}
    (stack.project / "settings.json").write_text(json.dumps({"pools": pools, **keys}))


def run(stack: Stack, *command: str) -> Done:
    return stack.run(*command, "--stack", STACK, PYTHONPATH=str(ROOT))


def up(stack: Stack, *options: str) -> Done:
    return run(stack, "up", "--yes", "--skip-preview", *options)


def left(stack: Stack) -> list[str]:
    return sorted(path.name for path in stack.project.glob("*-left"))


# The second: a run that was interrupted before it had outputs.
@pytest.mark.parametrize("repair", [0, 7])
@pytest.mark.parametrize("size", [6, 0])
def test_a_list_that_was_lost_takes_nothing_down(stack: Stack, size: int, repair: int) -> None:
    settings(stack, size=10, repair=repair)
    assert up(stack).status == 0
    settings(stack, size=size, repair=repair)
    done = up(stack, "--continue-on-error")
    assert done.status != 0
    assert "1 problem in the settings; nothing was changed:" in done.said
    assert "Traceback" not in done.said
    assert left(stack) == []

    preview = run(stack, "preview", "--json")
    assert preview.status != 0
    told = report(preview.said[preview.said.index("{") : preview.said.rindex("}") + 1])
    assert "**The preview failed.**" in told
    assert "n7, n8, n9" in told

    settings(stack, size=size, repair=repair, maxRemovals="100%")
    assert up(stack).status == 0
    assert left(stack) == [f"n{number}-left" for number in range(size, 10)]


def test_what_was_protected_by_hand_ends_a_destroy_before_it_begins(stack: Stack) -> None:
    """As the documentation says, and until the next `up`."""
    settings(stack, size=3)
    assert up(stack).status == 0
    done = run(stack, "state", "protect", "--all", "--yes")
    assert done.status == 0, done.said
    for options in ((), ("--skip-preview",)):
        done = run(stack, "destroy", "--yes", *options)
        assert done.status != 0
        assert "protected" in done.said
        assert left(stack) == []
    assert up(stack).status == 0
    assert run(stack, "destroy", "--yes", "--skip-preview").status == 0
    assert len(left(stack)) == 3
