"""cloud-init user data: valid, the same files, no secret unless asked for, and its script works."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import node_files
from node_files import Cluster, Node
from tests.unit.node_machine import Machine
from tests.unit.test_node_files import CASES, CLUSTER

TOKEN = "abcdef.0123456789abcdef"


def document(node: Node, cluster: Cluster = CLUSTER, token: str | None = None) -> dict[str, Any]:
    text = node_files.user_data(cluster, node, token)
    assert text.startswith("#cloud-config\n")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def written(node: Node, token: str | None = None) -> dict[str, dict[str, str]]:
    return {entry["path"]: entry for entry in document(node, token=token)["write_files"]}


@pytest.mark.parametrize("name", CASES)
def test_it_has_the_form_that_cloud_init_asks_for(name: str) -> None:
    found = document(CASES[name])
    assert set(found) == {"write_files", "runcmd"}
    for entry in found["write_files"]:
        assert set(entry) == {"path", "owner", "permissions", "content"}
        assert all(isinstance(value, str) for value in entry.values())
        assert len(entry["permissions"]) == 4
    assert all(isinstance(command, str) for command in found["runcmd"])


@pytest.mark.parametrize("name", CASES)
def test_its_files_are_those_of_a_node_but_for_the_name_and_the_address(name: str) -> None:
    node = CASES[name]
    unnamed = replace(node, name="@NODE_NAME@", addresses=("@NODE_IP@",))
    found = written(node)
    for file in node_files.files(CLUSTER, unnamed):
        path = f"{file.path}.in" if file.path == node.paths.arguments else file.path
        assert found[path]["content"] == file.content
        assert found[path]["permissions"] == file.mode
        assert found[path]["owner"] == f"{file.owner}:{file.group}"
    assert node.name not in str(found)
    assert node.addresses[0] not in str(found)


def test_a_directory_gets_its_owner_and_its_selinux_type() -> None:
    node = replace(
        CASES["default"],
        paths=replace(CASES["default"].paths, user="kube", group="kube", root_selinux_type="var_t"),
    )
    commands = document(node)["runcmd"]
    assert "install -d -m 0700 -o kube -g kube /var/lib/kubelet" in commands
    assert "[ ! -e /sys/fs/selinux/enforce ] || chcon -t var_t /var/lib/kubelet" in commands


def test_it_holds_no_token_and_names_the_file_of_one() -> None:
    found = written(CASES["default"])
    kubeconfig = yaml.safe_load(found["/etc/kubernetes/bootstrap-kubelet.conf"]["content"])
    assert kubeconfig["users"][0]["user"] == {"tokenFile": "/etc/kubernetes/bootstrap-token"}
    assert "/etc/kubernetes/bootstrap-token" not in found


def test_it_holds_the_token_where_one_is_given() -> None:
    found = written(CASES["default"], TOKEN)["/etc/kubernetes/bootstrap-token"]
    assert (found["content"], found["permissions"]) == (f"{TOKEN}\n", "0600")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which cloud-init has written the files; its kubelet joins when it starts."""
    machine = Machine(tmp_path)
    (tmp_path / "fake/bin/ip").unlink()  # the real one tells the way to this machine
    local = replace(CLUSTER, server="https://127.0.0.1:6443")
    found = document(machine.node(paths={"kubeconfig_acl": ("u:daemon:r",)}), local)
    for entry in found["write_files"]:
        path = Path(entry["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"])
        path.chmod(int(entry["permissions"], 8))
    for command in found["runcmd"][:-1]:
        subprocess.run(["sh", "-c", command], check=True)
    client = machine.path("lib/kubelet/pki/kubelet-client-current.pem")
    (tmp_path / "fake/on-start").write_text(
        f"echo certificate >{client}; : >{tmp_path}/etc/kubelet.conf\n"
    )
    (tmp_path / "fake/bin/uname").write_text("#!/bin/sh\necho Web-1.Example.org\n")
    (tmp_path / "fake/bin/uname").chmod(0o755)
    (tmp_path / "start").write_text(found["runcmd"][-1].replace(" 1800 ", " 1 "))
    return machine


def start(machine: Machine) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", machine.path("start").read_text()],
        env=machine.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_machine_names_itself_and_starts_its_kubelet(machine: Machine) -> None:
    token = machine.path("etc/bootstrap-token")
    token.write_text(TOKEN)
    done = start(machine)
    assert (done.returncode, done.stdout) == (0, "joined as web-1.example.org\n")
    arguments = machine.path("etc/kubelet.env")
    assert "--hostname-override=web-1.example.org \\\n--node-ip=127.0.0.1 \\\n" in (
        arguments.read_text()
    )
    assert arguments.stat().st_mode & 0o777 == 0o600
    assert machine.calls()[-2:] == ["enable kubelet.service", "restart kubelet.service"]
    assert not token.exists()
    acl = subprocess.run(
        ["getfacl", "-cp", str(machine.path("etc/kubelet.conf"))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "user:daemon:r--" in acl


def test_a_machine_without_a_token_says_where_to_put_one(machine: Machine) -> None:
    done = start(machine)
    assert done.returncode == 1
    assert f"no bootstrap token appeared in {machine.path('etc/bootstrap-token')}" in done.stderr
    assert "restart kubelet.service" not in machine.calls()


def test_a_kubelet_without_a_certificate_is_reported(machine: Machine) -> None:
    machine.path("fake/on-start").unlink()
    machine.path("etc/bootstrap-token").write_text(TOKEN)
    done = start(machine)
    assert done.returncode == 1
    assert "the kubelet got no certificate within 1 s" in done.stderr


@pytest.mark.parametrize("name", ["localhost", "a_b", "-a", "a/b", ""])
def test_a_host_name_that_is_no_nodes_name_is_refused(machine: Machine, name: str) -> None:
    machine.path("fake/bin/uname").write_text(f"#!/bin/sh\necho '{name}'\n")
    done = start(machine)
    assert done.returncode == 1
    assert f'the host name "{name}" is not a valid name of a Node' in done.stderr
    assert not machine.path("etc/kubelet.env").exists()


def test_a_host_name_that_is_no_label_is_refused(machine: Machine) -> None:
    machine.path("fake/bin/uname").write_text(f"#!/bin/sh\necho 'n1.{'a' * 61}'\n")
    done = start(machine)
    assert done.returncode == 1
    assert "has more than 63 characters, which no Node takes" in done.stderr
    assert not machine.path("etc/kubelet.env").exists()


def test_it_can_run_again_after_the_join(machine: Machine) -> None:
    machine.path("etc/bootstrap-token").write_text(TOKEN)
    assert start(machine).returncode == 0
    assert start(machine).returncode == 0
