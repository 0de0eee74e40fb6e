"""A node leaves: no new pods, the running ones evicted, then the Node deleted."""

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any

from admission import program
from admission.api_server.api import MERGE_PATCH, NODES, PODS, ApiError, Say
from admission.api_server.brief_connection import Requests, open_briefly
from admission.objects.node import internal_addresses, ready_condition
from admission.stack_settings import Leaving, is_same_server

DRAIN_TIMEOUT_S = 300
# Nobody ends the pods of a machine that does not answer: waiting longer changes nothing.
SILENT_DRAIN_TIMEOUT_S = 30
# As often and as long as the engine tries.
DIALS, DIAL_TIMEOUT_S = 3, 5
REMEDY = (
    "if its machine is gone, set force: true for {name} (put it back into its pool for that) and"
    " run pulumi up, which then waits for nothing on it and does not connect to it"
)

ANOTHER = "another machine has joined as {name} while it was drained; it is left alone"


async def require_answer(name: str, host: str, port: int) -> None:
    """Return if something listens there: what comes after the drain has to reach the machine.

    Raises:
        ValueError: nothing answers; says what to do.
    """
    for left in reversed(range(DIALS)):
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        except OSError as error:  # TimeoutError is one
            if not left:
                raise ValueError(
                    f"{name} does not answer at {host}:{port}, over which its kubelet is to be"
                    f" stopped ({error or 'no answer'}); {REMEDY.format(name=name)}; if not, start"
                    " the machine"
                ) from None
            await asyncio.sleep(1)


async def leave(
    name: str,
    kubeconfig: str,
    how: Leaving,
    *,
    server: str | None = None,
    address: str | None = None,
    say: Say = print,
) -> None:
    """Drain a node with `kubectl drain`, which knows disruption budgets, and delete its Node.

    A node without a Node has left already. With `force` its machine is gone: nothing waits for its
    pods, which the controller manager removes once the Node is gone. So it is if the Node is silent
    and another node has its address: that one's machine was reinstalled. Otherwise nobody has said
    that the pods no longer run: a machine that is only cut off may still write to its volumes.

    `server` is the URL of its API server when the stack last joined it. At another one only a
    silent node at this address whose machine is gone may leave: that may be another cluster.

    Raises:
        ValueError: the kubeconfig is invalid, kubectl is missing, or the drain failed; says why.
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    api = await open_briefly(kubeconfig)
    try:
        elsewhere = bool(server and not is_same_server(server, api.server))
        if elsewhere and not how.force:
            raise ValueError(
                f"the kubeconfig of the stack's settings leads to {api.server}, but {name} is a"
                f" node of {server}: put {name} back into its pool and run pulumi up, if they are"
                " one cluster, and remove it then, or set force: true for it if its machine is"
                " gone; if not, use the former kubeconfig"
            )
        try:
            node = await api.insist("GET", f"{NODES}/{name}")
            another = address is not None and address not in internal_addresses(node)
            if elsewhere and (another or not _is_silent(node)):
                raise ValueError(
                    f"the kubeconfig of the stack's settings leads to {api.server}, where {name} is"
                    f" {'another machine' if another else 'alive'}; the one whose machine is gone"
                    f" is a node of {server}: use the former kubeconfig"
                )
            if not how.force and not (
                _is_silent(node) and how.taken.intersection(internal_addresses(node))
            ):
                await _drain(api, node, kubeconfig)
            # The one that was drained, not one of the same name that has joined since.
            options = {"preconditions": {"uid": node["metadata"]["uid"]}}
            await api.insist("DELETE", f"{NODES}/{name}", options)
        except ApiError as error:
            if error.status == 409:
                raise ValueError(ANOTHER.format(name=name)) from None
            if error.status != 404:
                raise
            if elsewhere:
                say(f"{name} has no Node at {api.server}; it joined at {server}")
    finally:
        await api.close()


def is_ip(host: str) -> bool:
    """Return whether a host is given by its IP address, as a Node's InternalIPs are."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _drain(api: Requests, node: Mapping[str, Any], kubeconfig: str) -> None:
    name = node["metadata"]["name"]
    if await _is_cordoned_and_empty(api, node):
        return
    timeout_s = SILENT_DRAIN_TIMEOUT_S if _is_silent(node) else DRAIN_TIMEOUT_S
    status, _, errors = await program.run(
        "kubectl", f"--kubeconfig={kubeconfig}", "drain", name, "--ignore-daemonsets",
        "--delete-emptydir-data", "--force", f"--timeout={timeout_s}s",
        timeout_s=timeout_s + 30,
    )  # fmt: skip
    if status == 0:
        return
    why = program.last_error(errors)
    if _is_silent(await api.insist("GET", f"{NODES}/{name}")):
        raise ValueError(
            f"{name} does not answer, and can't be drained: {why}; {REMEDY.format(name=name)}; if"
            " not, start its kubelet"
        )
    raise ValueError(
        f"{name} can't be drained: {why}; fix that, or set force: true for {name} if"
        " its machine is gone"
    )


async def _is_cordoned_and_empty(api: Requests, node: Mapping[str, Any]) -> bool:
    """Do what `kubectl drain` does first, and tell whether it would find nothing else to do.

    It cordons the node, and then lists its pods: pkg/cmd/drain/drain.go, pkg/drain/drain.go. Of any
    pod, and of a right that is missing, `kubectl drain` is the judge.
    """
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    if not (node.get("spec") or {}).get("unschedulable"):
        patch = {"metadata": {"uid": uid}, "spec": {"unschedulable": True}}
        try:
            await api.insist("PATCH", f"{NODES}/{name}", patch, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status == 404:
                raise
            # That of another uid is refused as invalid, as many a patch may be.
            if (await api.insist("GET", f"{NODES}/{name}"))["metadata"]["uid"] != uid:
                raise ValueError(ANOTHER.format(name=name)) from None
            return False
    path = f"{PODS}?fieldSelector=spec.nodeName%3D{name}&limit=1"
    try:
        found = await api.insist("GET", path)
    except ApiError:
        return False
    is_list = isinstance(found, dict) and found.get("kind") == "PodList"
    return is_list and not (found.get("items") or found.get("metadata", {}).get("continue"))


def _is_silent(node: Mapping[str, Any]) -> bool:
    """Return whether its kubelet has not reported for so long that the cluster says so."""
    return ready_condition(node, "status") == "Unknown"
