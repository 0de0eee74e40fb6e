"""How a node's bundle reaches its machine: brought as a file, checked, and run from there.

A command's stdin stands twice in the state of each node, so it has only the hash of the bundle and
the node's own lines. OpenSSH brings the bundle right before the command that installs it, and with
it what must not stand in a state at all: the bootstrap token of a node that joins. The bundle that
was installed stays on the machine, for the removal.
"""

import hashlib
import shlex
from dataclasses import dataclass, field, replace

from node_files.bundle import bundle, last_lines, own_lines, plain, shared_lines
from node_files.model import Cluster, Node
from node_files.systemd import NODE_IP, NODE_NAME

_BRING = (
    'set -eu; umask 077; mkdir -p "$1"; new=$1/brought; trap \'rm -f "$new".*\' EXIT;'
    ' cat >"$new.all" ||'
    ' { echo "error: can\'t write in $1, nothing was changed; free some space" >&2; exit 1; };'
    ' if [ "$(wc -c <"$new.all")" -ne "$2" ]; then'
    ' echo "error: the connection ended early, nothing was changed; run again" >&2; exit 1; fi;'
    ' head -n "$3" "$new.all" >"$new.bundle"; tail -n "+$(($3 + 1))" "$new.all" >"$new.join";'
    ' rm -f "$new.all";'
    ' sync "$new.bundle" "$new.join"; mv -f "$new.bundle" "$new";'
    ' if [ -s "$new.join" ]; then mv -f "$new.join" "$new-join"; fi'
)
# Without a list of what was written there is nothing to remove: a machine that was reinstalled.
_REMOVE = (
    "cd {state} 2>/dev/null || exit 0;"
    " [ ! -e bundle ] || exec timeout -k 10 240 sh ./bundle remove_installed;"
    ' [ ! -e manifest ] || {{ echo "error: $PWD/bundle is gone; put {node} back, raise its repair,'
    ' run pulumi up, and remove it then" >&2; exit 1; }}'
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What is brought to a machine: a command, and the text on its stdin."""

    command: str
    stdin: str = field(repr=False)


def deliver(cluster: Cluster, node: Node, join: str = "") -> Delivery:
    """Return how a node's bundle is brought, and what `join_bundle` returned if it is to join.

    Raises:
        ValueError: as `bundle`.
    """
    return bring(node, bundle(cluster, node), join)


def bring(node: Node, bundle: str, join: str = "") -> Delivery:
    """Return how these texts are brought."""
    sizes = str(len(f"{bundle}{join}".encode())), str(bundle.count("\n"))
    words = ("sh", "-c", _BRING, "node_files", plain(node.paths.state), *sizes)
    return Delivery(command=shlex.join(words), stdin=bundle + join)


def install(node: Node) -> str:
    """Return the command that installs what was brought, with `known` on stdin."""
    return f"timeout -k 10 180 sh {plain(node.paths.state)}/brought install_brought"


def remove(node: Node) -> str:
    """Return the command that removes what was installed, with `known` on stdin."""
    text = _REMOVE.format(state=plain(node.paths.state), node=node.name)
    return shlex.join(("sh", "-c", text))


def join(node: Node) -> str:
    """Return the command that joins with what was brought.

    `join_bundle` says when it gives up. Its limit is for a script that hangs, longer than any such.
    """
    return f"timeout -k 10 4200 sh {plain(node.paths.state)}/brought-join join_brought"


def known(cluster: Cluster, node: Node) -> str:
    """Return what a stack's state knows of a node: the bundle's hash, and the node's own lines.

    Raises:
        ValueError: as `bundle`.
    """
    digest = hashlib.sha256(bundle(cluster, node).encode()).hexdigest()
    return "\n".join([f"bundle {digest}", *own_lines(node), "end", ""])


def shared(cluster: Cluster, node: Node) -> str:
    """Return the rest of the bundle: what a node has in common with others of its pool.

    Raises:
        ValueError: as `bundle`.
    """
    some = replace(node, name=NODE_NAME, addresses=(NODE_IP,))
    return "\n".join([*shared_lines(cluster, node), *last_lines(some), ""])
