"""Labels, annotations and taints of Nodes that have joined follow the settings.

No kubelet restarts for them, and those of somebody else stay. Begins and ends with nothing joined;
the tests tell one story and run in their order.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from admission.objects.node_attributes import RECORD, SEAL
from tests.lab.kubelet import is_alive, main_pid, nodes, outputs, starts
from tests.lab.project import Project, change_pool
from tests.lab.test_failures import PREFIX, quietly, until
from tests.lab.test_join import FIRST_NODES, ready

pytestmark = pytest.mark.lab

ARGUMENTS = "/etc/kubernetes/kubelet.env"
CONFIG = "/var/lib/kubelet/config.yaml"
ROLE = "node-role.kubernetes.io/worker"
THEIRS = {"key": "example.org/theirs", "value": "1", "effect": "NoSchedule"}
DEDICATED = {"key": "dedicated", "value": "web", "effect": "NoSchedule"}
AT_FIRST = {
    "labels": {"tier": "a", "example.org/disk": "fast", ROLE: ""},
    "annotations": {"example.org/owner": "web team"},
    "taints": ["dedicated=web:NoSchedule"],
}


@pytest.fixture(scope="module", autouse=True)
def nodes_that_join_with_labels_and_taints(project: Project) -> Iterator[None]:
    original = project.settings()
    settings = copy.deepcopy(original)
    settings["config"][f"{PREFIX}pools"]["workers"] |= AT_FIRST
    project.write_settings(settings)
    project.up()
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


def found(project: Project, name: str) -> tuple[dict[str, str], dict[str, str], list[Any]]:
    """The labels, annotations and taints of a Node, without those that each Node has."""
    node = project.get("node", name)
    labels, annotations = (
        {
            key: value
            for key, value in node["metadata"].get(kind, {}).items()
            if key not in (RECORD, SEAL)
            and not key.startswith(("kubernetes.io/", "beta.kubernetes.io/", "volumes.kubernetes."))
            and not key.startswith(("node.alpha.kubernetes.io/", "node.kubernetes.io/"))
        }
        for kind in ("labels", "annotations")
    )
    taints = node["spec"].get("taints", [])
    ours = [taint for taint in taints if not taint["key"].startswith("node.kubernetes.io/")]
    return labels, annotations, sorted(ours, key=lambda taint: taint["key"])


def follow(project: Project, **values: Any) -> str:
    """One `up` with these values for the pool, for which no kubelet restarts; what it printed."""
    settings = project.settings()
    change_pool(settings, values)
    project.write_settings(settings)
    pids = {node: main_pid(project, node) for node in FIRST_NODES}
    uids, started = nodes(project), {node: starts(project, node) for node in FIRST_NODES}
    done = project.up()
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    assert {node: starts(project, node) for node in FIRST_NODES} == started
    assert nodes(project) == uids
    project.pulumi("preview", "--expect-no-changes")
    assert set(outputs(project)["nodes"]["workers"]) == set(FIRST_NODES)
    return done.stdout


def test_a_node_has_them_when_it_has_joined(project: Project) -> None:
    for name in FIRST_NODES:
        assert ready(project.get("node", name))
        assert found(project, name) == (AT_FIRST["labels"], AT_FIRST["annotations"], [DEDICATED])


def test_those_that_a_kubelet_may_set_are_there_from_the_first_moment(project: Project) -> None:
    """By the API server's word on who has set what."""
    listed = project.run(
        "kubectl", "get", "node", "node-1", "--show-managed-fields", "-o",
        'jsonpath={.metadata.managedFields[?(@.manager=="kubelet")].fieldsV1}',
    ).stdout  # fmt: skip
    assert '"f:tier"' in listed
    assert '"f:example.org/disk"' in listed
    assert ROLE not in listed


def test_what_is_added_reaches_the_nodes_beside_what_others_have(project: Project) -> None:
    project.kubectl("label", "node", "node-1", "theirs=1")
    project.kubectl("annotate", "node", "node-1", "theirs=1")
    project.kubectl("taint", "node", "node-1", "example.org/theirs=1:NoSchedule")
    told = follow(
        project,
        labels={**AT_FIRST["labels"], "rack": "r1", "node-role.kubernetes.io/web": ""},
        annotations={**AT_FIRST["annotations"], "example.org/cost": "7"},
        taints=[*AT_FIRST["taints"], "gpu:PreferNoSchedule"],
    )
    assert "label rack=r1 set" in told
    gpu = {"key": "gpu", "effect": "PreferNoSchedule"}
    labels = {**AT_FIRST["labels"], "rack": "r1", "node-role.kubernetes.io/web": ""}
    annotations = {**AT_FIRST["annotations"], "example.org/cost": "7"}
    assert found(project, "node-2") == (labels, annotations, [DEDICATED, gpu])
    assert found(project, "node-1") == (
        {**labels, "theirs": "1"},
        {**annotations, "theirs": "1"},
        [DEDICATED, THEIRS, gpu],
    )


