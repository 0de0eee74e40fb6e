"""Machines and the cluster from another stack's outputs, and a stack that reads this one's.

Runs by name after the tests that need joined nodes: it takes out what has joined before, and ends
with nothing joined. The tests tell one story and run in their order.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubelet import is_alive, main_pid, nodes, outputs
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX
from tests.lab.test_join import ADDRESSES, FIRST_NODES, ssh_logins
from tests.lab.test_ssh_address import host_key

pytestmark = pytest.mark.lab

INFRA = "organization/machines/infra"
MACHINES = """
import json
from pathlib import Path
import pulumi

pulumi.export("workers", json.loads(Path("machines.json").read_text()))
cluster = json.loads(Path("cluster.json").read_text())
pulumi.export("admin", pulumi.Output.secret(cluster.pop("admin")))
for name, value in cluster.items():
    pulumi.export(name, value)
"""
CLUSTER = {"kubeconfig": "admin", "server": "endpoint", "ca": "ca", "serviceCidr": "services"}
CONSUMER = """
import pulumi

cluster = pulumi.StackReference("organization/kubelet-tls-bootstrap/dev")
nodes = cluster.require_output("nodes").apply(lambda pools: pools["workers"])
pulumi.export("targets", nodes.apply(
    lambda found: {name: f"{node['address']}:10250" for name, node in found.items()}
))
"""


def make(project: Project, name: str, program: str, stack: str) -> None:
    """Another project beside the lab's, with a stack."""
    directory = project.directory / name
    directory.mkdir()
    project.write_yaml(
        f"{name}/Pulumi.yaml",
        {
            "name": name,
            "runtime": {"name": "python", "options": {"virtualenv": "../.venv"}},
        },
    )
    (directory / "__main__.py").write_text(program)
    project.pulumi("--cwd", name, "stack", "init", "--no-select", stack)


def export(project: Project, *names: str) -> None:
    """Let the other stack make these machines."""
    machines = {
        name: {"address": ADDRESSES[name], "hostKey": host_key(project, name)} for name in names
    }
    (project.directory / "machines/machines.json").write_text(json.dumps(machines))
    export_cluster(project, project.settings_of_kubeconfig())


def export_cluster(project: Project, kubeconfig: dict[str, Any]) -> None:
    """Let the other stack export the lab's cluster, with this kubeconfig, beside its machines."""
    (cluster,) = (entry["cluster"] for entry in kubeconfig["clusters"])
    outputs = {
        "admin": kubeconfig,
        "endpoint": cluster["server"],
        "ca": (project.directory / ".lab/ca.crt").read_text(),
        "services": "10.97.0.0/16",
    }
    target = project.directory / "machines/cluster.json"
    target.touch(mode=0o600)
    target.write_text(json.dumps(outputs))
    up(project, "machines", "infra")


def up(project: Project, name: str, stack: str) -> None:
    project.pulumi("--cwd", name, "up", "--yes", "--skip-preview", "--stack", stack)


@pytest.fixture(scope="module", autouse=True)
def two_stacks(project: Project) -> Iterator[None]:
    """A stack with machines and a cluster, and the lab's, whose settings name none of them."""
    original = project.settings()
    project.pulumi("destroy", "--yes", "--skip-preview")
    make(project, "machines", MACHINES, "infra")
    make(project, "consumer", CONSUMER, "dev")
    settings = project.settings()
    pool = settings["config"][f"{PREFIX}pools"]["workers"]
    del pool["nodes"]
    pool["nodesFrom"] = {"stack": INFRA, "output": "workers"}
    del settings["config"][f"{PREFIX}kubeconfigPath"]
    cluster = settings["config"][f"{PREFIX}cluster"]
    del cluster["caPath"], cluster["serviceCidr"]
    cluster["from"] = {"stack": INFRA, **CLUSTER}
    project.write_settings(settings)
    yield
    project.pulumi("destroy", "--yes", "--skip-preview")
    project.write_settings(original)


def test_machines_of_another_stack_join_its_cluster(project: Project) -> None:
    export(project, "node-1")
    project.up()
    assert set(nodes(project)) == {"node-1"}
    is_alive(project, "node-1")
    project.pulumi("preview", "--expect-no-changes")
    done = project.run("./ktb", "diff")
    assert (done.stdout, done.stderr) == ("", "")


