"""Prints each node's certificates and when they end, undecided requests, and tokens.

Exit status: 0, or 1 where the cluster can't be asked.
"""

import argparse
import asyncio
import json
import os
from datetime import UTC, datetime
from functools import partial

from admission import pool_inventory
from admission import status as admission_status
from admission.__main__ import DEFAULT_KUBECONFIG, DEFAULT_NAMESPACE, REMEDIES, visible
from admission.api import UNREACHABLE, UNTRUSTED, ApiError
from admission.cluster import Cluster
from admission.leave import kubeconfig_of_stack
from admission.serving_certificate import look_at
from command_line.project import project
from command_line.terminal import say

SUMMARY = "certificates, undecided requests, tokens"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--kubeconfig",
        default=os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG,
        help="its path (default: KUBECONFIG, or %(default)s)",
    )
    source.add_argument("--stack-config", metavar="STACK", help="the stack whose secret it is")
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="of the inventories")
    parser.add_argument("--inventory", metavar="FILE", help="instead of those in the cluster")
    parser.add_argument("--json", action="store_true", help="for a program")


def run(arguments: argparse.Namespace) -> int:
    """Print the status of the cluster."""
    try:
        return asyncio.run(_status(arguments))
    except UNTRUSTED as error:
        say(f"error: {error}; correct the certificate-authority or the server in the kubeconfig")
    except ApiError as error:
        say(f"error: {error}{REMEDIES.get(error.status, '')}")
    except ValueError as error:
        say(f"error: {error}")
    except UNREACHABLE as error:
        say(f"error: the API server does not answer: {type(error).__name__} {error}")
    return 1


async def _status(arguments: argparse.Namespace) -> int:
    inventory = arguments.inventory and await asyncio.to_thread(
        pool_inventory.from_file, arguments.inventory
    )
    if not arguments.stack_config:
        return await _print(arguments, arguments.kubeconfig, inventory)
    os.chdir(project())
    async with kubeconfig_of_stack(arguments.stack_config) as path:
        return await _print(arguments, path, inventory)


async def _print(
    arguments: argparse.Namespace, kubeconfig: str, inventory: pool_inventory.Inventory | None
) -> int:
    cluster = await Cluster.connect(kubeconfig, None)
    try:
        look = partial(look_at, trust=cluster.trust())
        sight = await admission_status.read(cluster, arguments.namespace, inventory)
        found = await admission_status.document(
            sight, cluster, look, cluster.host, datetime.now(UTC)
        )
    finally:
        await cluster.close()
    lines = map(visible, admission_status.lines(found))
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(lines))
    return 0
