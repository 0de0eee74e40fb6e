"""The end of the bindings by which nodes bootstrap and renew: with the last Node, not before.

A stack that is destroyed may not be the only one whose nodes need them: those that other stacks
have joined, or that were joined by hand, would drop out silently within their certificates'
lifetime. So each stack that needs one of them says so in an annotation of its own.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from admission.api_server.api import MERGE_PATCH, NODES, ApiError, Say
from admission.api_server.connection import Connection
from admission.stack_settings import StackSettings, is_same_server

RBAC = "/apis/rbac.authorization.k8s.io/v1"
# How the names of the Kubernetes provider's field managers begin. One that applies has more behind
# it, another one for each stack.
PROVIDER, APPLIER = "pulumi-", "pulumi-kubernetes-"
RELEASED = f"{PROVIDER}released"  # whose fields were a stack's that has given them up
CLAIM = "kubelet-tls-bootstrap/stack-"
MOST_NAMES = 5


async def release(
    names: Collection[str], *, stack: str, server: str, say: Say, approver: bool = False
) -> None:
    """Give up roles and bindings, by paths such as clusterrolebindings/NAME.

    Each is deleted if no Node is left and nobody else needs it. One that somebody has made by hand
    stays in any case. With `approver` the stack has run the resident approver.

    Raises:
        ValueError: the stack's kubeconfig can't be used, or leads to another cluster.
        ApiError: the API server refused.
    """
    found = await StackSettings(stack).kubeconfig()
    api = await Connection.open(found.path, found.content, found.renew)
    try:
        if not is_same_server(server, api.server):
            raise ValueError(
                f"the kubeconfig of the stack {stack} leads to {api.server}, and not to {server},"
                " where its bindings are; correct that and run pulumi destroy again"
            )
        listed = await api.list(NODES, _name)
        # One that can't be read needs them as well.
        nodes = [node["metadata"]["name"] for node in listed.items]
        nodes += [name for name, _ in listed.left_out]
        if nodes:
            some = ", ".join(sorted(nodes[:MOST_NAMES]))
            more = f" and {len(nodes) - MOST_NAMES} more" if len(nodes) > MOST_NAMES else ""
            say(
                f"{', '.join(names)} stay: {some}{more}, which this stack does not manage, need"
                " them to renew their certificates"
            )
            if approver:
                say(
                    "the resident approver ends with this stack: nobody approves the serving"
                    " certificates that these nodes renew; set approver.enabled in another stack,"
                    " or approve their requests with kubectl certificate approve"
                )
        for name in names:
            await _give_up(api, name, claim(stack), delete=not nodes, say=say)
    finally:
        await api.close()


def claim(stack: str) -> str:
    """Return the key of the annotation by which a stack says that it needs an object."""
    return CLAIM + hashlib.sha256(stack.encode()).hexdigest()[:16]


async def _give_up(api: Connection, name: str, own: str, *, delete: bool, say: Say) -> None:
    path = f"{RBAC}/{name}"
    try:  # what `request` returns has no managedFields
        metadata = json.loads(await api.fetch(path))["metadata"]
    except ApiError as error:
        if error.status == 404:
            return
        raise
    except RecursionError:
        metadata = {}
    if not metadata.get("managedFields"):
        say(f"{name} stays: nothing that can be read says who has written it")
        return
    managers = [entry for entry in metadata["managedFields"] if not _owns(entry, own)]
    annotations = metadata.get("annotations") or {}
    if delete:
        others = _others(managers, {k: v for k, v in annotations.items() if k != own})
        if not others:
            same = {key: metadata[key] for key in ("uid", "resourceVersion")}
            await api.request("DELETE", path, {"preconditions": same})
            return
        say(f"{name} stays: {others}")
    if own in annotations:
        # Fields that nobody manages would count as written by hand at the next apply.
        released = [{**entry, "manager": RELEASED} for entry in metadata["managedFields"]]
        change = {
            "resourceVersion": metadata["resourceVersion"],
            "annotations": {own: None},
            "managedFields": managers or released[:1],
        }
        await api.request("PATCH", path, {"metadata": change}, content_type=MERGE_PATCH)


def _others(managers: Collection[Mapping[str, Any]], annotations: Mapping[str, str]) -> str:
    """Return who else needs an object, or nothing.

    `managers` and `annotations` are without those of the stack that gives it up.
    """
    names = {str(entry.get("manager")) for entry in managers}
    by_hand = sorted(name for name in names if not name.startswith(PROVIDER))
    if by_hand:
        return f"{' and '.join(by_hand)} {'has' if len(by_hand) == 1 else 'have'} written it"
    stacks = sorted(value for key, value in annotations.items() if key.startswith(CLAIM))
    if stacks:
        return f"the stack {' and the stack '.join(stacks)} needs it too"
    # Stacks of earlier releases say nothing.
    appliers = sorted(name for name in names if name.startswith(APPLIER))
    return f"{' and '.join(appliers)}, another stack, has written it" if appliers else ""


def _owns(entry: Mapping[str, Any], annotation: str) -> bool:
    """Return whether a field manager is the one that writes an annotation."""
    try:
        return f"f:{annotation}" in entry["fieldsV1"]["f:metadata"]["f:annotations"]
    except (LookupError, TypeError):
        return False


def _name(node: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": node["metadata"]["name"]}}
