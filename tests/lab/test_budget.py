"""What a node may take, counted on simulated machines beside a real control plane.

It needs the lab's programs, and none of its machines: it runs in namespaces of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
NODES = 6
Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """What each step took, by its name."""
    command = [sys.executable, "-m", "tests.bench.fleet", "--nodes", str(NODES), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["step"]: row for row in found}


def test_a_node_takes_three_connections_to_join_and_two_to_change(rows: dict[str, Row]) -> None:
    """The bundle is brought, then installed; the join waits on the machine."""
    assert {step: row["connections"] for step, row in rows.items()} == {
        "first up": 3 * NODES,
        "preview, no change": 0,
        "up, no change": 0,
        "one node added": 3,
        "another node added": 3,
        "one kubelet value for all": 2 * (NODES + 2),
        "destroy": NODES + 2,
    }


def test_a_node_takes_two_resources_and_eight_kilobytes_of_the_state(rows: dict[str, Row]) -> None:
    before, after = rows["one node added"]["state"], rows["another node added"]["state"]
    assert after["resources"] - before["resources"] == 2
    assert after["size_bytes"] - before["size_bytes"] < 8_000


def test_a_token_takes_one_resource_and_little_until_the_next_node_joins(
    rows: dict[str, Row],
) -> None:
    before, after, later = (
        rows[step]["state"] for step in ("up, no change", "one node added", "another node added")
    )
    assert after["resources"] - before["resources"] == 2 - (NODES - 1)
    node = later["size_bytes"] - after["size_bytes"]
    tokens = before["size_bytes"] + node - after["size_bytes"]
    # Its Secret, and its part of what the gate is told.
    assert tokens / (NODES - 1) < 2_800


def test_a_run_without_a_change_writes_the_state_a_few_times(rows: dict[str, Row]) -> None:
    row = rows["up, no change"]
    assert row["measured"]["written_bytes"] < 30 * row["state"]["size_bytes"]


def test_the_engine_writes_little_for_one_node(rows: dict[str, Row]) -> None:
    """It writes the whole state at each step: so many steps it takes, and no more."""
    row = rows["another node added"]
    assert row["measured"]["written_bytes"] < 100 * row["state"]["size_bytes"]
