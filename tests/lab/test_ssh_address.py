"""SSH reaches machines elsewhere than their Nodes are: `sshAddress`.

The machines get second addresses in a network that this computer does not reach, and the Node of
node-2 is there. SSH goes to its usual address, then to a name that only a bastion knows, then to
ports of 127.0.0.1, as with Vagrant.

Takes out what has joined before, and ends with nothing joined. The tests tell one story and run in
their order.
"""

import contextlib
import copy
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from lab import network, ssh
from tests.lab.kubelet import is_alive, main_pid, nodes, outputs
from tests.lab.project import Project
from tests.lab.test_dead_machine import listens
from tests.lab.test_failures import CONTROL_PLANE, PREFIX, nodes_of, until
from tests.lab.test_join import ADDRESSES, FILES, FIRST_NODES, ssh_logins
from tests.lab.test_leave import take_out

pytestmark = pytest.mark.lab

NODE, BASTION = "node-2", "node-1"
INSIDE = "10.98.1.0/24"  # beside the lab's own
INNER = {"cp-1": "10.98.1.10", BASTION: "10.98.1.11", NODE: "10.98.1.12"}
OUTER = {"cp-1": CONTROL_PLANE} | {name: ADDRESSES[name] for name in FIRST_NODES}
NAME = "two.inside.example.org"  # which only the bastion knows
HERE = "127.0.0.1"
# Of each file which file it is, and when it was written.
LOOK = f"stat -c '%n %i %y' $(find {' '.join(FILES)} -maxdepth 0 -type f)"


@pytest.fixture(scope="module")
def ports(project: Project) -> Iterator[dict[str, int]]:
    """Ports of 127.0.0.1 that lead to the machines' sshds, by the names of the machines."""
    lab = project.directory / ".lab"
    *words, host = ssh.command(OUTER[BASTION], lab / "id_ed25519", lab / "known_hosts")
    with contextlib.ExitStack() as stack:
        found = {}
        for name, address in OUTER.items():
            listening = stack.enter_context(socket.create_server((HERE, 0)))
            found[name] = listening.getsockname()[1]
            words += ["-L", f"{HERE}:{found[name]}:{address}:22"]
    forwarding = subprocess.Popen(
        [*words, "-N", "-o", "ExitOnForwardFailure=yes", host], stdin=subprocess.DEVNULL
    )
    try:
        until(lambda: all(listens(HERE, port) for port in found.values()))
        yield found
    finally:
        forwarding.terminate()
        forwarding.wait(10)


@pytest.fixture(scope="module", autouse=True)
def a_network_of_their_own(project: Project, ports: dict[str, int]) -> Iterator[None]:
    """The network, and settings with two nodes, one of which has its Node there.

    The ports end after it: what is reached by them leaves by them.
    """
    assert ports.keys() == OUTER.keys()
    original = project.settings()
    project.pulumi("destroy", "--yes", "--skip-preview")
    with contextlib.ExitStack() as stack:
        stack.callback(project.write_settings, original)
        stack.callback(network.ip, "route", "del", "unreachable", INSIDE, check=False)
        network.ip("route", "replace", "unreachable", INSIDE)
        for name, address in INNER.items():
            one = f"{address}/24 dev host0"
            stack.callback(project.ssh, name, f"ip address del {one}", check=False)
            project.ssh(name, f"ip address replace {one}")
        stack.callback(project.ssh, BASTION, f"sed -i '/{NAME}/d' /etc/hosts", check=False)
        project.ssh(BASTION, f"echo '{INNER[NODE]} {NAME}' >>/etc/hosts")

        settings = copy.deepcopy(original)
        nodes_of(settings)[:] = [
            {"name": BASTION, "address": OUTER[BASTION]},
            {"name": NODE, "address": INNER[NODE], "sshAddress": OUTER[NODE]},
        ]
        project.write_settings(settings)
        yield
        project.pulumi("destroy", "--yes", "--skip-preview")


def host_key(project: Project, name: str) -> str:
    """A machine's key, as the lab's known_hosts file has it by the usual address."""
    known_hosts = (project.directory / ".lab/known_hosts").read_text().splitlines()
    keys = {line.split()[0]: line.split(maxsplit=1)[1] for line in known_hosts}
    return keys[OUTER[name]]


