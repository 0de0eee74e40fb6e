"""The proof of a wave of changed nodes, for the program that changes the next one after it.

It shares orders and proofs with `python -m admission gate`.
"""

from collections.abc import Mapping
from functools import partial

from admission.api_server.api import NODES, Say
from admission.gate import run
from admission.gate.session import session
from admission.objects.judged_node import kept_if_in, kept_readiness
from admission.objects.node import ready_condition
from admission.process import failures, reason
from admission.terminal import visible


async def prove(text: str, say: Say) -> Mapping[str, str]:
    """Return why the nodes of a gate's orders don't work, by their names; empty: they all do.

    `say` gets a line per event.

    Raises:
        ValueError: it can't tell; says why, and what to do.
    """
    try:
        async with session(text) as (orders, api, look):
            return await run.prove(orders, api, look, lambda line: say(visible(line)))
    except failures() as error:
        raise ValueError(visible(reason(error))) from None


async def not_ready(text: str) -> Mapping[str, str]:
    """Return which nodes of a gate's orders are not Ready in the cluster, or not there at all.

    A Node that can't be read counts too; its name then has the reason.

    Raises:
        ValueError: as `prove` does.
    """
    try:
        async with session(text) as (orders, api, _):
            listed = await api.list(NODES, partial(kept_if_in, orders.nodes, kept_readiness))
    except failures() as error:
        raise ValueError(visible(reason(error))) from None
    ready = {
        node["metadata"]["name"]
        for node in listed.items
        if ready_condition(node, "status") == "True"
    }
    unreadable = dict(listed.left_out)
    return {name: unreadable.get(name, "") for name in orders.nodes if name not in ready}
