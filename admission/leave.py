"""A node leaves: no new pods, the running ones evicted, then the Node deleted."""

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any

from admission.api_server.api import NODES, ApiError, Renew, Say
from admission.api_server.brief_connection import Requests, open_briefly
from admission.drain import ANOTHER, REMEDY, Cordon, drain
from admission.objects.node import internal_addresses, is_silent
from admission.owner import require_own
from admission.stack_settings import Leaving, is_same_server

# As often and as long as the engine tries.
DIALS, DIAL_TIMEOUT_S = 3, 5
# How often a Node is looked for that finalizers keep, and how long after each other.
LOOKS, LOOK_PAUSE_S = 10, 2
MOST_NAMED = 3


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
    renew: Renew | None = None,
    server: str | None = None,
    address: str | None = None,
    stack: str | None = None,
    say: Say = print,
) -> None:
    """Drain a node with `kubectl drain`, which knows disruption budgets, and delete its Node.

    A node without a Node has left already. With `force` its machine is gone: nothing waits for its
    pods, which the controller manager removes once the Node is gone. So it is if the Node is silent
    and another node has its address: that one's machine was reinstalled. Otherwise nobody has said
    that the pods no longer run: a machine that is only cut off may still write to its volumes.

    A node whose removal fails takes pods again, if it did before; one that only its finalizers keep
    does not.

    `renew` writes the kubeconfig anew once its credentials have ended, if its file is temporary.

    `server` is the URL of its API server when the stack last joined it. At another one only a
    silent node at this address whose machine is gone may leave: that may be another cluster.

    `stack` is the one that it leaves; a node that another one has by then stays.

    Raises:
        ValueError: the node is another stack's, the kubeconfig is invalid, kubectl is missing, the
            drain failed, or the Node is still there some time after it was deleted; says why.
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    api = await open_briefly(kubeconfig, renew)
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
            if stack:
                await require_own(api, name, stack, how.namespace)
            another = address is not None and address not in internal_addresses(node)
            if elsewhere and (another or not is_silent(node)):
                raise ValueError(
                    f"the kubeconfig of the stack's settings leads to {api.server}, where {name} is"
                    f" {'another machine' if another else 'alive'}; the one whose machine is gone"
                    f" is a node of {server}: use the former kubeconfig"
                )
            if how.force or (is_silent(node) and how.taken.intersection(internal_addresses(node))):
                left = await _delete(api, node)
            else:
                left = await _drain_and_delete(api, node, kubeconfig, how, say)
            if finalizers := _finalizers(left):
                say(f"{name}: its Node is deleted once {finalizers} removed from its finalizers")
                await _require_absence(api, node)
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


async def _drain_and_delete(
    api: Requests, node: Mapping[str, Any], kubeconfig: str, how: Leaving, say: Say
) -> Any:
    cordon = await Cordon.put(api, node)
    try:
        await drain(cordon, kubeconfig, how.drain, how.turns, say)
        return await _delete(api, node)
    except BaseException:  # of an interruption too
        await cordon.lift(say)
        raise


async def _delete(api: Requests, node: Mapping[str, Any]) -> Any:
    """Delete a Node, and return what is left of it: something else than a Node, if nothing is."""
    metadata = node["metadata"]
    # The one that was drained, not one of the same name that has joined since.
    options = {"preconditions": {"uid": metadata["uid"]}}
    return await api.insist("DELETE", f"{NODES}/{metadata['name']}", options)


def _finalizers(node: Any) -> str:
    """Return what a Node that was deleted waits for, with the verb; empty if it is gone."""
    metadata = node.get("metadata") or {}
    names = metadata.get("finalizers") or ()
    if not names or not metadata.get("deletionTimestamp"):
        return ""
    told = [str(name) for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        told.append(f"{len(names) - MOST_NAMED} more")
    *first, last = told
    return f"{', '.join(first)} and {last} are" if first else f"{last} is"


async def _require_absence(api: Requests, node: Mapping[str, Any]) -> None:
    """Return once a Node that was deleted is gone.

    Raises:
        ValueError: it is still there after a while; says what to do.
    """
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    finalizers = ""
    for _ in range(LOOKS):
        await asyncio.sleep(LOOK_PAUSE_S)
        try:
            found = await api.insist("GET", f"{NODES}/{name}")
        except ApiError as error:
            if error.status == 404:
                return
            raise
        finalizers = _finalizers(found)
        if found["metadata"]["uid"] != uid or not finalizers:
            return
    raise ValueError(
        f"the Node {name} is still there: it was deleted, but {finalizers} not removed from its"
        " finalizers; start what removes them, or remove them yourself (kubectl patch node"
        f""" {name} --type=merge -p '{{"metadata":{{"finalizers":null}}}}'), and run again"""
    )
