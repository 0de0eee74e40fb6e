"""A stack that an earlier release has made is taken over by one `pulumi up`.

Nothing may change on a machine or in the cluster: no kubelet restarts, no file is written again,
nobody joins once more. Begins and ends with nothing joined.
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

# The last release before the settings, the components and admission got rooms of their own.
EARLIER = "080ff938bd73c808574ff2807b996230fba9b984"
LOOK = (
    "systemctl show --property MainPID,ExecMainStartTimestampMonotonic kubelet;"
    " find /etc/kubernetes /var/lib/kubelet/config.yaml /var/lib/kubelet/pki"
    " /etc/systemd/system/kubelet.service -exec stat -c '%n %a %U:%G %Y %Z' {} + | sort;"
    " find /etc/kubernetes /etc/systemd/system/kubelet.service /var/lib/kubelet/config.yaml"
    " -type f -exec sha256sum {} + | sort"
)


@pytest.fixture(scope="module")
def earlier(project: Project) -> Iterator[Project]:
    """The earlier program with the same stack, lab and settings."""
    listed = subprocess.run(
        ["git", "archive", EARLIER], cwd=CHECKOUT, capture_output=True, check=False
    )
    assert listed.returncode == 0, (
        f"{listed.stderr.decode()}: this test needs the commit {EARLIER}; fetch the whole history"
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


@pytest.fixture(scope="module", autouse=True)
def nothing_joined_after(project: Project) -> Iterator[None]:
    yield
    project.pulumi("destroy", "--yes", "--skip-preview")


def look(project: Project) -> dict[str, str]:
    """What is on each machine, and when it was last written."""
    return {node: project.ssh(node, LOOK) for node in FIRST_NODES}


def in_cluster(project: Project) -> dict[str, str]:
    """What the cluster holds of us, by name: the UID of each object."""
    kinds = "nodes,clusterrolebindings,clusterroles,certificatesigningrequests"
    listed = project.get(kinds, "--selector", "")["items"]
    return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["uid"] for o in listed}


def test_one_up_takes_over_a_state_of_an_earlier_release(
    project: Project, earlier: Project
) -> None:
    earlier.up()
    nodes = project.get("nodes")["items"]
    assert {n["metadata"]["name"] for n in nodes if ready(n)} == set(FIRST_NODES)
    machines, cluster = look(project), in_cluster(project)

    before = {r["urn"] for r in project.state()}
    done = project.preview()
    replaced = {name for name, ops in done.items() if ops - {"update"}}
    # The gate looks at all nodes once more: what makes it run is written down otherwise.
    assert replaced == {"workers-gate"}, done
    project.up()

    assert look(project) == machines
    assert in_cluster(project) == cluster
    after = {r["urn"] for r in project.state()}
    assert before <= after
    # What the program knows of its last run is read by way of the engine itself.
    assert {urn.split("::")[2] for urn in after - before} <= {"pulumi:providers:pulumi"}
    project.pulumi("preview", "--expect-no-changes")


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
