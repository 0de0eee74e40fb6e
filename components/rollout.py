"""How a change of files reaches the nodes of a pool: in waves, each proven before the next begins.

A machine proves by itself that its kubelet is healthy with new files. What it can't know is whether
the cluster sees the same, so the program asks that after each wave; after the last one the gate
does, whose failure a state keeps.

A node that waits for its wave is not registered yet, so it holds none of the engine's slots: a join
waits for no change. First joins take no turns, and neither does what changes on no machine.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import pulumi

from components.background import Background, Teller
from components.dependencies import Dependencies, value_or

Tell = Callable[[str], None]
Reasons = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RolloutPolicy:
    """How many nodes of a pool change at once."""

    canary: int = 1
    """How many change first."""
    max_unavailable: int | str = "10%"
    """How many may be unavailable at once after that: a number, or a share such as 10%."""
    pause_seconds: int = 0
    """How long to wait after each wave."""

    def most_at_once(self, nodes: int) -> int:
        """Return how many of so many nodes may be unavailable; at least one."""
        if isinstance(self.max_unavailable, int):
            return self.max_unavailable
        return max(1, ceil(nodes * int(self.max_unavailable.removesuffix("%")) / 100))


class Cluster:
    """What the cluster says of nodes."""

    async def not_ready(self, orders: str) -> Reasons:
        """Return which nodes of a gate's orders are not Ready, or why a Node can't be read."""
        from admission.proving import not_ready  # noqa: PLC0415 - only what changes needs it

        return await not_ready(orders)

    async def prove(self, orders: str, tell: Tell) -> Reasons:
        """Return why nodes of a gate's orders don't work, by name."""
        from admission.proving import prove  # noqa: PLC0415

        return await prove(orders, tell)


class Rollout:
    """The waves of one pool."""

    def __init__(
        self,
        name: str,
        *,
        changes: Sequence[str],
        members: Collection[str],
        policy: RolloutPolicy,
        orders: pulumi.Output[str],
        owner: pulumi.Resource,
        cluster: Cluster | None = None,
    ) -> None:
        """Begin it.

        `changes` are the nodes of which some file changes, of all that have joined (`members`), and
        `orders` is what a gate of the whole pool would read.
        """
        self._name, self._policy, self._orders, self._members = name, policy, orders, members
        self._teller, self._cluster = Teller(owner), cluster or Cluster()
        self._most = policy.most_at_once(len(members))
        dry = pulumi.runtime.is_dry_run()
        waits = () if dry else changes
        self._turns = {node: asyncio.Event() for node in waits}
        self._ends: dict[str, asyncio.Future[str | None]] = {}
        self._stopped = ""
        if dry and len(changes) > self._first:
            self._teller.info(self._plan(changes))
        self._done: pulumi.Output[None] = pulumi.Output.from_input(self._run(waits))

    def turn(self, node: str) -> Dependencies:
        """Return what the files of a node depend on: nothing, once its wave has come."""
        return pulumi.Output.from_input(self._turn(node))

    def check(self, node: str) -> None:
        """Raise if the files of a node must stay as they are.

        Raises:
            ValueError: an earlier node has failed; names it.
        """
        if self._stopped and node in self._turns:
            raise ValueError(f"not changed, because {self._stopped}")

    def ends_with(self, node: str, installed: pulumi.Output[str]) -> None:
        """Say what tells that the files of a node are installed, or that this has failed."""
        if node in self._turns:
            self._ends[node] = asyncio.ensure_future(value_or(installed, None).future())

    @property
    def _first(self) -> int:
        return min(self._policy.canary, self._most)

    def _plan(self, changes: Sequence[str]) -> str:
        first = ", ".join(changes[: self._first])
        return (
            f"{self._name}: {len(changes)} nodes change in waves: {first} first, then"
            f" {self._most} at a time"
        )

    async def _turn(self, node: str) -> list[pulumi.Resource]:
        if node in self._turns:
            await self._turns[node].wait()
        return []

    async def _run(self, waiting: Sequence[str]) -> None:
        size = self._first
        try:
            while waiting and not self._stopped:
                wave = await self._next(waiting, size)
                size = self._most
                waiting = [node for node in waiting if node not in wave]
                for node in wave:
                    self._turns[node].set()
                await self._end_of(wave, last=not waiting)
                if waiting and not self._stopped:
                    await asyncio.sleep(self._policy.pause_seconds)
        except Exception as error:  # noqa: BLE001 - whoever waits for a turn must not wait for ever
            self._stopped = str(error)
        finally:
            for turn in self._turns.values():
                turn.set()

    async def _next(self, waiting: Sequence[str], size: int) -> list[str]:
        """Return the next wave, of at most so many nodes.

        Raises:
            ValueError: too many nodes are unavailable already.
        """
        if len(self._turns) == 1:
            return list(waiting)
        found: Reasons = await self._ask(self._cluster.not_ready)
        down = {node: why for node, why in sorted(found.items()) if node in self._members}
        room = self._most - len(down)
        sound = [node for node in waiting if node not in down]
        broken = [node for node in waiting if node in down]
        # Those that don't work can't get less available, but what breaks them may break others.
        wave = sound[: min(size, room)] if room > 0 and sound else broken[:size]
        if not wave:
            raise ValueError(
                f"{_told(down)}, and rollout.maxUnavailable allows {self._most} of the pool's nodes"
                " to be unavailable; bring back what is down, remove it from the settings, or raise"
                " maxUnavailable"
            )
        return wave

    async def _end_of(self, wave: Sequence[str], *, last: bool) -> None:
        restarted: dict[str, str] = {}
        for node in wave:
            printed = await self._ends[node]
            if printed is None:
                self._stopped = f"{node} has failed"
            elif (since := restarted_at(printed)) is not None:
                restarted[node] = since
        if self._stopped or last or not restarted:
            return
        reasons = await self._ask(partial(self._prove, restarted))
        if reasons:
            self._stopped = "; ".join(f"{node}: {why}" for node, why in sorted(reasons.items()))

    async def _prove(self, restarted: Mapping[str, str], orders: str) -> Reasons:
        return await self._cluster.prove(_of_wave(orders, restarted), self._teller.info)

    async def _ask(self, work: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
        """Ask the cluster in a thread: the program's own loop may have to wait for slots."""
        orders = await self._orders.future()
        found: list[Any] = []

        async def ask() -> None:
            found.append(await work(str(orders)))

        await Background(ask, name=f"{self._name}-rollout").end()
        return found[0]


