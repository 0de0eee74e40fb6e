"""A change of the files reaches the kubelets that read it, and no other; drift is repaired.

Runs before `test_join` by name, on the same lab, and leaves it with nothing joined.
"""

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.project import Project
from tests.lab.test_join import ready, run_pod
from tests.unit.node_machine import INSTALL

pytestmark = pytest.mark.lab

POOLS = "kubelet-tls-bootstrap:pools"
CONFIG = "/var/lib/kubelet/config.yaml"
ARGUMENTS = "/etc/kubernetes/kubelet.env"
ANSWERS_S = 60


@pytest.fixture(scope="module", autouse=True)
def a_node_in_each_of_two_pools(project: Project) -> Iterator[None]:
    original = project.settings()
    settings = copy.deepcopy(original)
    pools = settings["config"][POOLS]
    first, second = pools["workers"]["nodes"][:2]
    pools["others"] = copy.deepcopy(pools["workers"])
    pools["workers"]["nodes"], pools["others"]["nodes"] = [first], [second]
    project.write_settings(settings)
    project.up()
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


STATE = "/var/lib/kubelet-tls-bootstrap"


def started(project: Project, node: str) -> str:
    return project.ssh(node, "systemctl show --property ExecMainStartTimestampMonotonic kubelet")


def max_pods(project: Project, node: str) -> int:
    """What the running kubelet says; one that has just been restarted does not answer at once."""
    url = f"/api/v1/nodes/{node}/proxy/configz"
    deadline = time.monotonic() + ANSWERS_S
    while (done := project.kubectl("get", "--raw", url, check=False)).returncode != 0:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(1)
    found: int = json.loads(done.stdout)["kubeletconfig"]["maxPods"]
    return found


def bundle(project: Project, node: str) -> str:
    """The script and the bundle that were last installed on the node."""
    return project.ssh(node, f"cat {STATE}/bundle")


def install(project: Project, node: str, stdin: str) -> dict[str, Any]:
    """The report of the node script for a bundle."""
    command = (".venv/bin/python", "-m", "lab", "ssh", node, INSTALL)
    report: dict[str, Any] = json.loads(project.run(*command, stdin=stdin).stdout)
    return report


def test_a_change_for_a_pool_restarts_its_kubelets_alone_and_keeps_the_pods(
    project: Project,
) -> None:
    nodes = ("node-1", "node-2")
    pods = [run_pod(project, node) for node in nodes]
    statuses = [project.get("pod", pod)["status"]["containerStatuses"][0]["state"] for pod in pods]
    before = {node: started(project, node) for node in nodes}
    settings = project.settings()
    settings["config"][POOLS]["workers"]["kubelet"]["maxPods"] = 42
    project.write_settings(settings)
    project.up()

    assert started(project, "node-1") != before["node-1"]
    assert started(project, "node-2") == before["node-2"]
    assert max_pods(project, "node-1") == 42
    assert max_pods(project, "node-2") == 110
    found = [project.get("pod", pod)["status"]["containerStatuses"][0]["state"] for pod in pods]
    assert found == statuses
    assert all("running" in status for status in found)
    project.pulumi("preview", "--expect-no-changes")


def test_a_file_changed_by_hand_is_repaired_and_reported(project: Project) -> None:
    look = f"cat {CONFIG} {ARGUMENTS}; stat -c '%a %U:%G' {CONFIG} {ARGUMENTS}"
    before = project.ssh("node-1", look)
    project.ssh(
        "node-1", f"sed -i s/42/7/ {CONFIG}; chmod 644 {ARGUMENTS}; systemctl restart kubelet"
    )
    text = bundle(project, "node-1").replace("\ngeneration 1\n", "\ngeneration 1\nrepair 1\n")
    was = started(project, "node-1")

    report = install(project, "node-1", text)
    assert report["repaired"] == [CONFIG, ARGUMENTS]
    assert (report["changed"], report["removed"], report["kubelet"]) == ([], [], "restarted")
    assert project.ssh("node-1", look) == before
    assert started(project, "node-1") != was

    again = install(project, "node-1", text)
    assert (again["changed"], again["repaired"], again["kubelet"]) == ([], [], "running")
    project.kubectl("wait", "node/node-1", "--for=condition=Ready", "--timeout=60s")
    assert max_pods(project, "node-1") == 42
    assert ready(project.get("node", "node-2"))


def test_the_checks_of_a_real_machine_find_nothing_and_miss_nothing(project: Project) -> None:
    report = install(project, "node-2", bundle(project, "node-2"))
    assert report["notes"] == []
    assert report["skipped"] == []


def test_each_fault_of_a_real_machine_is_reported_and_nothing_is_changed(project: Project) -> None:
    text = bundle(project, "node-2")
    faulty = (
        text.replace("\naddresses 10.98.0.12\n", "\naddresses 10.98.0.99\n")
        .replace("\nruntime unix:///run/containerd/", "\nruntime unix:///run/nothing/")
        .replace("\nwithout swap\n", "\nresolver /run/resolv.conf\n")
    )
    project.ssh("node-2", "echo nameserver 127.0.0.53 >/run/resolv.conf")
    before = project.ssh("node-2", "ls -lR --time-style=full-iso /etc/kubernetes")
    command = (".venv/bin/python", "-m", "lab", "ssh", "node-2", INSTALL)
    done = project.run(*command, stdin=faulty, check=False)
    assert done.returncode == 1
    for check in ("address", "runtime", "resolver"):
        assert f"\n{check}: " in done.stderr
    assert project.ssh("node-2", "ls -lR --time-style=full-iso /etc/kubernetes") == before


def test_the_api_server_is_asked_for_its_version_and_time(project: Project) -> None:
    text = bundle(project, "node-2")
    command = (".venv/bin/python", "-m", "lab", "ssh", "node-2", INSTALL)
    off = text.replace("most_off_s=30", "most_off_s=-1")
    done = project.run(*command, stdin=off, check=False)
    assert "\nclock: this machine's clock is " in done.stderr
    other_ca = text.replace("\n| MII", "\n| MIJ", 1)
    done = project.run(*command, stdin=other_ca, check=False)
    assert "\nserver: https://10.98.0.10:6443 presents a certificate" in done.stderr
    new = text.replace("\nkubelet /usr/bin/kubelet 1.37\n", "\nkubelet /usr/bin/kubelet 1.38\n")
    done = project.run(*command, stdin=new, check=False)
    assert "\nversion: " in done.stderr
    assert "\nskew: the API server is 1.37 and supports kubelets 1.34 to 1.37" in done.stderr