def test_what_changes_is_changed(project: Project) -> None:
    follow(
        project,
        labels={"tier": "b", "rack": "r1", ROLE: "x"},
        annotations={"example.org/owner": "db team\nline 2"},
        taints=["dedicated=db:NoSchedule"],
    )
    labels = {"tier": "b", "rack": "r1", ROLE: "x"}
    annotations = {"example.org/owner": "db team\nline 2"}
    taints = [{**DEDICATED, "value": "db"}]
    assert found(project, "node-2") == (labels, annotations, taints)
    assert found(project, "node-1") == (
        {**labels, "theirs": "1"},
        {**annotations, "theirs": "1"},
        [*taints, THEIRS],
    )


def test_the_machines_have_the_new_ones_for_a_kubelet_that_registers_again(
    project: Project,
) -> None:
    written = project.ssh("node-1", f"cat {ARGUMENTS} {CONFIG}")
    assert "--node-labels=rack=r1,tier=b " in written
    assert "registerWithTaints:\n- effect: NoSchedule\n  key: dedicated\n  value: db\n" in written


def test_an_annotation_or_a_role_changes_without_a_connection_to_a_machine(
    project: Project,
) -> None:
    sshd = "journalctl -o cat -t sshd | cat"
    before = project.ssh("node-2", sshd).count("Accepted publickey")
    settings = project.settings()
    pool = settings["config"][f"{PREFIX}pools"]["workers"]
    pool["labels"] = {"tier": "b", "rack": "r1", "node-role.kubernetes.io/db": ""}
    pool["annotations"] = {"example.org/owner": "c"}
    project.write_settings(settings)
    project.up()
    # The two that look at it are this test's own.
    assert project.ssh("node-2", sshd).count("Accepted publickey") == before + 1
    labels, annotations, _ = found(project, "node-2")
    assert labels == {"tier": "b", "rack": "r1", "node-role.kubernetes.io/db": ""}
    assert annotations == {"example.org/owner": "c"}


def test_a_taint_that_a_controller_removes_stays_away(project: Project) -> None:
    project.kubectl("taint", "node", "node-2", "dedicated:NoSchedule-")
    told = follow(project, annotations={"example.org/owner": "d"})
    assert "node-2: its taint dedicated=db:NoSchedule was removed or changed by somebody" in told
    assert found(project, "node-2")[2] == []
    assert len(found(project, "node-1")[2]) == 2


def test_what_leaves_the_settings_leaves_the_nodes_and_what_others_have_stays(
    project: Project,
) -> None:
    project.kubectl("label", "node", "node-1", "--overwrite", "rack=theirs")
    told = follow(project, labels=None, annotations=None, taints=None)
    assert "node-1: its label rack left the settings, but somebody has changed it since" in told
    assert found(project, "node-2") == ({}, {}, [])
    assert found(project, "node-1") == (
        {"theirs": "1", "rack": "theirs"},
        {"theirs": "1"},
        [THEIRS],
    )
    metadata = project.get("node", "node-1")["metadata"]
    assert SEAL not in metadata["labels"]
    assert RECORD not in metadata.get("annotations", {})
    assert "registerWithTaints" not in project.ssh("node-1", f"cat {CONFIG}")
    assert "--node-labels" not in project.ssh("node-1", f"cat {ARGUMENTS}")


@pytest.mark.long
def test_a_kubelet_that_registers_again_has_the_labels_of_the_settings(project: Project) -> None:
    follow(project, labels={"tier": "c"})
    project.kubectl("delete", "node", "node-2")
    project.ssh("node-2", "systemctl restart kubelet")
    until(lambda: bool(quietly(project, "get", "node", "node-2")))
    assert found(project, "node-2")[0] == {"tier": "c"}
    project.kubectl("wait", "node/node-2", "--for=condition=Ready", "--timeout=60s")
    is_alive(project, "node-2")


@pytest.mark.long
def test_a_field_of_the_kubelet_still_restarts_it_though_labels_change_too(
    project: Project, settings: dict[str, Any]
) -> None:
    before = {node: starts(project, node) for node in FIRST_NODES}
    pool = settings["config"][f"{PREFIX}pools"]["workers"]
    pool["labels"], pool["kubelet"]["maxPods"] = {"tier": "d"}, 42
    project.write_settings(settings)
    project.up()
    assert {node: starts(project, node) - before[node] for node in FIRST_NODES} == dict.fromkeys(
        FIRST_NODES, 1
    )
    assert [found(project, node)[0]["tier"] for node in FIRST_NODES] == ["d", "d"]


@pytest.mark.long
def test_what_a_failed_gate_has_set_goes_once_the_settings_are_as_before(
    project: Project, settings: dict[str, Any]
) -> None:
    project.ssh("node-2", "systemctl stop kubelet")
    changed = copy.deepcopy(settings)
    changed["config"][f"{PREFIX}stallSeconds"] = 20
    change_pool(changed, {"annotations": {"example.org/owner": "e"}})
    project.write_settings(changed)
    assert project.up(check=False).returncode != 0
    assert found(project, "node-1")[1]["example.org/owner"] == "e"

    project.ssh("node-2", "systemctl start kubelet")
    project.write_settings(settings)
    project.up()
    assert "example.org/owner" not in found(project, "node-1")[1]
    project.pulumi("preview", "--expect-no-changes")
