"""`python -m admission gate`, which lets a pool's nodes in, and `leave`, which takes one out.

Progress goes to stderr, a line an event; `gate` prints one JSON document to stdout.
"""

import argparse
import asyncio
import json
import signal
import sys
from typing import Any

from admission import bootstrap_token
from admission.cluster import UNREACHABLE, ApiError, Cluster
from admission.gate import Gate
from admission.inventory import Orders, read_orders
from admission.leave import kubeconfig_of_stack, leave


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
    arguments = parser.parse_args()
    try:
        if arguments.command == "gate":
            return asyncio.run(_interruptible(_gate(read_orders(sys.stdin.read()))))
        return _leave(arguments)
    except (ValueError, ApiError) as error:
        say(f"error: {error}")
    except UNREACHABLE as error:
        say(f"error: the API server does not answer: {type(error).__name__}: {error}")
    except asyncio.CancelledError:
        say("error: interrupted; run again, what is done stays done")
    return 1


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _interruptible(work: Any) -> int:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return int(await task)


async def _gate(orders: Orders) -> int:
    cluster = await Cluster.connect(orders.kubeconfig_path, orders.kubeconfig)
    try:
        gate = Gate(orders, cluster, say)
        all_in = await gate.run()
        for line in report(gate):
            say(line)
        if not all_in:
            say(
                f"error: not all nodes of {orders.pool} have joined; the token stays until it"
                " expires, and the next pulumi up goes on from here"
            )
            return 1
        state = await bootstrap_token.end(cluster, orders.token)
        say(f"token {orders.token.id}: {state}")
        print(json.dumps(result(gate, orders, state)))
        return 0
    finally:
        await cluster.close()


def report(gate: Gate) -> list[str]:
    """A line for each node: what is there, or what is missing and why."""
    lines = []
    for name, progress in sorted(gate.progress.items()):
        if progress.joined:
            end = f", certificate until {progress.live.end:%Y-%m-%d}" if progress.live else ""
            lines.append(f"  {name}: joined after {progress.seconds:.1f} s{end}")
        else:
            lines.append(f"  {name}: NOT joined: {progress.refused or progress.fault}")
    return lines


def result(gate: Gate, orders: Orders, token_state: str) -> dict[str, Any]:
    """What the stack's outputs are made of; it holds no secret."""
    nodes = [
        {
            "name": name,
            "address": str(progress.entry.addresses[0]),
            "kubeletVersion": (progress.node or {})["status"]["nodeInfo"]["kubeletVersion"],
            "servingCertificateEnd": progress.live
            and progress.live.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for name, progress in sorted(gate.progress.items())
    ]
    return {"nodes": nodes, "token": {"id": orders.token.id, "state": token_state}}


def _leave(arguments: argparse.Namespace) -> int:
    if arguments.kubeconfig:
        asyncio.run(leave(arguments.node, arguments.kubeconfig, force=arguments.force))
        return 0
    file = kubeconfig_of_stack(arguments.stack_config)
    try:
        asyncio.run(leave(arguments.node, str(file), force=arguments.force))
    finally:
        file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
