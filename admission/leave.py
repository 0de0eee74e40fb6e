"""A node leaves: no new pods, the running ones moved away, then the Node deleted."""

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path

from admission.cluster import NODES, ApiError, Cluster

DRAIN_TIMEOUT_S = 300


async def leave(name: str, kubeconfig: str, *, force: bool) -> None:
    """Drain a node with `kubectl drain`, which knows disruption budgets, and delete its Node.

    A node that is not there has left already. With `force` its machine is dead, so nothing waits
    for its pods to end.

    Raises:
        ValueError: the kubeconfig is none, kubectl is missing, or the drain failed; says why.
        ApiError: the API server refused.
    """
    cluster = await Cluster.connect(kubeconfig, None)
    try:
        try:
            node = await cluster.request("GET", f"{NODES}/{name}")
        except ApiError as error:
            if error.status == 404:
                return
            raise
        await asyncio.to_thread(_drain, name, kubeconfig, force=force)
        try:
            # The one that was drained, not one of the same name that has joined since.
            options = {"preconditions": {"uid": node["metadata"]["uid"]}}
            await cluster.request("DELETE", f"{NODES}/{name}", options)
        except ApiError as error:
            if error.status != 404:
                raise
    finally:
        await cluster.close()


def _drain(name: str, kubeconfig: str, *, force: bool) -> None:
    command = [
        "kubectl", f"--kubeconfig={kubeconfig}", "drain", name, "--ignore-daemonsets",
        "--delete-emptydir-data", "--force", f"--timeout={DRAIN_TIMEOUT_S}s",
    ]  # fmt: skip
    if force:
        command += ["--disable-eviction", "--grace-period=0", "--skip-wait-for-delete-timeout=1"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DRAIN_TIMEOUT_S + 30, check=False
        )
    except FileNotFoundError:
        raise ValueError("kubectl is not on PATH; install it, it drains nodes") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"the drain of {name} took over {DRAIN_TIMEOUT_S} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(
            f"{name} can't be drained: {last}; mend that, or set force for a dead machine"
        )


def kubeconfig_of_stack(stack: str) -> Path:
    """Write the stack's secret key `kubeconfig` to a private file, and return its path.

    The caller removes it. No resource holds the kubeconfig, so that a new one changes none.
    """
    done = subprocess.run(
        ["pulumi", "config", "get", "kubeconfig", "--stack", stack, "--non-interactive"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"the stack {stack} has no secret key kubeconfig any more; set it again")
    descriptor, name = tempfile.mkstemp(prefix="kubelet-tls-bootstrap-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(done.stdout)
    return Path(name)
