"""The end of the bindings by which nodes bootstrap and renew: with the last Node, not before.

A stack that is destroyed may not be the only one whose nodes need them: those that other stacks
have joined, or that were joined by hand, would drop out silently within their certificates'
lifetime.
"""

import json
from collections.abc import Collection
from typing import Any

from admission.api_server.api import NODES, ApiError, Say
from admission.api_server.connection import Connection
from admission.stack_settings import StackSettings, is_same_server

RBAC = "/apis/rbac.authorization.k8s.io/v1"
# How the names of the Kubernetes provider's field managers begin; each stack has others.
PROVIDER = "pulumi-"
MOST_NAMES = 5


async def release(names: Collection[str], *, stack: str, server: str, say: Say) -> None:
    """Delete roles and bindings, by paths such as clusterrolebindings/NAME, if no Node is left.

    One that somebody else has written too, by hand or from another stack, stays in any case.

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
        nodes = (await api.list(NODES, _name)).items
        if nodes:
            some = ", ".join(sorted(node["metadata"]["name"] for node in nodes[:MOST_NAMES]))
            more = f" and {len(nodes) - MOST_NAMES} more" if len(nodes) > MOST_NAMES else ""
            say(
                f"{', '.join(names)} stay: {some}{more}, which this stack does not manage, need"
                " them to renew their certificates"
            )
            return
        for name in names:
            await _delete(api, name, say)
    finally:
        await api.close()


async def _delete(api: Connection, name: str, say: Say) -> None:
    path = f"{RBAC}/{name}"
    try:
        metadata = json.loads(await api.fetch(path))["metadata"]
    except ApiError as error:
        if error.status == 404:
            return
        raise
    managers = {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()}
    others = {manager for manager in managers if not manager.startswith(PROVIDER)}
    if others or len(managers) > 1:  # each stack is a manager of its own
        say(f"{name} stays: {' and '.join(sorted(others or managers))} have written it")
        return
    same = {key: metadata[key] for key in ("uid", "resourceVersion")}
    await api.request("DELETE", path, {"preconditions": same})


def _name(node: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": node["metadata"]["name"]}}
