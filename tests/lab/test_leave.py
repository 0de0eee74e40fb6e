"""Nodes leave, dead machines too, come back, and are reached by other means.

Runs after the story of `test_join`, and leaves three joined nodes as that does.
"""

import time
from typing import Any

import pytest

from tests.lab.kubelet import WIPE
from tests.lab.project import Project
from tests.lab.test_join import ADDRESSES, FILES, FIRST_NODES, ready, run_pod, ssh_logins

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"


def change(project: Project, name: str, **values: Any) -> None:
    """Set values of a node in the settings."""
    settings = project.settings()
    for node in settings["config"][f"{PREFIX}pools"]["workers"]["nodes"]:
        if node["name"] == name:
            node.update(values)
    project.write_settings(settings)


def take_out(project: Project, name: str) -> dict[str, Any]:
    """Remove a node from the settings, and return what they said of it."""
    settings = project.settings()
    nodes = settings["config"][f"{PREFIX}pools"]["workers"]["nodes"]
    (removed,) = [node for node in nodes if node["name"] == name]
    nodes.remove(removed)
    project.write_settings(settings)
    return dict(removed)


def put_back(project: Project, node: dict[str, Any]) -> None:
    settings = project.settings()
    settings["config"][f"{PREFIX}pools"]["workers"]["nodes"].append(node)
    project.write_settings(settings)


def test_a_changed_field_restarts_the_kubelets_and_keeps_the_pods(project: Project) -> None:
    pod = run_pod(project, "node-1")
    started = project.get("pod", pod)["status"]["containerStatuses"][0]["state"]["running"]
    settings = project.settings()
    settings["config"][f"{PREFIX}pools"]["workers"]["kubelet"]["maxPods"] = 42
    project.write_settings(settings)

    changed = {f"{node}-files" for node in ADDRESSES}
    # The gate proves the kubelets that restart.
    assert project.preview().keys() == {"workers", "workers-gate", *changed}
    project.up()

    configz = "/api/v1/nodes/node-1/proxy/configz"
    assert '"maxPods":42' in project.kubectl("get", "--raw", configz).stdout
    state = project.get("pod", pod)["status"]["containerStatuses"][0]["state"]["running"]
    assert state == started
    project.pulumi("preview", "--expect-no-changes")


def test_a_node_leaves_by_itself(project: Project) -> None:
    removed = take_out(project, "node-2")
    before = {node: ssh_logins(project, node) for node in ("node-1", "node-3")}
    project.up()
    after = {node: ssh_logins(project, node) for node in ("node-1", "node-3")}

    assert {node: after[node] - before[node] for node in before} == dict.fromkeys(before, 1)
    names = {node["metadata"]["name"] for node in project.get("nodes")["items"]}
    assert names == {"node-1", "node-3"}
    left = project.ssh("node-2", f"ls -d {' '.join(FILES)} 2>/dev/null", check=False)
    assert left == ""
    put_back(project, removed)
    project.up()
    assert ready(project.get("node", "node-2"))


def test_a_reinstalled_machine_joins_again_with_a_higher_generation(project: Project) -> None:
    project.ssh("node-2", WIPE)
    project.kubectl("delete", "node", "node-2")
    change(project, "node-2", generation=2)
    changes = project.preview()
    assert {name for name in changes if name.startswith(("node-1", "node-3"))} == set()

    project.up()
    assert ready(project.get("node", "node-2"))
    assert project.kubectl("get", "--raw", "/api/v1/nodes/node-2/proxy/healthz").stdout == "ok"
    project.pulumi("preview", "--expect-no-changes")


def test_a_dead_machine_leaves_by_force(project: Project) -> None:
    project.ssh("node-3", "systemctl poweroff", check=False)
    change(project, "node-3", force=True)
    project.up()
    removed = take_out(project, "node-3")
    began = time.monotonic()
    project.up()
    assert time.monotonic() - began < 60
    names = {node["metadata"]["name"] for node in project.get("nodes")["items"]}
    assert names == set(FIRST_NODES)
    project.pulumi("preview", "--expect-no-changes")

    # The machine comes back as it was: it still has its certificate, and is a node again.
    project.lab("up")
    put_back(project, {"name": removed["name"], "address": removed["address"]})
    project.up()
    assert ready(project.get("node", "node-3"))


def test_secret_keys_do_what_paths_do(project: Project) -> None:
    original = (project.directory / "Pulumi.dev.yaml").read_text()
    kubeconfig = (project.directory / ".lab/kubeconfig").read_text()
    key = (project.directory / ".lab/id_ed25519").read_text()
    project.run("pulumi", "config", "set", "--secret", "kubeconfig", stdin=kubeconfig)
    project.run("pulumi", "config", "set", "--secret", "--raw", "sshPrivateKey", stdin=key)
    settings = project.settings()
    del settings["config"][f"{PREFIX}kubeconfigPath"]
    del settings["config"][f"{PREFIX}ssh"]["privateKeyPath"]
    project.write_settings(settings)

    project.up()
    removed = take_out(project, "node-3")
    project.up()
    names = {node["metadata"]["name"] for node in project.get("nodes")["items"]}
    assert names == set(FIRST_NODES)
    put_back(project, removed)
    project.up()
    assert ready(project.get("node", "node-3"))
    project.pulumi("preview", "--expect-no-changes")

    restored = project.settings()
    (project.directory / "Pulumi.dev.yaml").write_text(original)
    pools = restored["config"][f"{PREFIX}pools"]
    settings = project.settings()
    settings["config"][f"{PREFIX}pools"] = pools
    project.write_settings(settings)
    project.up()
