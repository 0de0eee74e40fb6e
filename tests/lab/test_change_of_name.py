"""A machine has one owner: what becomes of it when the settings give it another node's name.

Begins and ends with nothing joined; the tests tell one story and run in their order.
"""

from typing import Any

import pytest

from tests.lab.kubelet import is_alive, main_pid, nodes
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, failed, nodes_of
from tests.lab.test_join import FILES, FIRST_NODES

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]

STALL_S = 20
# What a machine's node owns there: a refused `pulumi up` changes none of it.
LOOK = (
    "find /etc/kubernetes /var/lib/kubelet-tls-bootstrap /var/lib/kubelet/config.yaml"
    " /etc/systemd/system/kubelet.service -type f ! -name lock"
    " -exec stat -c '%n %i %y' {} + | sort"
)


def look(project: Project) -> dict[str, tuple[int, str]]:
    return {node: (main_pid(project, node), project.ssh(node, LOOK)) for node in FIRST_NODES}


def refusals(said: str, owner: str, other: str) -> bool:
    """Whether it is said whose machine it is, and how to give it to the other in two runs."""
    told = (
        f"this machine is the node {owner}; to make it {other}, remove {owner} from the settings"
        f" and run pulumi up, then add {other} and run it again"
    )
    return told in said


def test_a_machine_that_was_only_renamed_in_the_settings_keeps_its_owner(
    project: Project, settings: dict[str, Any]
) -> None:
    before, uids = look(project), nodes(project)
    nodes_of(settings)[1]["name"] = "node-9"
    said = failed(project, settings, stall_s=STALL_S)

    assert refusals(said, "node-2", "node-9")
    assert "Traceback" not in said
    assert look(project) == before
    assert nodes(project) == uids
    is_alive(project, "node-2")


def test_the_name_changed_back_is_all_it_takes(project: Project) -> None:
    """Although a refresh gives what the stack has of the machine to the refused name."""
    before, uids = look(project), nodes(project)
    original = project.settings()
    renamed = project.settings()
    nodes_of(renamed)[1]["name"] = "node-9"
    renamed["config"][f"{PREFIX}stallSeconds"] = STALL_S
    project.write_settings(renamed)
    assert project.up("--refresh", "--run-program", check=False).returncode != 0
    assert "node-9-files" in project.state_resources()
    assert look(project) == before
    project.write_settings(original)
    project.up()
    assert look(project) == before
    assert nodes(project) == uids
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_two_nodes_whose_addresses_are_swapped_keep_their_machines(
    project: Project, settings: dict[str, Any]
) -> None:
    before, uids = look(project), nodes(project)
    first, second = nodes_of(settings)[:2]
    first["address"], second["address"] = second["address"], first["address"]
    said = failed(project, settings, stall_s=STALL_S)

    assert refusals(said, "node-1", "node-2")
    assert refusals(said, "node-2", "node-1")
    assert "Traceback" not in said
    assert look(project) == before
    assert nodes(project) == uids
    for node in FIRST_NODES:
        is_alive(project, node)


@pytest.mark.long
def test_the_addresses_swapped_back_is_all_it_takes(project: Project) -> None:
    before, uids = look(project), nodes(project)
    project.up()
    assert look(project) == before
    assert nodes(project) == uids
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_two_runs_rename_a_machine(project: Project, settings: dict[str, Any]) -> None:
    """As the refusal says; and then back, which is the same."""
    entry = nodes_of(settings).pop(1)
    for name in ("node-9", "node-2"):
        project.write_settings(settings)
        project.up()
        assert set(nodes(project)) == {"node-1"}
        nodes_of(settings).append({**entry, "name": name})
        project.write_settings(settings)
        project.up()
        assert set(nodes(project)) == {"node-1", name}
        is_alive(project, name)
        nodes_of(settings).pop()


def test_a_machine_that_was_reinstalled_under_a_new_name_joins_in_one_run_and_stays(
    project: Project, settings: dict[str, Any]
) -> None:
    project.lab("reinstall", "node-2", "--keep-host-key")
    nodes_of(settings)[1]["name"] = "node-9"
    project.write_settings(settings)
    project.up()

    assert set(nodes(project)) == {"node-1", "node-9"}
    pid = main_pid(project, "node-2")  # the machine's own name is still that
    assert pid > 0
    printed = project.ssh("node-2", f"stat -c '%n %a %U:%G' {' '.join(FILES)}")
    assert dict(line.split(" ", 1) for line in printed.splitlines()) == FILES
    project.pulumi("preview", "--expect-no-changes")
    is_alive(project, "node-9")
    assert main_pid(project, "node-2") == pid


def test_a_machine_that_was_reinstalled_with_a_new_host_key_joins_under_a_new_name(
    project: Project, settings: dict[str, Any]
) -> None:
    """What the state knows of the node that was there is a key that nobody has any more."""
    project.lab("reinstall", "node-2")
    project.write_settings(settings)
    project.up()

    assert set(nodes(project)) == {"node-1", "node-2"}
    is_alive(project, "node-2")
    project.pulumi("preview", "--expect-no-changes")
