"""How a node's bundle and its join reach its machine.

A command's stdin stands twice in the state of each node, so it has only the hash of the bundle and
the node's own lines. OpenSSH brings the bundle right before the command that installs it. The
bundle that was installed stays on the machine, for the removal.

The bootstrap token must not stand in a state at all: OpenSSH runs the script that joins.
"""

import hashlib
import shlex
from dataclasses import dataclass, field, replace

from node_files.bundle import (
    DEFAULT_JOIN_LIMIT_S,
    QUOTE,
    bundle,
    join_bundle,
    last_lines,
    own_lines,
    plain,
    shared_lines,
)
from node_files.bundle_text import RUNNING, values
from node_files.model import Cluster, Node
from node_files.registration import without_registration
from node_files.scripts import MARKER, command
from node_files.systemd import NODE_IP, NODE_NAME

BRING_LIMIT_S = 90
# For the checks, the lock and the writing, beside the proofs of the new files and of the former.
INSTALL_LIMIT_S = 180
# For a script that hangs: longer than any that ends by itself.
MARGIN_S = 60
KILL_S = 10  # after which `command` kills what does not end

# What is brought is run as root: nobody else may write there.
_BRING = (
    'set -eu; umask 077; fail() { printf "error: %s, nothing was changed; %s\\n" "$1" "$2" >&2;'
    ' exit 1; }; mkdir -p "$1"; [ -O "$1" ] ||'
    ' fail "$1 belongs to another user" "correct its owner"; case $(ls -ldL "$1") in'
    ' ?????w*|????????w*) fail "others may write in $1" "correct its mode";; esac;'
    " new=$1/brought.new.$$; trap 'rm -f \"$new\"' EXIT;"
    ' cat >"$new" || fail "can\'t write in $1" "free some space";'
    ' [ "$(wc -c <"$new")" -eq "$2" ] || fail "the connection ended early" "run again";'
    ' sync "$new"; mv -f "$new" "$1/brought"'
)
# Without a list of what was written there is nothing to remove: a machine that was reinstalled.
_REMOVE = (
    'set -eu; fail() {{ printf \'error: %s; %s\\n\' "$1" "$2" >&2; exit 1; }};'
    " cd {state} 2>/dev/null || {{ [ ! -e {state} ] && ls / >/dev/null || fail"
    " \"can't enter {state}, nothing was removed\" 'make it readable and run again'; exit 0; }};"
    " [ ! -e bundle ] || exec timeout -k 10 240 sh ./bundle remove_installed;"
    ' [ ! -e manifest ] || fail "$PWD/bundle is gone" "put {node} back, raise its repair,'
    ' run pulumi up, and remove it then"; rm -f brought*; cd /; rmdir {state} 2>/dev/null || :'
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What is brought to a machine: a command, and the text on its stdin."""

    command: str
    stdin: str = field(repr=False)
    limit_s: float = BRING_LIMIT_S


def deliver(cluster: Cluster, node: Node) -> Delivery:
    """Return how a node's bundle is brought.

    Raises:
        ValueError: as `bundle`.
    """
    return bring(node, bundle(cluster, node))


def bring(node: Node, bundle: str) -> Delivery:
    """Return how this bundle is brought."""
    size = str(len(bundle.encode()))
    words = ("sh", "-c", _BRING, "node_files", plain(node.paths.state), size)
    return Delivery(command=shlex.join(words), stdin=bundle)


def join(
    cluster: Cluster,
    node: Node,
    token_id: str,
    token_secret: str,
    *,
    limit_s: int = DEFAULT_JOIN_LIMIT_S,
) -> Delivery:
    """Return how a node joins; `limit_s` is as in `join_bundle`."""
    text = join_bundle(cluster, node, token_id, token_secret, limit_s=limit_s)
    # The script gives up by itself, and may first wait for one that an interrupted run has left.
    longest_s = 2 * (limit_s + MARGIN_S) + KILL_S
    return Delivery(
        command=command(longest_s, "join"), stdin=text, limit_s=longest_s + BRING_LIMIT_S
    )


def install(node: Node) -> str:
    """Return the command that installs what was brought, with `known` on stdin."""
    limit_s = INSTALL_LIMIT_S + 2 * node.health_limit_s
    return f"timeout -k 10 {limit_s} sh {plain(node.paths.state)}/brought install_brought"


def remove(node: Node) -> str:
    """Return the command that removes what was installed, with `known` on stdin."""
    text = _REMOVE.format(state=plain(node.paths.state), node=node.name)
    return shlex.join(("sh", "-c", text))


def known(cluster: Cluster, node: Node) -> str:
    """Return what a stack's state knows of a node: the bundle's hash, and the node's own lines.

    If the bundle has labels or taints for a kubelet to register with, also a hash without them.

    Raises:
        ValueError: as `bundle`.
    """
    text = bundle(cluster, node)
    script, marker, data = text.partition(f"\n{MARKER}\n")
    running = script + marker + "\n".join(without_registration(data, QUOTE))
    second = [] if running == text else [f"{RUNNING} {_digest(running)}"]
    return "\n".join([f"bundle {_digest(text)}", *second, *own_lines(node), "end", ""])


def concerns_running_kubelet(before: str, after: str) -> bool:
    """Return whether two texts of `known` differ in more than what a kubelet registers with."""
    return _running(before) != _running(after)


def _running(known: str) -> str:
    words = values(known.split("\n"))
    return words.get(RUNNING) or words.get("bundle") or known


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shared(cluster: Cluster, node: Node) -> str:
    """Return the rest of the bundle: what a node has in common with others of its pool.

    Raises:
        ValueError: as `bundle`.
    """
    some = replace(node, name=NODE_NAME, addresses=(NODE_IP,))
    return "\n".join([*shared_lines(cluster, node), *last_lines(some), ""])