def look(project: Project) -> dict[str, Any]:
    """What no other way to the machines changes: processes, files, and Nodes."""
    pids = {name: main_pid(project, name) for name in FIRST_NODES}
    units = ("kube-apiserver", "kube-controller-manager")
    pids |= {unit: main_pid(project, "cp-1", unit) for unit in units}
    assert all(pids.values())
    files = {name: project.ssh(name, LOOK) for name in FIRST_NODES}
    assert all("config.yaml" in text and "kubelet.conf" in text for text in files.values())
    return {"pids": pids, "files": files, "nodes": nodes(project)}


def is_settled(project: Project) -> None:
    """The machines are as the settings say, which OpenSSH sees too, and nothing is left to do."""
    project.pulumi("preview", "--expect-no-changes")
    done = project.run("./ktb", "diff")
    assert (done.stdout, done.stderr) == ("", "")
    for name in FIRST_NODES:
        is_alive(project, name)


def test_a_machine_joins_whose_node_is_where_ssh_can_not_go(project: Project) -> None:
    assert not listens(INNER[NODE], 22)
    done = project.up()
    said = done.stdout + done.stderr
    assert f"{NODE}: joined; port 10250 is not reachable from here" in said

    addresses = project.get("node", NODE)["status"]["addresses"]
    assert [a["address"] for a in addresses if a["type"] == "InternalIP"] == [INNER[NODE]]
    certificate = "/var/lib/kubelet/pki/kubelet-server-current.pem"
    names = project.ssh(NODE, f"openssl x509 -noout -ext subjectAltName -in {certificate}")
    assert f"IP Address:{INNER[NODE]}" in names
    assert OUTER[NODE] not in names
    # The API server verifies that certificate, at that address.
    assert project.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/healthz").stdout == "ok"
    assert outputs(project)["record"]["nodes"][NODE]["address"] == INNER[NODE]
    is_settled(project)


def test_a_bastion_looks_up_the_name_of_a_machine(project: Project) -> None:
    settings = project.settings()
    nodes_of(settings)[1].update(
        sshAddress=NAME,
        hostKey=host_key(project, NODE),
        ssh={"bastion": {"address": OUTER[BASTION]}},
    )
    project.write_settings(settings)

    assert project.preview() == {f"{NODE}-files": {"update"}, f"{NODE}-member": {"update"}}
    before, logins = look(project), ssh_logins(project, BASTION)
    project.up()
    # One to bring the files and one to compare them, beside the login that counts.
    assert ssh_logins(project, BASTION) - logins == 3
    assert look(project) == before
    is_settled(project)


@pytest.mark.long
def test_three_machines_behind_one_address_are_told_apart_by_their_ports(
    project: Project, ports: dict[str, int]
) -> None:
    settings = project.settings()
    hosts = settings["config"][f"{PREFIX}controlPlane"]["hosts"]
    for machine in (*hosts, *nodes_of(settings)):
        machine.update(
            sshAddress=HERE,
            hostKey=host_key(project, machine["name"]),
            ssh={"port": ports[machine["name"]]},
        )
    project.write_settings(settings)

    changes = {f"{name}-{part}" for name in FIRST_NODES for part in ("files", "member")}
    assert project.preview() == {name: {"update"} for name in (*changes, "cp-1-flags")}
    before = look(project)
    project.up()
    assert look(project) == before
    is_settled(project)


@pytest.mark.long
def test_two_machines_at_one_port_are_refused(
    project: Project, settings: dict[str, Any], ports: dict[str, int]
) -> None:
    nodes_of(settings)[1]["ssh"]["port"] = ports[BASTION]
    project.write_settings(settings)
    done = project.pulumi("preview", check=False)
    assert done.returncode != 0
    assert (
        f'pools.workers.nodes[1].sshAddress "{HERE}" with the SSH port {ports[BASTION]} is already'
        " used by pools.workers.nodes[0]"
    ) in done.stdout + done.stderr


def test_a_machine_that_is_taken_out_is_still_reached_there(project: Project) -> None:
    pid = main_pid(project, BASTION)
    take_out(project, NODE)
    project.up()
    assert set(nodes(project)) == {BASTION}
    assert project.ssh(NODE, f"ls -d {' '.join(FILES)} 2>/dev/null", check=False) == ""
    assert project.ssh(NODE, "systemctl is-active kubelet", check=False).strip() != "active"
    assert main_pid(project, BASTION) == pid
    project.pulumi("preview", "--expect-no-changes")
