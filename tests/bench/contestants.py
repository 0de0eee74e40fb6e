"""Four ways to copy the same files to the same two machines and start their kubelets.

Each is a command line that ends when its own work has ended. The rival ones get their files from
`node_files`, as the program does, and a token made beforehand; their CSRs are approved by a loop,
as an operator's script would do it (`approve_everything`).
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from node_files import Cluster, File, Node, bootstrap_kubeconfig, files


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine to join, and how to reach it."""

    name: str
    address: str
    files: tuple[File, ...]


@dataclass(frozen=True, kw_only=True)
class Access:
    """The SSH key and the pinned host keys that every contestant uses."""

    key: Path
    known_hosts: Path

    def options(self) -> list[str]:
        return [
            "-i", str(self.key), "-o", f"UserKnownHostsFile={self.known_hosts}",
            "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
        ]  # fmt: skip


def machine(cluster: Cluster, node: Node, token_id: str, token_secret: str) -> Machine:
    """The machine with every file that the program would write, the bootstrap kubeconfig too."""
    bootstrap = bootstrap_kubeconfig(cluster, node, token_id, token_secret)
    return Machine(
        name=node.name, address=node.addresses[0], files=(*files(cluster, node), bootstrap)
    )


def plain_ssh(directory: Path, access: Access, machines: list[Machine]) -> list[str]:
    """One ssh for each machine, side by side, that unpacks a tar and starts the kubelet."""
    lines = []
    for target in machines:
        root = directory / "ssh" / target.name
        _write_tree(root, target.files)
        ssh = shlex.join(["ssh", *access.options(), f"root@{target.address}"])
        start = shlex.quote(
            "tar -xf - -C / --no-same-owner --no-overwrite-dir"
            " && systemctl daemon-reload && systemctl enable --now kubelet"
        )
        lines.append(f"tar -C {shlex.quote(str(root))} -cf - . | {ssh} {start} &")
    return ["sh", "-c", "\n".join([*lines, "wait"])]


def pyinfra(directory: Path, access: Access, machines: list[Machine]) -> list[str]:
    """A pyinfra deploy: a `files.put` for each file, then the service."""
    operations = ["from pyinfra import host", "from pyinfra.operations import files, systemd"]
    for target in machines:
        operations.append(f"if host.name == {target.address!r}:")
        for number, file in enumerate(target.files):
            source = _write_file(directory / "pyinfra" / target.name / str(number), file)
            operations.append(
                f"    files.put(src={str(source)!r}, dest={file.path!r}, mode={file.mode!r},"
                " user='root', group='root')"
            )
    operations.append(
        "systemd.service(service='kubelet', running=True, enabled=True, daemon_reload=True)"
    )
    deploy = directory / "pyinfra" / "deploy.py"
    deploy.write_text("\n".join(operations) + "\n")
    inventory = directory / "pyinfra" / "inventory.py"
    data = {
        "ssh_user": "root",
        "ssh_key": str(access.key),
        "ssh_known_hosts_file": str(access.known_hosts),
    }
    hosts = [(target.address, data) for target in machines]
    inventory.write_text(f"machines = {hosts!r}\n")
    return [".venv-bench/bin/pyinfra", "--yes", str(inventory), str(deploy)]


def ansible(directory: Path, access: Access, machines: list[Machine]) -> list[str]:
    """An Ansible play: a `copy` task with a loop over the files, then `systemd_service`."""
    root = directory / "ansible"
    hosts: dict[str, object] = {}
    for target in machines:
        listed = []
        for number, file in enumerate(target.files):
            source = _write_file(root / target.name / str(number), file)
            listed.append({"src": str(source), "dest": file.path, "mode": file.mode})
        hosts[target.name] = {
            "ansible_host": target.address,
            "node_files": listed,
            "directories": sorted({file.path.rpartition("/")[0] for file in target.files}),
        }
    common = " ".join(access.options()[2:])
    inventory = {
        "all": {
            "hosts": hosts,
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(access.key),
                "ansible_ssh_common_args": common,
                "ansible_pipelining": True,
            },
        }
    }
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {
                    "ansible.builtin.file": {"path": "{{ item }}", "state": "directory"},
                    "loop": "{{ directories }}",
                },
                {
                    "ansible.builtin.copy": {
                        "src": "{{ item.src }}",
                        "dest": "{{ item.dest }}",
                        "mode": "{{ item.mode }}",
                    },
                    "loop": "{{ node_files }}",
                    "no_log": True,
                },
                {
                    "ansible.builtin.systemd_service": {
                        "name": "kubelet",
                        "state": "started",
                        "enabled": True,
                        "daemon_reload": True,
                    }
                },
            ],
        }
    ]
    (root / "inventory.yaml").write_text(yaml.safe_dump(inventory))
    (root / "play.yaml").write_text(json.dumps(play))
    return [
        ".venv-bench/bin/ansible-playbook", "-i", str(root / "inventory.yaml"),
        str(root / "play.yaml"),
    ]  # fmt: skip


def _write_file(path: Path, file: File) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.content)
    path.chmod(int(file.mode, 8))
    return path


def _write_tree(root: Path, listed: tuple[File, ...]) -> None:
    for file in listed:
        _write_file(root / file.path.lstrip("/"), file)
