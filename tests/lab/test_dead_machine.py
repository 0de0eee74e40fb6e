"""One machine is off: the others join, the stack tells who has not, and the dead one can leave.

Begins and ends with nothing joined; the tests tell one story and run in their order.
"""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubelet import is_alive, main_pid, nodes, outputs
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, nodes_of, until
from tests.lab.test_join import ADDRESSES, FIRST_NODES, run_pod
from tests.lab.test_leave import change, put_back, take_out

pytestmark = [pytest.mark.lab, pytest.mark.long]

DEAD = "node-3"


@pytest.fixture(scope="module", autouse=True)
def three_nodes_of_which_one_is_off(project: Project) -> Iterator[None]:
    """The settings of the whole module are kept in the stack's own file."""
    original = project.settings()
    project.lab("up", "--nodes", "3")
    settings = project.settings()
    nodes_of(settings).append({"name": DEAD, "address": ADDRESSES[DEAD]})
    settings["config"][f"{PREFIX}stallSeconds"] = 20
    project.write_settings(settings)
    power_off(project)
    yield
    # It was never told that it has left.
    project.lab("reinstall", DEAD, "--keep-host-key")
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


def power_off(project: Project) -> None:
    project.ssh(DEAD, "systemctl poweroff", check=False)
    until(lambda: not listens(ADDRESSES[DEAD], 22))


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def failed(project: Project) -> str:
    done = project.up(check=False)
    said = done.stdout + done.stderr
    print(said)  # pytest shows it if the test fails
    assert done.returncode != 0
    assert "Traceback" not in said
    assert "unhandled exception" not in said
    return said


def names(found: dict[str, Any]) -> set[str]:
    return set(found["nodes"]["workers"])


def test_a_first_run_tells_who_has_joined_and_who_has_not(project: Project) -> None:
    failed(project)
    assert set(nodes(project)) == set(FIRST_NODES)
    for node in FIRST_NODES:
        is_alive(project, node)
    told = outputs(project)
    assert names(told) == set(FIRST_NODES)
    (pending,) = told["pendingNodes"]
    assert (pending["name"], pending["pool"]) == (DEAD, "workers")
    assert pending["reason"]


def test_the_next_run_goes_on_once_the_machine_is_there(project: Project) -> None:
    pids = {node: main_pid(project, node) for node in FIRST_NODES}
    project.lab("up")
    project.up()
    is_alive(project, DEAD)
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    told = outputs(project)
    assert names(told) == set(ADDRESSES)
    assert told["pendingNodes"] == []
    project.pulumi("preview", "--expect-no-changes")


def test_a_dead_machine_that_is_taken_out_stays_and_force_is_named(project: Project) -> None:
    pod = run_pod(project, DEAD)
    power_off(project)
    removed = take_out(project, DEAD)
    said = failed(project)
    put_back(project, removed)
    assert f"{DEAD} does not answer at {ADDRESSES[DEAD]}:22" in said
    assert f"set force: true for {DEAD}" in said
    # It is not half removed: nobody has evicted its pods, and the next run finds all of it.
    assert DEAD in nodes(project)
    assert project.get("pod", pod)["spec"]["nodeName"] == DEAD
    assert f"{DEAD}-member" in project.state_resources()


def test_a_change_fails_on_a_dead_machine_and_not_on_the_others(project: Project) -> None:
    settings = project.settings()
    settings["config"].setdefault(f"{PREFIX}kubelet", {})["registryBurst"] = 12
    project.write_settings(settings)
    failed(project)
    for node in FIRST_NODES:
        assert "registryBurst: 12" in project.ssh(node, "cat /var/lib/kubelet/config.yaml")
    assert f"{DEAD}-files" in project.state_resources()


def test_one_run_with_force_lets_it_leave(project: Project) -> None:
    """Although the last run has failed to change its files."""
    pids = {node: main_pid(project, node) for node in FIRST_NODES}
    change(project, DEAD, force=True)
    project.up()
    assert set(nodes(project)) == set(FIRST_NODES)
    assert names(outputs(project)) == set(FIRST_NODES)

    take_out(project, DEAD)
    project.up()
    assert set(nodes(project)) == set(FIRST_NODES)
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    assert not [name for name in project.state_resources() if name.startswith(DEAD)]
    project.pulumi("preview", "--expect-no-changes")
