"""Who approves what the machines of a pool ask for while they join: the program itself.

A join holds one of the engine's parallel slots while it waits on its machine for certificates. The
gate is a resource too, so it may have to wait for a slot. Two rules keep that from ever stopping a
run, whatever the number of pools, nodes and slots:

- From its first join on a pool has an approver that needs no slot. No join begins before the
  approver has activated the tokens of the pool's nodes.
- The gate gets a slot only when each of its joins has had one: it waits for no join that waits.

When the gate has its slot the approver ends, for two at once could approve two requests of one
token. Hooks tell when a resource has its slot; they run neither in previews nor without a change.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from functools import cache, partial
from typing import Any

import pulumi

# A language host takes the project off sys.path once it has run __main__.py, before any hook runs.
# What is found already finds the modules below it.
import admission  # noqa: F401
from components.background import Background, Teller
from components.dependencies import Dependencies, value_or

NOBODY = "nobody approves what the pool's machines ask for"
Activations = Mapping[str, Mapping[str, str]]
Taken = Mapping[str, str]
# Gets the orders, what makes tokens valid by their ids, what to tell of events, and what to call
# once joins may begin: with the names that are other living machines', and why.
Approve = Callable[
    [str, Activations, Callable[[str], None], Callable[[Taken], None]], Coroutine[Any, Any, None]
]


async def approve_by_rules(
    orders: str,
    activations: Activations,
    say: Callable[[str], None],
    ready: Callable[[Taken], None],
) -> None:
    """Approve what passes the rules, as the gate does, until it is cancelled."""
    await _import().approve(orders, say, activations=activations, ready=ready)


@cache
def prepare() -> None:
    """Import what approves, while a machine gets its files: its join waits less."""
    threading.Thread(target=_import, name="import", daemon=True).start()


def _import() -> Any:
    # It takes half a second, which a run without joins saves.
    from admission import approving  # noqa: PLC0415

    return approving


class JoinApprover:
    """The approver of one pool."""

    ready: Dependencies
    """What each join depends on."""
    before_gate: pulumi.ResourceHook
    """What ends it when the gate has its slot."""

    def __init__(
        self,
        name: str,
        *,
        orders: pulumi.Output[str],
        activations: pulumi.Output[dict[str, Any]],
        owner: pulumi.Resource,
        approve: Approve = approve_by_rules,
    ) -> None:
        """Declare it; it begins with the first join.

        `orders` is what it reads, as the gate does; `activations` what makes tokens valid, by their
        ids; `owner` the resource under which its lines are shown.
        """
        self._name, self._orders, self._activations = name, orders, activations
        self._approve = approve
        self._ready: Future[Taken] = Future()
        self._teller = Teller(owner)
        self._background: Background | None = None
        self._begun: dict[str, asyncio.Event] = {}
        # No join before the orders are known: the tokens in them may need its slot.
        self.ready: Dependencies = pulumi.Output.from_input(self._orders_are_known())
        self.before_gate = pulumi.ResourceHook(f"{name}-gate-begins", self._end)

    def all_begun(self, joins: Sequence[pulumi.Resource]) -> Dependencies:
        """Return what the gate depends on: nothing, once each of these joins has begun."""
        for join in joins:
            begun = self._begun.setdefault(join.pulumi_resource_name, asyncio.Event())
            # Unchanged, or failed before its turn came.
            _settled(join).apply(partial(_set, begun))
        return pulumi.Output.from_input(self._all_begun())

    def end_after(self, resources: Sequence[pulumi.Resource]) -> None:
        """End it at the latest when each of these has succeeded or failed."""
        all_settled = pulumi.Output.all(*map(_settled, resources))
        self._ended: pulumi.Output[None] = all_settled.apply(self._end)

    async def join_begins(self, join: str, new_node: str | None = None) -> None:
        """Approve what machines ask for from now on; call it in a hook before each join.

        It returns once the tokens of the pool's nodes are valid, and the name of a new node is
        known to be no other living machine's. Where the gate approves, its rules say no to such a
        machine.

        Raises:
            ValueError: nobody can approve, or the name is taken; says why, and what to do.
        """
        orders, activations = await self._orders.future(), await self._activations.future()
        if orders is None or activations is None:
            raise ValueError(
                "the tokens of the pool are not all known, so nobody could approve what its"
                " machines ask for; run pulumi up without --target"
            )
        if self._background is None:
            work = partial(self._work, str(orders), activations)
            self._background = Background(work, name=f"{self._name}-approver")
            self._background.when_ended(self._let_nobody_wait)
        elif (error := self._background.error) is not None:
            raise ValueError(f"{NOBODY}: {error}")
        # Before the gate may begin, which ends the work that tells it.
        taken = await asyncio.shield(asyncio.wrap_future(self._ready))
        if new_node is not None and (why := taken.get(new_node)):
            raise ValueError(why)
        self._begun.setdefault(join, asyncio.Event()).set()

    # Outputs of their own, since those of resources would be recorded as dependencies on them.

    async def _orders_are_known(self) -> list[pulumi.Resource]:
        with contextlib.suppress(Exception):  # the hook will raise it
            await self._orders.future()
        return []

    async def _all_begun(self) -> list[pulumi.Resource]:
        await asyncio.gather(*(event.wait() for event in self._begun.values()))
        return []

    async def _end(self, _: Any) -> None:
        if self._background is not None:
            await self._background.stop()

    # In the thread

    async def _work(self, orders: str, activations: Activations) -> None:
        try:
            await self._approve(orders, activations, self._teller.info, self._ready.set_result)
        except Exception as error:
            self._teller.warn(f"{self._name}: {error}")
            raise

    def _let_nobody_wait(self) -> None:
        if self._background is not None and not self._ready.done():
            why = self._background.error or "what approves has ended"
            self._ready.set_exception(ValueError(f"{NOBODY}: {why}"))


def orders_without_failed_tokens(orders: Mapping[str, Any]) -> pulumi.Output[str]:
    """Return a gate's orders as JSON, without what failed: a token that was not made, its node."""
    whose = [token["node"] for token in orders["tokens"]]
    made = [value_or(pulumi.Output.from_input(token), None) for token in orders["tokens"]]
    others = {key: value for key, value in orders.items() if key != "tokens"}
    return pulumi.Output.all(others=others, made=made).apply(
        lambda found: json.dumps(_without_failed(found["others"], whose, found["made"]))
    )


def _without_failed(
    orders: Mapping[str, Any], whose: Sequence[str | None], made: Sequence[Any]
) -> Mapping[str, Any]:
    failed = {node for node, token in zip(whose, made, strict=True) if token is None}
    nodes = [node for node in orders["nodes"] if not failed & {node["name"], None}]
    return {**orders, "nodes": nodes, "tokens": [token for token in made if token is not None]}


def _set(event: asyncio.Event, _: Any) -> None:
    event.set()


def _settled(resource: pulumi.Resource) -> pulumi.Output[str]:
    """Return an output that is known once a resource has succeeded or failed."""
    return value_or(resource.urn, "")
