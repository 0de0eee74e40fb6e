"""Twenty simulated machines change in waves, and one of the second wave can't.

It needs the lab's programs, and none of its machines: it runs in namespaces of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.long]

ROOT = Path(__file__).parents[2]
NODES = 20


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    """What each run of pulumi made of the machines."""
    command = [sys.executable, "-m", "tests.bench.fleet", "--nodes", str(NODES), "--waves"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    print(found["said"])
    return found


def test_first_joins_wait_for_nobody(runs: dict[str, Any]) -> None:
    assert runs["join"]["status"] == 0
    assert runs["join"]["runs"] == {"bring": NODES, "install": NODES, "join": NODES}


def test_the_waves_after_the_one_that_failed_are_let_alone(runs: dict[str, Any]) -> None:
    assert runs["one fails"]["status"] != 0
    # The canary, and a wave of three.
    assert runs["one fails"]["runs"]["bring"] == 4
    assert runs["one fails"]["runs"]["install"] == 4
    said = runs["said"]
    assert "the kubelet is not healthy with its new files: it keeps stopping" in said
    assert "not changed, because node-00002 has failed" in said


def test_the_next_run_goes_on_with_the_rest(runs: dict[str, Any]) -> None:
    assert runs["all change"]["status"] == 0
    assert runs["all change"]["runs"]["install"] == NODES - 3


def test_never_more_than_three_are_down_at_once(runs: dict[str, Any]) -> None:
    assert runs["all change"]["most_at_once"] == 3
