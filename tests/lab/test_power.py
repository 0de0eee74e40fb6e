"""The lab goes off and on again: nothing is left on the host, and the nodes come back.

Leaves joined what has joined before, two nodes at least. The tests tell one story and run in their
order.
"""

import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.kubelet import nodes
from tests.lab.project import Project
from tests.lab.test_join import FIRST_NODES, ready

pytestmark = [pytest.mark.lab, pytest.mark.long]

NODES_BACK_S = 60


@pytest.fixture(scope="module", autouse=True)
def joined(project: Project) -> set[str]:
    """The nodes that are to come back."""
    project.up()
    names = set(nodes(project))
    assert names >= set(FIRST_NODES)
    return names


def host(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def processes_of_the_lab() -> dict[int, str]:
    """Process ids and programs of all that is in a cgroup of a lab, of which one can run."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # One that has ended is listed until its parent has taken note.
            ended = "(zombie)" in (process / "status").read_text()
            if not ended and "/ktb-" in (process / "cgroup").read_text():
                found[int(process.name)] = (process / "comm").read_text().strip()
        except OSError:
            continue  # it has ended
    return found


def supervisors() -> set[int]:
    return {pid for pid, program in processes_of_the_lab().items() if program == "systemd-nspawn"}


def test_a_second_up_starts_nothing(project: Project) -> None:
    before = supervisors()
    assert len(before) > len(FIRST_NODES)  # and the control plane's machine
    project.lab("up")
    assert supervisors() == before


def test_down_leaves_no_process_mount_link_or_route(project: Project) -> None:
    assert "ktb0" in host("ip", "link", "show")
    project.lab("down")
    assert processes_of_the_lab() == {}
    assert str(project.directory) not in Path("/proc/self/mountinfo").read_text()
    assert "ktb0" not in host("ip", "link", "show")
    assert "10.98.0.0" not in host("ip", "route", "show", "table", "all")


def test_a_second_down_is_no_error(project: Project) -> None:
    project.lab("down")


def test_joined_nodes_come_back_by_themselves(project: Project, joined: set[str]) -> None:
    off_at = time.time()
    project.lab("up")
    deadline = time.monotonic() + NODES_BACK_S
    while time.monotonic() < deadline:
        found = project.get("nodes")["items"]
        leases = project.get("leases", "-n", "kube-node-lease")["items"]
        # Ready may be an old status; a lease that is renewed is a new one.
        renewed = {
            lease["metadata"]["name"]
            for lease in leases
            if host("date", "-d", lease["spec"]["renewTime"], "+%s") > f"{off_at:.0f}"
        }
        if renewed == joined and all(ready(node) for node in found):
            break
        time.sleep(1)
    assert renewed == joined
    assert all(ready(node) for node in found)
    for name in joined:
        assert project.kubectl("get", "--raw", f"/api/v1/nodes/{name}/proxy/healthz").stdout == "ok"


def test_the_stack_has_not_changed(project: Project) -> None:
    project.pulumi("preview", "--expect-no-changes")
