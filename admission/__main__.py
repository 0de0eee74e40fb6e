"""`python -m admission gate`, which lets a pool's nodes in, and `leave`, which takes one out.

`serve` approves what joined nodes ask for later, `status` tells what there is. Progress goes to
stderr, a line an event; `gate` prints one JSON document to stdout.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from admission import pool_inventory
from admission.api_server.api import UNREACHABLE, UNTRUSTED, ApiError
from admission.api_server.connection import Cluster
from admission.gate.run import admit
from admission.inventory import read_orders
from admission.leave import kubeconfig_of_stack, leave
from admission.serving_certificate import look_at
from admission.status import status

DEFAULT_NAMESPACE = "kube-system"
DEFAULT_PORT = 10279
# Some causes and remedies; a message that a node wrote into its Node can have a megabyte.
LONGEST_LINE = 4000
DEFAULT_KUBECONFIG = "~/.kube/config"

REMEDIES = {
    401: "; the kubeconfig's credentials are not valid, or not any more: give others",
    403: "; give a kubeconfig whose user has this right",
}


def main() -> int:
    """Return the exit status: 0 when all is done, 1 with a message otherwise."""
    parser = argparse.ArgumentParser(prog="python -m admission", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("gate", help="admit the nodes of a pool; orders on stdin")
    leaving = commands.add_parser("leave", help="drain a node and delete its Node")
    leaving.add_argument("node")
    source = leaving.add_mutually_exclusive_group(required=True)
    source.add_argument("--kubeconfig", help="its path")
    source.add_argument("--stack-config", metavar="STACK", help="the stack whose secret it is")
    leaving.add_argument("--force", action="store_true", help="the machine is dead")
    serving = commands.add_parser("serve", help="approve the renewals of all pools' nodes")
    serving.add_argument("--kubeconfig", help="its path; in a pod, its ServiceAccount is used")
    serving.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="of Lease and inventories")
    serving.add_argument("--identity", default=socket.gethostname(), help="this replica's name")
    serving.add_argument("--port", type=int, default=DEFAULT_PORT, help="of health and metrics")
    looking = commands.add_parser("status", help="certificates, undecided requests, tokens")
    source = looking.add_mutually_exclusive_group()
    source.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG)
    source.add_argument("--stack-config", metavar="STACK", help="the stack whose secret it is")
    looking.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="of the inventories")
    looking.add_argument("--inventory", metavar="FILE", help="instead of those in the cluster")
    looking.add_argument("--json", action="store_true", help="for a program")
    arguments = parser.parse_args()
    try:
        return asyncio.run(_interruptible(_work(arguments)))
    except UNTRUSTED as error:
        say(f"error: {error}; correct the certificate-authority or the server in the kubeconfig")
    except ApiError as error:
        say(f"error: {error}{REMEDIES.get(error.status, '')}")
    except ValueError as error:
        say(f"error: {error}")
    except UNREACHABLE as error:
        say(f"error: the API server does not answer: {type(error).__name__} {error}")
    except asyncio.CancelledError:
        say("error: interrupted; run again, what is done stays done")
    return 1


def say(line: str) -> None:
    """Print a line of progress."""
    print(visible(line), file=sys.stderr, flush=True)


def visible(line: str) -> str:
    """Return a line as it may come to a terminal: what a node wrote must not look like ours."""
    shown = "".join(c if c.isprintable() else "?" for c in line[:LONGEST_LINE])
    return f"{shown} ..." if len(line) > LONGEST_LINE else shown


def _work(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
    match arguments.command:
        case "gate":
            return _gate(sys.stdin.read())
        case "serve":
            return _serve(arguments)
        case "status":
            return _status(arguments)
        case _:
            return _leave(arguments)


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


async def _gate(text: str) -> int:
    orders = read_orders(text)
    cluster = await Cluster.connect(orders.kubeconfig_path, orders.kubeconfig)
    try:
        orders = replace(orders, denied=orders.denied.and_host(cluster.host))
        return await admit(orders, cluster, partial(look_at, trust=cluster.trust()), say)
    finally:
        await cluster.close()


async def _leave(arguments: argparse.Namespace) -> int:
    if arguments.kubeconfig:
        path = os.path.expanduser(arguments.kubeconfig)  # noqa: ASYNC240, PTH111 - kubectl knows no ~
        await leave(arguments.node, path, force=arguments.force)
    else:
        async with kubeconfig_of_stack(arguments.stack_config) as path:
            await leave(arguments.node, path, force=arguments.force)
    return 0


async def _serve(arguments: argparse.Namespace) -> int:
    # It brings a web server, which no gate needs.
    from admission.approver.endpoints import serve  # noqa: PLC0415

    path = arguments.kubeconfig
    cluster = await (Cluster.connect(path, None) if path else Cluster.in_cluster())
    try:
        await serve(cluster, arguments.namespace, arguments.identity, arguments.port)
        return 0
    finally:
        await cluster.close()


async def _status(arguments: argparse.Namespace) -> int:
    if arguments.stack_config:
        async with kubeconfig_of_stack(arguments.stack_config) as path:
            return await _tell_status(arguments, path)
    return await _tell_status(arguments, arguments.kubeconfig)


async def _tell_status(arguments: argparse.Namespace, kubeconfig: str) -> int:
    path, given = arguments.inventory, None
    if path:
        given = await asyncio.to_thread(pool_inventory.from_file, path)
    cluster = await Cluster.connect(kubeconfig, None)
    try:
        look = partial(look_at, trust=cluster.trust())
        sight = await status.read(cluster, arguments.namespace, given)
        found = await status.document(sight, cluster, look, cluster.host, datetime.now(UTC))
    finally:
        await cluster.close()
    lines = map(visible, status.lines(found))
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
