"""Whether pods that need nodes with a label can be placed, before a run waits for them in vain."""

from typing import Any
from urllib.parse import quote

from admission.api_server.api import NODES
from admission.api_server.connection import Connection
from admission.process import failures, reason
from admission.stack_settings import StackSettings, is_same_server
from admission.terminal import visible


async def labelled_nodes(label: str, *, stack: str, server: str) -> int:
    """Return how many Nodes have a label and take new pods, by a stack's kubeconfig.

    Raises:
        ValueError: it can't tell; says why, and what to do.
    """
    try:
        found = await StackSettings(stack).kubeconfig()
        api = await Connection.open(found.path, found.content, found.renew)
        try:
            if not is_same_server(server, api.server):
                raise ValueError(f"the kubeconfig of the stack {stack} leads to {api.server} now")
            listed = await api.list(f"{NODES}?labelSelector={quote(label, safe='')}", _kept)
        finally:
            await api.close()
    except failures() as error:
        raise ValueError(visible(reason(error))) from None
    return len(listed.items)


def _kept(node: dict[str, Any]) -> dict[str, Any] | None:
    if node["spec"].get("unschedulable"):
        return None  # cordoned
    return {"metadata": {"name": node["metadata"]["name"]}}
