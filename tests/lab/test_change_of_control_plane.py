"""Another name for a control-plane host, and a host that is down: neither is a node's affair.

Begins and ends with nothing joined; the tests run in their order.
"""

from typing import Any

import pytest

from tests.lab.kubelet import is_alive, main_pid, nodes
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, dead_machine, nodes_of
from tests.lab.test_join import FIRST_NODES

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]

# What TLS bootstrapping needs of each program, as the README of the lab says it lacks at first.
FLAGS = {
    "kube-apiserver": {"--enable-bootstrap-token-auth=true"},
    "kube-controller-manager": {
        "--cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt",
        "--cluster-signing-key-file=/etc/kubernetes/pki/ca.key",
        "--controllers=*,bootstrapsigner,tokencleaner",
    },
}


def control_plane(settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = settings["config"][f"{PREFIX}controlPlane"]
    return found


def arguments(project: Project, program: str) -> set[str]:
    """What the program runs with, as the kernel tells it."""
    pid = main_pid(project, "cp-1", program)
    return set(project.ssh("cp-1", f"tr '\\0' '\\n' </proc/{pid}/cmdline").splitlines())


@pytest.mark.parametrize("name", ["cp-main", "cp-1"])
def test_a_renamed_control_plane_host_keeps_its_flags(
    project: Project, settings: dict[str, Any], name: str
) -> None:
    before = {program: main_pid(project, "cp-1", program) for program in FLAGS}
    control_plane(settings)["hosts"][0]["name"] = name
    project.write_settings(settings)
    project.up()

    assert {program: main_pid(project, "cp-1", program) for program in FLAGS} == before
    for program, flags in FLAGS.items():
        assert flags <= arguments(project, program), program
    # What the next start would run with.
    for program, flags in FLAGS.items():
        shown = project.ssh("cp-1", f"systemctl show --property ExecStart {program}")
        assert all(flag in shown for flag in flags), program
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_a_control_plane_host_that_is_down_keeps_no_new_node_out(
    project: Project, settings: dict[str, Any]
) -> None:
    """With another SSH key for all machines, so that something is changed on each of them."""
    left = nodes_of(settings).pop()
    project.write_settings(settings)
    project.up()
    second = project.directory / ".lab/second_key"
    project.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(second))
    public = second.with_suffix(".pub").read_text().strip()
    for machine in ("cp-1", *FIRST_NODES):
        project.ssh(machine, f"echo '{public}' >>/root/.ssh/authorized_keys")
    pid = main_pid(project, "node-1")

    settings["config"][f"{PREFIX}ssh"]["privateKeyPath"] = ".lab/second_key"
    down = dead_machine(project, "cp-2")
    control_plane(settings)["hosts"].append(down)
    nodes_of(settings).append(left)
    project.write_settings(settings)
    done = project.up(check=False)

    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "cp-2-flags" in said
    assert "Traceback" not in said
    assert "unhandled exception" not in said
    assert set(nodes(project)) == set(FIRST_NODES)
    is_alive(project, left["name"])
    assert main_pid(project, "node-1") == pid

    control_plane(settings)["hosts"].remove(down)
    project.write_settings(settings)
    project.up()
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_the_first_key_again_connects_to_no_kubelet(project: Project) -> None:
    pids = {node: main_pid(project, node) for node in FIRST_NODES}
    project.up()
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    project.pulumi("preview", "--expect-no-changes")
    for path in project.directory.glob(".lab/second_key*"):
        path.unlink()
    for machine in ("cp-1", *FIRST_NODES):
        project.ssh(machine, "sed -i '$d' /root/.ssh/authorized_keys")