def test_one_more_there_is_one_more_here_and_nothing_else(project: Project) -> None:
    up(project, "consumer", "dev")
    told = outputs(project)["nodes"]["workers"]
    export(project, *FIRST_NODES)
    changes = project.preview()
    assert {"node-2-files", "node-2-member", "node-2-token"} < changes.keys()
    assert not {"node-1-files", "node-1-member"} & changes.keys()

    pid, logins = main_pid(project, "node-1"), ssh_logins(project, "node-1")
    project.up()
    assert ssh_logins(project, "node-1") - logins == 1  # this look itself
    assert set(nodes(project)) == set(FIRST_NODES)
    is_alive(project, "node-2")
    assert main_pid(project, "node-1") == pid
    found = outputs(project)["nodes"]["workers"]
    assert found.keys() == set(FIRST_NODES)
    assert found["node-1"] == told["node-1"]


def test_another_kubeconfig_there_touches_no_node(project: Project) -> None:
    pid = main_pid(project, "node-1")
    rotated = project.settings_of_kubeconfig()
    # Another user with the same rights.
    rotated["users"][0]["user"]["as"] = "rotated"
    rotated["users"][0]["user"]["as-groups"] = ["system:masters"]
    export_cluster(project, rotated)
    assert project.preview() == {"cluster": {"update"}}
    project.up()
    assert main_pid(project, "node-1") == pid
    project.pulumi("preview", "--expect-no-changes")


def test_who_reads_the_nodes_sees_the_new_one_as_one_change(project: Project) -> None:
    told = project.pulumi("--cwd", "consumer", "preview", "--stack", "dev").stdout
    assert re.search(rf'\+ node-2: "{re.escape(ADDRESSES["node-2"])}:10250"', told), told
    assert not re.search(r"[-+~] node-1", told), told
    up(project, "consumer", "dev")
    printed = project.pulumi("--cwd", "consumer", "stack", "output", "--json", "--stack", "dev")
    targets: dict[str, Any] = json.loads(printed.stdout)["targets"]
    assert targets == {name: f"{ADDRESSES[name]}:10250" for name in FIRST_NODES}


def test_what_is_wrong_there_is_told_before_anything_is_touched(project: Project) -> None:
    path = project.directory / "machines/machines.json"
    before = path.read_text()
    machines = json.loads(before)
    machines["node-2"]["address"] = "10.98.0.300"
    path.write_text(json.dumps(machines))
    up(project, "machines", "infra")
    done = project.pulumi("preview", check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert 'pools.workers.nodesFrom["node-2"].address "10.98.0.300" is not' in said
    assert f'(in the output "workers" of the stack {INFRA})' in said
    path.write_text(before)
    up(project, "machines", "infra")
    project.pulumi("preview", "--expect-no-changes")


def test_one_that_is_taken_out_there_leaves_here(project: Project) -> None:
    pid = main_pid(project, "node-1")
    export(project, "node-1")
    project.up()
    assert set(nodes(project)) == {"node-1"}
    assert project.ssh("node-2", "systemctl is-active kubelet", check=False).strip() != "active"
    assert main_pid(project, "node-1") == pid
    project.pulumi("preview", "--expect-no-changes")


def test_a_destroy_finds_the_kubeconfig_there(project: Project) -> None:
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert nodes(project) == {}
    assert project.ssh("node-1", "systemctl is-active kubelet", check=False).strip() != "active"


def test_the_kubeconfig_is_nowhere_in_plain(project: Project) -> None:
    user = project.settings_of_kubeconfig()["users"][0]["user"]
    key = user["client-key-data"][-120:-20].encode()
    printed = "\n".join(project.transcript).encode()
    assert key not in printed
    states = [path for path in (project.directory / ".lab/pulumi").rglob("*") if path.is_file()]
    assert [path for path in states if key in path.read_bytes()] == []
    assert [path for path in states if b"machines" in path.read_bytes()] != []
    assert not any(key in line for line in project.command_lines.seen.copy())
