"""`python -m admission gate`, which admits a pool's nodes, and `leave`, which removes one.

`end-tokens` ends what tokens a run has left alive, once that has ended. `release` gives up what all
nodes of a cluster need for their certificates, and deletes it once there are none. `serve` approves
what nodes request after they have joined. Progress goes to stderr, one line per event; `gate`
prints one JSON document to stdout.
"""

# ruff: noqa: E402

import gc

# As in the program: the imports' objects stay, and are no garbage to look for.
gc.set_threshold(100_000)

import argparse
import os
import socket
import sys
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from admission.pool_inventory import DEFAULT_NAMESPACE
from admission.process import run
from admission.terminal import say

gc.freeze()
DEFAULT_PORT = 10279


def main() -> int:
    """Return the exit status: 0 when everything is done, 1 with a message otherwise."""
    return run(partial(_work, parser().parse_args()))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(prog="python -m admission", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    commands.add_parser("gate", help="admit the nodes of a pool; orders on stdin")
    leaving = commands.add_parser("leave", help="drain a node and delete its Node")
    leaving.add_argument("node")
    source = leaving.add_mutually_exclusive_group(required=True)
    source.add_argument("--kubeconfig", help="path of the kubeconfig")
    # --kubeconfig and --stack-config are in the states of earlier releases.
    source.add_argument(
        "--stack", "--stack-config", help="use the kubeconfig of this stack's settings"
    )
    leaving.add_argument(
        "--ssh", nargs=2, metavar=("HOST", "PORT"), help="where the machine must answer"
    )
    leaving.add_argument("--address", help="the Node's address, if SSH has another (default: HOST)")
    leaving.add_argument("--pool", help="the pool that the node was in, by which it is drained")
    leaving.add_argument("--server", help="the URL to which the kubeconfig must lead")
    leaving.add_argument("--force", action="store_true", help="do not drain: the machine is gone")
    ending = commands.add_parser(
        "end-tokens", help="end tokens, by their ids on stdin, once that is closed"
    )
    ending.add_argument("--stack", required=True, help="use the kubeconfig of its settings")
    ending.add_argument("--server", required=True, help="the URL to which that must lead")
    ending.add_argument("--pool", required=True, help="the pool whose tokens they are")
    releasing = commands.add_parser(
        "release", help="give up roles and bindings; delete them once nobody needs them"
    )
    releasing.add_argument("names", nargs="+", help="such as clusterrolebindings/NAME")
    releasing.add_argument("--stack", required=True, help="use the kubeconfig of its settings")
    releasing.add_argument("--server", required=True, help="the URL to which that must lead")
    releasing.add_argument(
        "--approver", action="store_true", help="the stack has run the resident approver"
    )
    serving = commands.add_parser("serve", help="approve the renewals of all pools' nodes")
    serving.add_argument(
        "--kubeconfig", help="path of the kubeconfig (default: the pod's ServiceAccount)"
    )
    serving.add_argument(
        "--namespace", default=DEFAULT_NAMESPACE, help="namespace of the Lease and the inventories"
    )
    serving.add_argument("--identity", default=socket.gethostname(), help="this replica's name")
    serving.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port for health and metrics"
    )
    serving.add_argument(
        "--pool", action="append", dest="pools", metavar="POOL",
        help="a pool whose inventory counts; repeat it (default: all in the namespace)",
    )  # fmt: skip
    return whole


def _work(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
    match arguments.command:
        case "gate":
            return _gate(sys.stdin.read())
        case "end-tokens":
            return _end_tokens(arguments)
        case "release":
            return _release(arguments)
        case "serve":
            return _serve(arguments)
        case _:
            return _leave(arguments)


# Each command imports only what it needs: hundreds of nodes may leave at the same time.


async def _gate(text: str) -> int:
    from admission.gate.run import admit  # noqa: PLC0415
    from admission.gate.session import session  # noqa: PLC0415

    async with session(text) as (orders, api, look):
        return await admit(orders, api, look, say)


async def _leave(arguments: argparse.Namespace) -> int:
    from admission.leave import is_ip, leave, require_answer  # noqa: PLC0415
    from admission.stack_settings import StackSettings  # noqa: PLC0415

    settings = StackSettings(arguments.stack)
    how = await settings.leaving(arguments.node, arguments.kubeconfig, arguments.pool)
    if arguments.force:
        how = replace(how, force=True)
    if arguments.ssh and not how.force:
        host, port = arguments.ssh
        if (arguments.address or host) not in how.taken:
            await require_answer(arguments.node, host, int(port))
    if arguments.kubeconfig:
        path = os.path.expanduser(arguments.kubeconfig)  # noqa: ASYNC240, PTH111 - kubectl knows no ~
        await leave(arguments.node, path, how, say=say)
    else:
        async with settings.kubeconfig_file() as found:
            address = arguments.address or (arguments.ssh and arguments.ssh[0])
            address = address if address and is_ip(address) else None
            server, renew = arguments.server, found.renew
            await leave(
                *(arguments.node, found.path, how),
                renew=renew, server=server, address=address, stack=arguments.stack, say=say,
            )  # fmt: skip
    return 0


async def _end_tokens(arguments: argparse.Namespace) -> int:
    # Nothing is imported while it waits: the end of stdin is the end of a run.
    ids = sys.stdin.read().split()
    from admission.token_end import end_tokens  # noqa: PLC0415

    stack, server, pool = arguments.stack, arguments.server, arguments.pool
    return await end_tokens(ids, stack=stack, server=server, pool=pool, say=say)


async def _release(arguments: argparse.Namespace) -> int:
    from admission.release import release  # noqa: PLC0415

    await release(
        arguments.names,
        stack=arguments.stack,
        server=arguments.server,
        approver=arguments.approver,
        say=say,
    )
    return 0


async def _serve(arguments: argparse.Namespace) -> int:
    from admission.api_server.connection import Connection  # noqa: PLC0415
    from admission.approver.endpoints import serve  # noqa: PLC0415

    path = arguments.kubeconfig
    api = await (Connection.open(path, None) if path else Connection.in_cluster())
    try:
        await serve(api, arguments.namespace, arguments.identity, arguments.port, arguments.pools)
        return 0
    finally:
        await api.close()


if __name__ == "__main__":
    sys.exit(main())
