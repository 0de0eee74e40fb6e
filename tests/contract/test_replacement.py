"""Nothing replaces the commands of a node in use: the engine would create first, then remove it.

The program has the components and commands of nodes, without machines.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.engine import STACK, Done, Stack

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]

PROGRAM = """
import json
from functools import partial
from pathlib import Path
import pulumi
from pulumi_command import local
from components.deliveries import Deliveries
from stack import state

WANTED = json.loads(Path("wanted.json").read_text())

async def bring(name):
    Path(f"{name}.brought").touch()

async def main():
    found = await state.read()
    pool = pulumi.ComponentResource(state.POOL, "workers")
    existing = {f"{name}-member" for name in found.members}
    deliveries = Deliveries("workers", existing=existing)
    for name, join in WANTED.items():
        command = f"{name}-member"
        if found.joins.get(name) != join:
            deliveries.before(command, partial(bring, command))
        local.Command(
            command,
            create="true",
            stdin=f"join {join}",
            delete=f"touch {name}-left",
            opts=pulumi.ResourceOptions(parent=pool, hooks=deliveries.hooks),
        )

pulumi.run(main)
"""
URN = f"urn:pulumi:{STACK}::tiny::kubelet-tls-bootstrap:index:NodePool$command:local:Command::"
N1 = f"{URN}n1-member"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    assert up(stack, n1="1", n2="1").status == 0
    assert files(stack) == ["n1-member.brought", "n2-member.brought"]
    return stack


def run(stack: Stack, *command: str) -> Done:
    return stack.run(*command, "--stack", STACK, PYTHONPATH=str(ROOT))


def up(stack: Stack, *options: str, **wanted: str) -> Done:
    (stack.project / "wanted.json").write_text(json.dumps(wanted))
    return run(stack, "up", "--yes", "--skip-preview", *options)


def files(stack: Stack) -> list[str]:
    """What was done to nodes since this was last asked."""
    found = [path for end in ("brought", "left") for path in stack.project.glob(f"*[.-]{end}")]
    for path in found:
        path.unlink()
    return sorted(path.name for path in found)


def resources(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the state has, by URN."""
    exported = json.loads(run(stack, "stack", "export").said)
    return {found["urn"]: found for found in exported["deployment"]["resources"]}


@pytest.mark.parametrize("option", ["--replace", "--target-replace"])
def test_no_option_replaces_them(stack: Stack, option: str) -> None:
    done = up(stack, option, N1, n1="1", n2="1")
    assert done.status != 0
    assert "it can't be replaced" in done.said
    assert "Traceback" not in done.said
    assert run(stack, "preview", option, N1).status != 0
    assert files(stack) == []
    assert up(stack, n1="1", n2="1").status == 0
    assert files(stack) == []


def test_a_tainted_one_stays_and_the_error_says_how_to_untaint_it(stack: Stack) -> None:
    assert run(stack, "state", "taint", "--yes", N1).status == 0
    done = up(stack, n1="1", n2="1")
    assert done.status != 0
    assert f"pulumi state untaint '{N1}'" in done.said
    assert files(stack) == []
    assert run(stack, "state", "untaint", "--yes", N1).status == 0
    assert up(stack, n1="1", n2="1").status == 0
    assert files(stack) == []


def test_what_has_left_may_come_back_and_who_stays_may_join_again(stack: Stack) -> None:
    assert up(stack, n1="1").status == 0
    assert files(stack) == ["n2-left"]
    assert up(stack, n1="2", n2="1").status == 0
    assert files(stack) == ["n1-member.brought", "n2-member.brought"]


def test_a_run_in_which_nothing_changes_leaves_the_state_as_it_is(stack: Stack) -> None:
    before = resources(stack)
    assert up(stack, n1="1", n2="1").status == 0
    after = resources(stack)
    hooks = [after[urn]["resourceHooks"] for urn in after if urn.startswith(URN)]
    deliver = "workers-deliver"
    assert hooks == [{"BeforeCreate": ["workers-once", deliver], "BeforeUpdate": [deliver]}] * 2
    assert before == after
