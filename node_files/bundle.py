"""What a node gets: the script, and its bundle of words and files.

A bundle has one word and its value on each line, and each line of a file after `| `, so that no
content can pass for anything else. People read it in a preview.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from node_files.kubeconfig import bootstrap_kubeconfig
from node_files.kubelet_configuration import health_urls, kubelet_configuration, to_yaml
from node_files.model import Cluster, Directory, Effect, File, Node
from node_files.scripts import script
from node_files.systemd import arguments_file, unit

PLAIN_PATH = re.compile(r"\A(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+\Z")
PLAIN_WORD = re.compile(r"\A[A-Za-z0-9_.:@-]+\Z")

# The checks in preflight.sh that the settings may skip. It also has `owner`, `acl` and `paths`,
# which can't be skipped: if they fail, the files can't be written.
CHECKS = (
    *("systemd", "kubelet", "version", "runtime", "server", "skew", "clock", "cgroup", "swap"),
    *("resolver", "port", "disk", "root", "address", "machine", "selinux", "unit", "files"),
)
CGROUP_V1_ENDS = 35  # the minor version from which failCgroupV1 is true by default
QUOTE = "| "  # before each line of a file
DROP_IN = "90-kubelet-tls-bootstrap.conf"  # after kubeadm's 10-kubeadm.conf

DEFAULT_JOIN_LIMIT_S = 180
FILES_SCRIPTS = (
    *("common.sh", "kubelet.sh", "files.sh", "delivery.sh", "looks.sh"),
    *("membership.sh", "change.sh", "removal.sh", "preflight.sh"),
)
# Each machine with systemd has them.
SYSTEMD_DIRECTORIES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def files(cluster: Cluster, node: Node) -> tuple[File, ...]:
    """Return every file of the node that holds no secret.

    Raises:
        ValueError: an override or an argument is not allowed; the message names it.
    """
    paths = node.paths
    configuration = to_yaml(kubelet_configuration(cluster, node))
    return (
        File(path=paths.ca, mode="0644", content=_with_end(cluster.ca_certificate)),
        File(path=paths.config, mode="0600", content=configuration),
        _arguments(node),
        _unit(node),
    )


def _arguments(node: Node) -> File:
    return File(path=node.paths.arguments, mode="0600", content=arguments_file(node))


def _unit(node: Node) -> File:
    return File(path=unit_path(node), mode="0600", content=unit(node), effect=Effect.UNIT)


def unit_path(node: Node) -> str:
    """Return the path of the unit or the drop-in that we write for kubelet.service."""
    path = node.paths.unit
    return f"{path}.d/{DROP_IN}" if node.unit_drop_in else path


def directories(node: Node) -> tuple[Directory, ...]:
    """Return the directories that the files and the kubelet need, parents first."""
    paths = node.paths
    listed = {
        parent: Directory(path=parent, mode="0755")
        for file in (
            *(paths.ca, paths.config, paths.kubeconfig, paths.bootstrap_kubeconfig),
            *(paths.arguments, unit_path(node)),
        )
        for parent in (file.rpartition("/")[0],)
        if parent not in SYSTEMD_DIRECTORIES
    }
    for private in (paths.certificates, paths.manifests):
        listed[private] = Directory(path=private, mode="0700")
    listed[paths.root] = Directory(
        path=paths.root,
        mode="0700",
        owner=paths.user,
        group=paths.group,
        selinux_type=paths.root_selinux_type,
    )
    return tuple(directory for _, directory in sorted(listed.items()))


def bundle(cluster: Cluster, node: Node) -> str:
    """Return the script that installs and removes, and its bundle. It holds no secret.

    Raises:
        ValueError: as in `files`, or a path has a character that is not allowed.
    """
    lines = [*shared_lines(cluster, node), *own_lines(node), *last_lines(node), "end", ""]
    return script("node_files", *FILES_SCRIPTS) + "\n".join(lines)


def shared_lines(cluster: Cluster, node: Node) -> list[str]:
    """Return the lines that nodes of a pool have in common, unless their settings differ.

    Raises:
        ValueError: as `bundle`.
    """
    paths, fields = node.paths, kubelet_configuration(cluster, node)
    lines = [
        f"state {plain(paths.state)}",
        f"kubelet {plain(paths.kubelet)} {node.version}",
        f"runtime {node.runtime_endpoint}",
        f"server {cluster.server} {plain(paths.ca)}",
        *_checks(fields, node),
        f"health {node.health_limit_s} {' '.join(health_urls(fields))}",
        f"made {plain(paths.kubeconfig)}",
        *_extras(paths.kubeconfig_acl),
        f"made {plain(paths.bootstrap_kubeconfig)}",
        f"certificates {plain(paths.certificates)}",
        *(["embed-ca"] if node.embed_ca else []),
        f"data {plain(paths.root)}",
    ]
    for d in directories(node):
        lines += [f"dir {d.mode} {_word(d.owner)} {_word(d.group)} {plain(d.path)}"]
        lines += _extras((), d.selinux_type)
    for file in files(cluster, node)[:-2]:
        lines += _file(file)
    return lines


def own_lines(node: Node) -> list[str]:
    """Return the lines that only this node has."""
    return [
        f"node {node.name}",
        *([f"stack {node.stack}"] if node.stack else []),
        f"generation {node.generation}",
        *([f"repair {node.repair}"] if node.repair else []),
        # As `ip address` writes them.
        f"addresses {' '.join(str(ip_address(address)) for address in node.addresses)}",
    ]


def last_lines(node: Node) -> list[str]:
    """Return the lines of the arguments and the unit that reads them, which is written last.

    They are the same for other nodes, except for name and addresses.

    Raises:
        ValueError: as `bundle`.
    """
    return [*_file(_arguments(node)), *_file(_unit(node))]


def join_bundle(
    cluster: Cluster,
    node: Node,
    token_id: str,
    token_secret: str,
    *,
    limit_s: int = DEFAULT_JOIN_LIMIT_S,
) -> str:
    """Return the script that joins, and what it reads. It holds the token, so it is a secret.

    `limit_s` is for how many seconds the machine waits for its two certificates.
    """
    paths = node.paths
    kubeconfig = bootstrap_kubeconfig(cluster, node, token_id, token_secret)
    lines = [
        f"name {node.name}",
        f"state {plain(paths.state)}",
        f"limit {limit_s}",
        f"kubeconfig {plain(paths.kubeconfig)}",
        f"certificates {plain(paths.certificates)}",
        f"ca {plain(paths.ca)}",
        f"server {cluster.server}",
        *_extras(paths.kubeconfig_acl),
        f"bootstrap {plain(kubeconfig.path)}",
        *_quoted(kubeconfig.content),
    ]
    return script("node_files", "common.sh", "kubelet.sh", "join.sh") + "\n".join(
        [*lines, "end", ""]
    )


def _checks(fields: Mapping[str, Any], node: Node) -> Iterator[str]:
    """Yield what the checks on the machine need, and which of them to leave out.

    `skip` means that the settings say so, `without` that the check does not matter to this
    kubelet, because its configuration (`fields`) allows what the check would refuse.
    """
    resolver = str(fields.get("resolvConf", "/etc/resolv.conf"))
    yield f"resolver {plain(resolver)}" if resolver else "without resolver"
    minor = int(node.version.partition(".")[2])
    if not fields.get("failCgroupV1", minor >= CGROUP_V1_ENDS):
        yield "without cgroup"
    if not fields.get("failSwapOn", True):
        yield "without swap"
    for name in node.skip_checks:
        if name not in CHECKS:
            raise ValueError(f"{name!r} is not a check that can be skipped: {', '.join(CHECKS)}")
        yield f"skip {name}"


def _file(file: File) -> Iterator[str]:
    owner = f"{_word(file.owner)} {_word(file.group)}"
    yield f"file {file.mode} {owner} {file.effect} {plain(file.path)}"
    yield from _extras(file.acl, file.selinux_type)
    yield from _quoted(file.content)


def _extras(acl: tuple[str, ...], selinux_type: str = "") -> Iterator[str]:
    yield from (f"acl {_word(entry)}" for entry in acl)
    if selinux_type:
        yield f"selinux {_word(selinux_type)}"


def _quoted(content: str) -> Iterator[str]:
    # Not splitlines: it also splits at characters that don't end a line for the shell.
    yield from (
        f"{QUOTE}{line}" if line else "|" for line in content.removesuffix("\n").split("\n")
    )


def plain(path: str) -> str:
    """Return a path that the shell and the scripts read as it is.

    Raises:
        ValueError: it is another one; says what to do.
    """
    if not PLAIN_PATH.match(path) or ".." in path:
        raise ValueError(
            f"the path {path!r} is not absolute, or has characters other than letters, digits"
            " and _ . @ + -; give another path"
        )
    return path


def _word(text: str) -> str:
    if not PLAIN_WORD.match(text):
        raise ValueError(
            f"{text!r} is not the name of a user, a group or an SELinux type, nor an ACL entry such"
            " as u:kube:r; use only letters, digits and _ . : @ -"
        )
    return text


def _with_end(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