def _told(down: Reasons) -> str:
    """Say which nodes are not Ready, and which Nodes can't be read."""
    plain = [node for node, why in down.items() if not why]
    told = [f"{', '.join(plain)} {'is' if len(plain) == 1 else 'are'} not Ready"] if plain else []
    told += [
        f"the Node {node} can't be read ({why}; find out who has written it)"
        for node, why in down.items()
        if why
    ]
    return ", and ".join(told)


def restarted_at(installed: str) -> str | None:
    """Return when a machine has last restarted its kubelet for new files, by its own clock.

    The script prints a line of JSON. The profile of a login shell may have printed others.
    """
    for line in installed.splitlines():
        try:
            return str(json.loads(line)["restarted"])
        except (ValueError, KeyError, TypeError):
            continue
    return None  # it never did, or its files were written by an earlier release


def with_restarts(
    nodes: Iterable[Mapping[str, Any]], restarted: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the nodes of a gate's orders with when each was restarted, if it was."""
    return [
        {**node, **({"restarted": restarted[node["name"]]} if node["name"] in restarted else {})}
        for node in nodes
    ]


def _of_wave(orders: str, restarted: Mapping[str, str]) -> str:
    """Return a gate's orders for these nodes alone."""
    document = json.loads(orders)
    changed = (node for node in document["nodes"] if node["name"] in restarted)
    nodes = with_restarts(changed, restarted)
    tokens = [token for token in document["tokens"] if token["node"] in (None, *restarted)]
    return json.dumps({**document, "nodes": nodes, "tokens": tokens, "joining": 0})
