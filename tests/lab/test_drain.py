"""What a drain says and does with pods that would be lost or may not go, with each setting.

Two nodes have joined; at the end of each test they are there again.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubelet import main_pid, nodes
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, until
from tests.lab.test_join import FILES, ready, run_pod, ssh_logins
from tests.lab.test_leave import put_back, take_out

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]

NODE = "node-2"
DATA = [{"name": "data", "emptyDir": {}}]
CORDONED = "kubelet-tls-bootstrap/cordoned"


@pytest.fixture(autouse=True)
def without_pods(project: Project) -> Iterator[None]:
    """No pod or budget of a test is left for the next one."""
    yield
    project.kubectl("delete", "pods,poddisruptionbudgets", "--all", "--now")


def drain(project: Project, of_pool: dict[str, Any] | None = None, **of_stack: Any) -> None:
    """Write how nodes are drained, in place of what the lab's settings say."""
    settings = project.settings()
    config = settings["config"]
    config[f"{PREFIX}drain"] = of_stack
    config[f"{PREFIX}pools"]["workers"]["drain"] = of_pool or {}
    project.write_settings(settings)


def protect(project: Project, pod: str) -> None:
    """Give a pod a budget that never allows its eviction."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "never"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": pod}}},
    }
    project.run("kubectl", "apply", "-f", "-", stdin=json.dumps(budget))
    until(lambda: project.get("pdb", "never").get("status", {}).get("currentHealthy") == 1)


def stays(project: Project, pod: str, command: tuple[str, ...] = ()) -> str:
    """Let a run fail to remove the node, see that all of it is as before, and return its words."""
    pid, uid = main_pid(project, NODE), nodes(project)[NODE]
    done = project.pulumi(*command, check=False) if command else project.up(check=False)
    said = done.stdout + done.stderr
    print(said)  # pytest shows it if the test fails
    assert done.returncode != 0
    assert "Traceback" not in said
    assert main_pid(project, NODE) == pid != 0
    assert nodes(project)[NODE] == uid
    node = project.get("node", NODE)
    assert ready(node)
    assert not node["spec"].get("unschedulable")
    assert CORDONED not in node["metadata"].get("annotations", {})
    assert project.get("pod", pod)["status"]["phase"] == "Running"
    assert f"{NODE} is not removed, and takes pods as before" in said
    names = project.state_resources()
    assert {f"{NODE}-files", f"{NODE}-member"} <= set(names)
    return said


def leaves(project: Project, removed: dict[str, Any]) -> None:
    """Let the next run remove the node and its files, and join it again."""
    # The failed removal is still to be done, and a change of `drain` shows nothing.
    assert project.preview()[f"{NODE}-member"] == {"delete"}
    project.up()
    assert NODE not in nodes(project)
    assert project.ssh(NODE, f"ls -d {' '.join(FILES)} 2>/dev/null", check=False) == ""
    put_back(project, removed)
    project.up()
    assert ready(project.get("node", NODE))
    project.pulumi("preview", "--expect-no-changes")


def test_a_bare_pod_stops_a_drain_until_the_settings_give_it_up(project: Project) -> None:
    pod = run_pod(project, NODE)
    drain(project)
    removed = take_out(project, NODE)
    said = stays(project, pod)
    assert f"default/{pod} has no controller that starts such a pod again" in said
    assert "drain.force: true" in said
    drain(project, {"force": True})
    leaves(project, removed)


@pytest.mark.long
def test_data_in_an_empty_dir_stops_a_drain_until_the_settings_give_it_up(
    project: Project,
) -> None:
    pod = run_pod(project, NODE, volumes=DATA)
    drain(project, force=True)
    removed = take_out(project, NODE)
    said = stays(project, pod)
    assert f"default/{pod} would lose the data in emptyDir volumes" in said
    assert "drain.force" not in said
    drain(project, {"deleteEmptyDirData": True}, force=True)
    leaves(project, removed)


def test_a_budget_that_never_allows_ends_the_drain_in_time_and_is_named(project: Project) -> None:
    pod = run_pod(project, NODE)
    protect(project, pod)
    drain(project, {"timeoutSeconds": 10}, force=True)
    removed = take_out(project, NODE)
    said = stays(project, pod)
    assert f"{NODE} is not drained after 10 s: the PodDisruptionBudget default/never does" in said
    assert f"the eviction of default/{pod}" in said
    project.kubectl("delete", "pdb", "never")
    leaves(project, removed)


def test_a_change_of_how_nodes_are_drained_is_no_change(project: Project) -> None:
    drain(project, {"parallel": 3, "graceSeconds": 1}, timeoutSeconds=20)
    project.pulumi("preview", "--expect-no-changes")


def test_an_empty_pool_is_refused_before_anything_is_touched(project: Project) -> None:
    original = project.settings()
    settings = project.settings()
    settings["config"][f"{PREFIX}pools"]["workers"]["nodes"] = []
    project.write_settings(settings)
    before = ssh_logins(project, NODE), nodes(project)
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        done = project.pulumi(*command, check=False)
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "pools.workers has no nodes, and all that it had would leave in this run" in said
        assert 'set maxRemovals of the pool to "100%"' in said
    # Each count adds its own login, which the next count sees.
    assert (ssh_logins(project, NODE) - 1, nodes(project)) == before
    project.write_settings(original)
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_destroy_loses_no_bare_pod_in_silence_either(project: Project) -> None:
    original = project.settings()
    pod = run_pod(project, NODE)
    drain(project)
    said = stays(project, pod, ("destroy", "--yes", "--skip-preview"))
    assert f"default/{pod} has no controller" in said
    project.write_settings(original)
    project.up()
    assert ready(project.get("node", "node-1"))
    assert ready(project.get("node", NODE))
