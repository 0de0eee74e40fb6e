"""A run of the gate for one pool, from its orders to its report."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from admission.api_server.api import Say
from admission.api_server.connection import Connection
from admission.gate import bootstrap_token, report
from admission.gate.bootstrap_token import FoundToken
from admission.gate.checks import preflight
from admission.gate.checks.check import Context
from admission.gate.gate import Gate
from admission.gate.orders import Orders
from admission.gate.session import Look

NEEDS_NONE = (
    "it has joined in an earlier run, so it has no token; if its machine was reinstalled, raise its"
    " generation"
)


async def admit(
    orders: Orders,
    api: Connection,
    look: Look,
    say: Say,
) -> int:
    """Admit a pool's nodes, end their tokens, and return the exit status.

    Prints a JSON document for the stack's outputs once all nodes have joined.

    Raises:
        ValueError: the cluster is not ready for nodes, or a token could not be ended; says why.
        ApiError, UNREACHABLE, UNTRUSTED: the API server refused, or did not answer for a while.
    """
    tokens, gate = await _gate(orders, api, look, say, tell_all=True)
    all_joined = await gate.run()
    for line in report.table(gate.progress.values()):
        say(line)
    for line in report.shared_machine_ids(gate.progress.values()):
        say(line)
    if not all_joined:
        if orders.report_path:
            report.write(orders.report_path, _document(gate, orders, {}))
        await _prepare_next_run(orders, api, tokens, say)
        return 1
    states = await _end(orders, api, tokens, say)
    print(json.dumps(_document(gate, orders, states)))
    return 0


async def approve(
    orders: Orders,
    api: Connection,
    look: Look,
    say: Say,
) -> None:
    """Approve what a pool's nodes ask for while they join, until it is cancelled.

    Only failed checks of the cluster are reported: the gate that follows reports them all.

    Raises:
        ValueError, ApiError, UNREACHABLE, UNTRUSTED: as `admit` does.
    """
    _, gate = await _gate(orders, api, look, say, tell_all=False)
    await gate.approve()


async def prove(
    orders: Orders,
    api: Connection,
    look: Look,
    say: Say,
) -> Mapping[str, str]:
    """Prove that nodes work, and return why each of the others does not, by its name.

    Raises:
        ValueError, ApiError, UNREACHABLE, UNTRUSTED: as `admit` does.
    """
    _, gate = await _gate(orders, api, look, say, tell_all=False)
    await gate.run()
    missing = (progress for progress in gate.progress.values() if not progress.joined)
    return {progress.entry.name: report.reason(progress) for progress in missing}


def _document(gate: Gate, orders: Orders, states: Mapping[str, str]) -> Mapping[str, object]:
    return report.document(gate.progress.values(), orders, states, datetime.now(UTC))


async def _gate(
    orders: Orders,
    api: Connection,
    look: Look,
    say: Say,
    *,
    tell_all: bool,
) -> tuple[Sequence[FoundToken], Gate]:
    """Return what the cluster holds of the tokens, and a gate, once the cluster is ready."""
    now = datetime.now(UTC)
    tokens = await asyncio.gather(
        *(
            bootstrap_token.find(api, token, now, say, limit_s=orders.stall_s)
            for token in orders.tokens
        )
    )
    problems = await _preflight(orders, api, tokens, now, say, tell_all=tell_all)
    gate = Gate(
        orders,
        api,
        look,
        say,
        grants={
            found.token.id: grant
            for found in tokens
            if found.token.node and (grant := found.grant(found.token.node))
        },
        token_problems={
            node: problems.get(token.id, "") if token else NEEDS_NONE
            for node in orders.nodes
            for token in (orders.token_of(node),)
        },
    )
    return tokens, gate


async def _end(
    orders: Orders, api: Connection, tokens: Sequence[FoundToken], say: Say
) -> Mapping[str, str]:
    """End tokens, and return the state of each, by its id."""
    states = await asyncio.gather(
        *(bootstrap_token.end(api, found, orders.after_join) for found in tokens)
    )
    by_id = {found.token.id: state for found, state in zip(tokens, states, strict=True)}
    for token_id, state in by_id.items():
        say(f"token {token_id}: {state}")
    return by_id


async def _preflight(
    orders: Orders,
    api: Connection,
    tokens: Sequence[FoundToken],
    now: datetime,
    say: Say,
    *,
    tell_all: bool,
) -> Mapping[str, str]:
    """Check the cluster, and return what is wrong with tokens, by their ids."""
    context = Context(api=api, orders=orders, tokens=tokens, now=now)
    findings = await preflight.run(context)
    for line in preflight.summary(f for f in findings if tell_all or f.state == "failed"):
        say(line)
    failed = [finding.check for finding in findings if finding.state == "failed"]
    if failed:
        raise ValueError(
            f"the cluster is not ready for new nodes: {', '.join(failed)}; fix that, or list the"
            " checks in skipClusterChecks"
        )
    return {
        found.token.id: found.problem or context.token_problems.get(found.token.id, "")
        for found in tokens
    }


async def _prepare_next_run(
    orders: Orders, api: Connection, tokens: Sequence[FoundToken], say: Say
) -> None:
    """End the tokens, and say what the next run will do: it makes new ones."""
    if api.outage:
        say(f"error: the API server {api.server} {api.outage}")
    else:
        try:
            await _end(orders, api, tokens, say)
        except ValueError as error:
            say(f"error: {error}")
    lives = "end with this run" if orders.after_join == "revoke" else "live until they expire"
    say(
        f"error: some nodes of {orders.pool} have not joined; their tokens {lives}, and the next"
        " pulumi up continues from here with new ones"
    )
