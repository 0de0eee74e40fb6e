"""Prints each node's certificates and when they expire, undecided requests, and tokens.

Exit status: 0, or 1 if the cluster does not answer.
"""

import argparse
import asyncio
import json
import os
from datetime import UTC, datetime
from functools import partial

from admission import machines_ca, pool_inventory
from admission.api_server.connection import Connection
from admission.api_server.kubeconfig_content import MERGE
from admission.process import run as run_process
from admission.serving_certificate import look_at
from admission.stack_settings import StackSettings
from admission.status.document import document
from admission.status.snapshot import take
from admission.status.table import lines
from admission.terminal import visible
from command_line.project import project

SUMMARY = "show certificates, undecided requests and tokens"
DEFAULT_KUBECONFIG = "~/.kube/config"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--kubeconfig",
        default=os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG,
        help="path of the kubeconfig (default: KUBECONFIG, or else %(default)s)",
    )
    source.add_argument(
        "--stack-config", metavar="STACK", help="use the kubeconfig of this stack's settings"
    )
    parser.add_argument(
        "--ca",
        metavar="FILE",
        help="the CA that the machines have, which may have signed the kubelets' certificates too"
        " (default: that of the settings of STACK)",
    )
    parser.add_argument(
        "--namespace",
        default=pool_inventory.DEFAULT_NAMESPACE,
        help="the inventories' namespace (default: %(default)s)",
    )
    parser.add_argument(
        "--inventory", metavar="FILE", help="a pool's inventory, instead of those in the cluster"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the status of the cluster, and return the exit status."""
    return run_process(partial(status, arguments))


async def status(arguments: argparse.Namespace) -> int:
    """Print the status, and return the exit status: always 0.

    Raises:
        ValueError: the kubeconfig or the inventory can't be read; says why.
        ApiError, UNREACHABLE, UNTRUSTED: the API server refused, or did not answer for a while.
    """
    path, given = arguments.inventory, None
    if path:
        given = await asyncio.to_thread(pool_inventory.from_file, path)
    ca = machines_ca.of_file(arguments.ca) if arguments.ca else ""
    if not arguments.stack_config:
        return await _print(arguments, arguments.kubeconfig, ca, given)
    os.chdir(project())
    settings = StackSettings(arguments.stack_config)
    async with settings.kubeconfig_file() as found:
        if not ca:
            ca = await machines_ca.of_cluster(await settings.cluster(), arguments.stack_config)
        return await _print(arguments, found.path, ca, given)


async def _print(
    arguments: argparse.Namespace,
    kubeconfig: str,
    ca: str,
    given: pool_inventory.Inventory | None,
) -> int:
    if os.pathsep in kubeconfig and not await asyncio.to_thread(os.path.exists, kubeconfig):
        raise ValueError(f"the kubeconfig is a list of files; {MERGE}")
    api = await Connection.open(kubeconfig, None)
    try:
        look = partial(look_at, trust=api.kubelets_trust(ca))
        snapshot = await take(api, arguments.namespace, given)
        found = await document(snapshot, api, look, api.host, datetime.now(UTC))
    finally:
        await api.close()
    text = map(visible, lines(found))
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(text))
    return 0
