"""A stack that an earlier release has made is taken over by one `pulumi up`.

Nothing may change on a machine or in the cluster but the defaults of approval: no kubelet restarts,
no file is written again, nobody joins once more. Begins and ends with nothing joined.
"""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.lab.project import CHECKOUT, Project
from tests.lab.test_join import FIRST_NODES, ready

pytestmark = pytest.mark.lab

EARLIER = {
    # Before the settings, the components and admission got rooms of their own.
    "scripts in the state": "080ff938bd73c808574ff2807b996230fba9b984",
    "a component for each token": "f47faa89752a6bdee58770374cac31b1c1ce481a",
    "tokens in the state": "aa1aa8935602277572bb02459620ed2568b649d3",
}
LOOK = (
    "systemctl show --property MainPID,ExecMainStartTimestampMonotonic kubelet;"
    " find /etc/kubernetes /var/lib/kubelet/config.yaml /var/lib/kubelet/pki"
    " /etc/systemd/system/kubelet.service -exec stat -c '%n %a %U:%G %Y %Z' {} + | sort;"
    " find /etc/kubernetes /etc/systemd/system/kubelet.service /var/lib/kubelet/config.yaml"
    " -type f -exec sha256sum {} + | sort"
)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("scripts in the state", marks=pytest.mark.long),
        pytest.param("a component for each token", marks=pytest.mark.long),
        "tokens in the state",
    ],
)
def earlier(project: Project, request: pytest.FixtureRequest) -> Iterator[Project]:
    """The earlier program with the same stack, lab and settings."""
    commit = EARLIER[request.param]
    listed = subprocess.run(
        ["git", "archive", commit], cwd=CHECKOUT, capture_output=True, check=False
    )
    assert listed.returncode == 0, (
        f"{listed.stderr.decode()}: this test needs the commit {commit}; fetch the whole history"
        " (git fetch --unshallow)"
    )
    directory = project.directory / "earlier"
    with tarfile.open(fileobj=io.BytesIO(listed.stdout)) as archive:
        archive.extractall(directory, filter="data")
    for name in (".venv", ".lab"):
        (directory / name).symlink_to(project.directory / name)
    made = replace(project, directory=directory)
    made.pulumi("stack", "select", "dev")
    yield made
    shutil.rmtree(directory)
    project.pulumi("destroy", "--yes", "--skip-preview")


def look(project: Project) -> dict[str, str]:
    """What is on each machine, and when it was last written."""
    return {node: project.ssh(node, LOOK) for node in FIRST_NODES}


def in_cluster(project: Project) -> dict[str, str]:
    """What the cluster holds of us, by name: the UID of each object."""
    kinds = "nodes,clusterrolebindings,clusterroles,certificatesigningrequests"
    listed = project.get(kinds, "--selector", "")["items"]
    return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["uid"] for o in listed}


def resources(project: Project) -> set[str]:
    return {r["urn"].rpartition("::")[2] for r in project.state()}


def test_one_up_takes_over_a_state_of_an_earlier_release(
    project: Project, earlier: Project
) -> None:
    earlier.up()
    nodes = project.get("nodes")["items"]
    assert {n["metadata"]["name"] for n in nodes if ready(n)} == set(FIRST_NODES)
    machines, cluster = look(project), in_cluster(project)

    before = resources(project)
    done = project.preview()
    others = {name: ops for name, ops in done.items() if ops - {"update"}}
    # The gate may look at all nodes once more: what makes it run was written down otherwise.
    others.pop("workers-gate", None)
    # The bindings by which nodes renew end with the last Node now.
    assert others.pop("rbac-end", {"create"}) == {"create"}
    # A node has had a component, and its join a command, which are taken out of the state. So has a
    # token, and two random halves: they go with its Secret, which is dead.
    of_nodes = {"", "-join", "-token-id", "-token-secret", "-token"}
    gone = {f"{node}{part}" for node in FIRST_NODES for part in of_nodes}
    gone |= {f"workers-token{half}" for half in ("-id", "-secret", "")}
    assert others.keys() <= gone
    assert all(ops == {"delete"} for ops in others.values()), done
    project.up()

    assert look(project) == machines
    assert in_cluster(project) == cluster
    after = resources(project)
    gone_provider = {name for name in before - after if name.startswith("default_")}  # of halves
    assert before - after - gone_provider == others.keys()
    # What the program knows of its last run is read by way of the engine itself.
    assert after - before <= {"default", "rbac-end"}
    (subject,) = project.get("clusterrolebinding", "auto-approve-csrs-for-group")["subjects"]
    assert subject["name"] == "system:bootstrappers:-auto-approve"
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_a_node_of_that_state_leaves_by_the_earlier_programs_own_command(
    project: Project, earlier: Project
) -> None:
    """Who updates the program and takes a node out in one step runs what the state holds."""
    project.pulumi("destroy", "--yes", "--skip-preview")
    earlier.up()
    settings = project.settings()
    nodes = settings["config"]["kubelet-tls-bootstrap:pools"]["workers"]["nodes"]
    original = project.settings()
    nodes[:] = [node for node in nodes if node["name"] != "node-2"]
    project.write_settings(settings)
    project.up()
    project.write_settings(original)
    (left,) = project.get("nodes")["items"]
    assert left["metadata"]["name"] == "node-1"
    assert ready(left)
    assert "inactive" in project.ssh("node-2", "systemctl is-active kubelet", check=False)
    assert project.ssh("node-2", "ls /etc/kubernetes 2>/dev/null | cat") in ("", "manifests\n")
