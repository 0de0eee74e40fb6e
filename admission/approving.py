"""Approval beside the joins of a pool, for a program that does other things meanwhile.

`approve` shares orders, rules and judges with `python -m admission gate`, and leaves to it what
only a whole run can do: to prove that nodes have joined, and to end their tokens.
"""

from collections.abc import Mapping
from functools import partial

from admission.api_server.api import NODES, Say
from admission.gate import run
from admission.gate.progress import Progress
from admission.gate.session import session
from admission.objects.judged_node import kept_if_in, kept_node
from admission.process import failures, reason
from admission.terminal import visible


async def approve(text: str, say: Say) -> None:
    """Approve what the nodes of a gate's orders ask for, until it is cancelled.

    `say` gets a line per event.

    Raises:
        ValueError: it can't go on; says why, and what to do.
    """
    try:
        async with session(text) as (orders, api, look):
            await run.approve(orders, api, look, lambda line: say(visible(line)))
    except failures() as error:
        raise ValueError(visible(reason(error))) from None


async def taken(text: str) -> Mapping[str, str]:
    """Return whose names among the nodes of a gate's orders are another living machine's, and why.

    A kubelet of that name would take the Node over, and two of them would run its pods. kubeadm
    looks for the same before a join (cmd/kubeadm/app/phases/kubelet of Kubernetes, since 1.16).

    Raises:
        ValueError: it can't tell; says why, and what to do.
    """
    try:
        async with session(text) as (orders, api, _):
            listed = await api.list(NODES, partial(kept_if_in, orders.nodes, kept_node))
    except failures() as error:
        raise ValueError(visible(reason(error))) from None
    found = (Progress(orders.nodes[n["metadata"]["name"]], node=n) for n in listed.items)
    return {p.entry.name: visible(p.taken) for p in found if p.taken and p.reported_ready}
