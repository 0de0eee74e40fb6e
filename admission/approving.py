"""Approval beside the joins of a pool, for a program that does other things meanwhile.

`approve` shares orders, rules and judges with `python -m admission gate`, and leaves to it what
only a whole run can do: to prove that nodes have joined, and to end their tokens.
"""

from admission.api_server.api import Say
from admission.gate import run
from admission.gate.session import session
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
