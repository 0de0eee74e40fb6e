"""cloud-init user data: the same files for machines that join by themselves.

The settings don't know the names of such machines, so a small script fills in each machine's name
and address at its first boot. The bootstrap token is a file beside the bootstrap kubeconfig.
Whoever creates the machine writes it, unless the user data has to hold it.
Format: https://cloudinit.readthedocs.io/en/latest/reference/modules.html (write_files, runcmd)
"""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import yaml

from node_files.bundle import directories, files
from node_files.kubeconfig import token_file_kubeconfig
from node_files.model import Cluster, Directory, File, Node
from node_files.systemd import NODE_IP, NODE_NAME

LIMIT_S = 1800  # to wait for the token, and then for the certificate


def user_data(cluster: Cluster, node: Node, token: str | None = None) -> str:
    """Return the user data for a node whose name and addresses are not known yet.

    It is a secret if a token is given. Otherwise it holds no secret.

    Raises:
        ValueError: as in `files`.
    """
    node = replace(node, name=NODE_NAME, addresses=(NODE_IP,))
    paths = node.paths
    token_path = f"{paths.bootstrap_kubeconfig.rpartition('/')[0]}/bootstrap-token"
    script = f"{paths.state}/start.sh"
    written = [
        replace(file, path=f"{file.path}.in") if file.path == paths.arguments else file
        for file in files(cluster, node)
    ]
    written.append(token_file_kubeconfig(cluster, node, token_path))
    text = resources.files("node_files").joinpath("cloud_init.sh").read_text()
    written.append(File(path=script, mode="0700", content=text))
    if token is not None:
        written.append(File(path=token_path, mode="0600", content=f"{token}\n"))
    document = {
        "write_files": [_entry(file) for file in written],
        "runcmd": [
            *_preparations(node, written),
            shlex.join(["sh", script, *_orders(cluster, node, token_path)]),
        ],
    }
    dumped = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1_000_000)
    return f"#cloud-config\n{dumped}"


def _preparations(node: Node, written: list[File]) -> Iterator[str]:
    """Yield the commands for what write_files can't do: directories, ACLs and SELinux types."""
    listed = directories(node)
    for d in listed:
        yield f"install -d -m {d.mode} -o {d.owner} -g {d.group} {d.path}"
    for file in written:
        if file.acl:
            yield shlex.join(["setfacl", "-m", ",".join(file.acl), file.path])
    dressed: list[File | Directory] = [*listed, *written]
    for entry in dressed:
        if entry.selinux_type:
            label = shlex.join(["chcon", "-t", entry.selinux_type, entry.path])
            yield f"[ ! -e /sys/fs/selinux/enforce ] || {label}"


def _orders(cluster: Cluster, node: Node, token_path: str) -> Iterator[str]:
    """Yield the arguments of cloud_init.sh; none of them is a secret."""
    paths = node.paths
    yield urlsplit(cluster.server).hostname or ""
    yield from (paths.arguments, token_path, f"{paths.certificates}/kubelet-client-current.pem")
    yield from (str(LIMIT_S), paths.kubeconfig, ",".join(paths.kubeconfig_acl))


def _entry(file: File) -> dict[str, Any]:
    return {
        "path": file.path,
        "owner": f"{file.owner}:{file.group}",
        "permissions": file.mode,
        "content": file.content,
    }


class _Dumper(yaml.SafeDumper):
    """Writes text of more than one line as it is, as a `|` block."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
