"""The example of a program that makes machines and joins them, as docs/components.md says.

Runs by name after the tests that need joined nodes: it takes out what has joined before, and ends
with nothing joined. The tests tell one story and run in their order.
"""

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from tests.lab.kubelet import is_alive, main_pid, nodes, outputs
from tests.lab.project import CHECKOUT, Project
from tests.lab.test_join import ADDRESSES, FIRST_NODES, ssh_logins

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def example(project: Project) -> Iterator[Project]:
    """The example with an environment of its own, in which the project is installed."""
    project.pulumi("destroy", "--yes", "--skip-preview")
    directory = project.directory / "examples/one-program"
    found = Project(
        directory, project.env, project.transcript, project.token_secrets, project.command_lines
    )
    project.run(".venv/bin/python", "-m", "venv", f"{directory}/.venv")
    # What it depends on is that of the checkout, which is there already.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(CHECKOUT / ".venv")}))
    (site,) = directory.glob(".venv/lib/python*/site-packages")
    (site / "checkout.pth").write_text(f"{packages.resolve()}\n")
    found.run(".venv/bin/pip", "install", "--quiet", "--no-deps", "-r", "requirements.txt")
    found.pulumi("stack", "init", "try")
    yield found
    found.pulumi("destroy", "--yes", "--skip-preview")
    found.pulumi("stack", "rm", "--yes")


def test_a_preview_shows_the_join_of_a_machine_that_is_not_made_yet(example: Project) -> None:
    printed = example.pulumi("preview", "--json", "--diff").stdout
    changes = {step["urn"].rpartition("::")[2]: step for step in json.loads(printed)["steps"]}
    assert {"node-1-vm", "node-1-token", "node-1-files", "node-1-member"} < changes.keys()
    assert {step["op"] for step in changes.values()} == {"create"}
    assert changes["node-1-files"]["newState"]["inputs"]["stdin"] == pulumi.runtime.rpc.UNKNOWN
    assert "198.18." not in printed
    said = example.pulumi("preview").stdout
    assert "node-1: the address or another value is not known before the machine is made" in said


def test_what_the_program_makes_joins_in_the_same_run(example: Project, project: Project) -> None:
    example.up()
    assert set(nodes(project)) == {"node-1"}
    is_alive(project, "node-1")
    assert outputs(example)["nodes"]["workers"]["node-1"]["address"] == ADDRESSES["node-1"]
    example.pulumi("preview", "--expect-no-changes")


def test_one_machine_more_is_one_join_more_and_nothing_else(
    example: Project, project: Project
) -> None:
    example.pulumi("config", "set", "machines", "2")
    changes = example.preview()
    assert {"node-2-vm", "node-2-token", "node-2-files", "node-2-member"} < changes.keys()
    assert not {"node-1-vm", "node-1-files", "node-1-member"} & changes.keys()

    pid, logins = main_pid(project, "node-1"), ssh_logins(project, "node-1")
    example.up()
    assert ssh_logins(project, "node-1") - logins == 1  # this look itself
    assert set(nodes(project)) == set(FIRST_NODES)
    is_alive(project, "node-2")
    assert main_pid(project, "node-1") == pid
    example.pulumi("preview", "--expect-no-changes")


def test_a_machine_goes_only_after_its_node_has_left(example: Project, project: Project) -> None:
    pid = main_pid(project, "node-1")
    example.pulumi("config", "set", "machines", "1")
    said = example.up().stdout
    assert set(nodes(project)) == {"node-1"}
    assert project.ssh("node-2", "systemctl is-active kubelet", check=False).strip() != "active"
    order = ["node-2-member deleted", "node-2-files deleted", "node-2-vm deleting"]
    assert [said.index(step) for step in order] == sorted(said.index(step) for step in order)
    assert main_pid(project, "node-1") == pid
    example.pulumi("preview", "--expect-no-changes")


def test_a_destroyed_stack_leaves_nothing(example: Project, project: Project) -> None:
    example.pulumi("destroy", "--yes", "--skip-preview")
    assert nodes(project) == {}
    assert project.ssh("node-1", "systemctl is-active kubelet", check=False).strip() != "active"
    assert example.state_resources() == []
