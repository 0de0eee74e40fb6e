"""A node leaves: no new pods, the running ones evicted, then the Node deleted."""

from admission import program
from admission.api_server.api import NODES, ApiError
from admission.api_server.connection import Connection

DRAIN_TIMEOUT_S = 300


async def leave(name: str, kubeconfig: str, *, force: bool) -> None:
    """Drain a node with `kubectl drain`, which knows disruption budgets, and delete its Node.

    A node without a Node has left already. With `force` its machine is dead: nothing waits for its
    pods, which the controller manager removes once the Node is gone.

    Raises:
        ValueError: the kubeconfig is invalid, kubectl is missing, or the drain failed; says why.
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    api = await Connection.open(kubeconfig, None)
    try:
        try:
            node = await api.insist("GET", f"{NODES}/{name}")
            if not force:
                await _drain(name, kubeconfig)
            # The one that was drained, not one of the same name that has joined since.
            options = {"preconditions": {"uid": node["metadata"]["uid"]}}
            await api.insist("DELETE", f"{NODES}/{name}", options)
        except ApiError as error:
            if error.status == 409:
                raise ValueError(
                    f"another machine has joined as {name} while it was drained; it is left alone"
                ) from None
            if error.status != 404:
                raise
    finally:
        await api.close()


async def _drain(name: str, kubeconfig: str) -> None:
    status, _, errors = await program.run(
        "kubectl", f"--kubeconfig={kubeconfig}", "drain", name, "--ignore-daemonsets",
        "--delete-emptydir-data", "--force", f"--timeout={DRAIN_TIMEOUT_S}s",
        timeout_s=DRAIN_TIMEOUT_S + 30,
    )  # fmt: skip
    if status != 0:
        why = program.last_error(errors)
        raise ValueError(
            f"{name} can't be drained: {why}; fix that, or set force for a dead machine"
        )
