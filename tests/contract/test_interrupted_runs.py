"""What an interrupted run leaves behind, and what clears it: README.md says what to type."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.contract.engine import STACK, Stack

pytestmark = pytest.mark.contract

# Waits for the file `go`, for half a minute at most: a killed engine leaves the command running.
PROGRAM = """
from pulumi_command import local

wait = "touch {here}/began; for i in $(seq 300); do [ ! -e {here}/go ] || exit 0; sleep 0.1; done"
local.Command("long", create=wait, environment={{"RUN": "{run}"}})
"""
PENDING = "with 1 pending operations from previous deployment"
LOCKED = "delete the lock file with `pulumi cancel`"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    made = Stack(tmp_path, plugins=("pulumi-resource-command",))
    write(made, run="first")
    made.select()
    return made


def write(stack: Stack, *, run: str) -> None:
    stack.write(PROGRAM.format(here=stack.directory, run=run))


def begun(stack: Stack) -> "subprocess.Popen[str]":
    """Start a run, and return when its command runs."""
    began = stack.directory / "began"
    began.unlink(missing_ok=True)
    process = stack.start("up", "--yes", "--skip-preview", "--stack", STACK)
    while not began.exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process


def cut(stack: Stack, number: signal.Signals) -> None:
    """Cut a run while its command runs; the command of the next one ends at once."""
    process = begun(stack)
    process.send_signal(number)
    process.communicate(timeout=90)
    (stack.directory / "go").touch()


def pending(stack: Stack) -> list[str]:
    """What the state says was going on."""
    state = json.loads(stack.run("stack", "export", "--stack", STACK).said)
    return [entry["type"] for entry in state["deployment"].get("pending_operations") or ()]


def test_a_killed_run_leaves_a_lock_that_pulumi_cancel_removes(stack: Stack) -> None:
    cut(stack, signal.SIGKILL)
    locked = stack.up()
    assert locked.status != 0
    assert LOCKED in locked.said
    assert stack.run("cancel", "--yes", "--stack", STACK).status == 0
    assert stack.up().status == 0


def test_a_creation_that_was_cut_stays_pending_until_it_is_cleared_by_name(stack: Stack) -> None:
    cut(stack, signal.SIGKILL)
    assert stack.run("cancel", "--yes", "--stack", STACK).status == 0
    for more in ((), ("--refresh",)):
        done = stack.run("up", "--yes", "--skip-preview", "--stack", STACK, *more)
        assert done.status == 0, done.said
    assert stack.run("refresh", "--yes", "--stack", STACK).status == 0
    assert PENDING in stack.up().said
    assert pending(stack) == ["creating"]
    clear = ("refresh", "--yes", "--clear-pending-creates", "--stack", STACK)
    assert stack.run(*clear).status == 0
    done = stack.up()
    assert done.status == 0
    assert PENDING not in done.said


def test_an_update_that_was_cut_is_pending_until_the_next_run(stack: Stack) -> None:
    (stack.directory / "go").touch()
    assert stack.up().status == 0
    (stack.directory / "go").unlink()
    write(stack, run="second")
    cut(stack, signal.SIGKILL)
    assert pending(stack) == ["updating"]
    assert stack.run("cancel", "--yes", "--stack", STACK).status == 0
    assert PENDING in stack.up().said
    assert PENDING not in stack.up().said


def test_one_interrupt_leaves_neither_a_lock_nor_a_pending_operation(stack: Stack) -> None:
    cut(stack, signal.SIGINT)
    assert pending(stack) == []
    done = stack.up()
    assert done.status == 0, done.said
    assert PENDING not in done.said
