"""A node leaves: no new pods, the running ones moved away, then the Node deleted."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from admission.api_server.api import NODES, ApiError
from admission.api_server.connection import Cluster

DRAIN_TIMEOUT_S = 300
CONFIG_TIMEOUT_S = 60


async def leave(name: str, kubeconfig: str, *, force: bool) -> None:
    """Drain a node with `kubectl drain`, which knows disruption budgets, and delete its Node.

    A node that is not there has left already. With `force` its machine is dead: its pods are not
    waited for, the controller manager removes them once the Node is gone.

    Raises:
        ValueError: the kubeconfig is none, kubectl is missing, or the drain failed; says why.
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    cluster = await Cluster.connect(kubeconfig, None)
    try:
        try:
            node = await cluster.insist("GET", f"{NODES}/{name}")
            if not force:
                await _drain(name, kubeconfig)
            # The one that was drained, not one of the same name that has joined since.
            options = {"preconditions": {"uid": node["metadata"]["uid"]}}
            await cluster.insist("DELETE", f"{NODES}/{name}", options)
        except ApiError as error:
            if error.status == 409:
                raise ValueError(
                    f"another machine has joined as {name} while it was drained; it is left alone"
                ) from None
            if error.status != 404:
                raise
    finally:
        await cluster.close()


async def _drain(name: str, kubeconfig: str) -> None:
    status, _, errors = await _run(
        "kubectl", f"--kubeconfig={kubeconfig}", "drain", name, "--ignore-daemonsets",
        "--delete-emptydir-data", "--force", f"--timeout={DRAIN_TIMEOUT_S}s",
        timeout_s=DRAIN_TIMEOUT_S + 30,
    )  # fmt: skip
    if status != 0:
        raise ValueError(
            f"{name} can't be drained: {_last(errors)}; mend that, or set force for a dead machine"
        )


@contextlib.asynccontextmanager
async def kubeconfig_of_stack(stack: str) -> AsyncIterator[str]:
    """Put the stack's secret key `kubeconfig` into a private file for a while; give its path.

    No resource holds the kubeconfig, so that a new one changes none.

    Raises:
        ValueError: the stack has none, or `pulumi` can't read it.
    """
    status, content, errors = await _run(
        "pulumi", "config", "get", "kubeconfig", "--stack", stack, "--non-interactive",
        timeout_s=CONFIG_TIMEOUT_S,
    )  # fmt: skip
    if status != 0:
        raise ValueError(
            f"the secret key kubeconfig of the stack {stack} can't be read: {_last(errors)}"
        )
    descriptor, name = tempfile.mkstemp(prefix="kubelet-tls-bootstrap-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)  # noqa: ASYNC240 - it takes no time


async def _run(*command: str, timeout_s: float) -> tuple[int, str, str]:
    """Run a program to its end, and return its exit status and what it printed."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except FileNotFoundError:
        raise ValueError(f"{command[0]} is not on PATH; install it") from None
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        raise ValueError(f"{command[0]} has not ended after {timeout_s:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(), errors.decode(errors="replace")


def _last(errors: str) -> str:
    lines = errors.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it gave no reason"
