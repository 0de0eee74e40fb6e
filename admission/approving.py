"""Approval beside the joins of a pool, for a program that does other things meanwhile.

`approve` first activates the nodes' tokens, whose Secrets are made without data. It shares orders,
rules and judges with `python -m admission gate`, and leaves to it what only a whole run can do: to
prove that nodes have joined, and to end their tokens.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from admission.api_server.api import NODES, Say
from admission.api_server.connection import Connection
from admission.gate import run
from admission.gate.bootstrap_token import activate
from admission.gate.orders import Orders
from admission.gate.progress import Progress
from admission.gate.session import session
from admission.objects.judged_node import kept_if_in, kept_node
from admission.process import failures, reason
from admission.terminal import visible


async def approve(
    text: str,
    say: Say,
    *,
    activations: Mapping[str, Mapping[str, str]],
    ready: Callable[[Mapping[str, str]], None],
) -> None:
    """Approve what the nodes of a gate's orders ask for, until it is cancelled.

    First it activates tokens: `activations` has what their Secrets are to hold, in base64, by their
    ids. Then it calls `ready` with the names that are another living machine's, and why, where its
    rules refuse no such machine. `say` gets a line per event.

    Raises:
        ValueError: it can't go on; says why, and what to do.
    """
    try:
        async with session(text) as (orders, api, look):

            def told(line: str) -> None:
                say(visible(line))

            await asyncio.gather(
                *(
                    activate(api, token, activations[token.id], told, limit_s=orders.stall_s)
                    for token in orders.tokens
                    if token.id in activations
                )
            )
            ready({} if orders.client_approval == "gate" else await _taken(orders, api))
            await run.approve(orders, api, look, told)
    except failures() as error:
        raise ValueError(visible(reason(error))) from None


async def _taken(orders: Orders, api: Connection) -> Mapping[str, str]:
    """Return whose names among the orders' nodes are another living machine's, and why.

    A kubelet of that name would take the Node over, and two of them would run its pods. kubeadm
    looks for the same before a join (cmd/kubeadm/app/phases/kubelet of Kubernetes, since 1.16).
    """
    listed = await api.list(NODES, partial(kept_if_in, orders.nodes, kept_node))
    found = (Progress(orders.nodes[n["metadata"]["name"]], node=n) for n in listed.items)
    return {p.entry.name: visible(p.taken) for p in found if p.taken and p.reported_ready}
