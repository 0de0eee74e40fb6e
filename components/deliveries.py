"""Brings what a machine gets to it, right before the engine runs a command there.

What is brought is in no state: see node_files/delivery.py. A hook does it, which the engine calls
when the command's turn has come, and only if it runs at all: not in a preview, and for no machine
on which nothing changes. A command whose hook fails has failed, so the next run tries both again.
"""

from collections.abc import Awaitable, Callable

import pulumi

from node_files import Delivery

Bring = Callable[[Delivery], Awaitable[None]]


class Deliveries:
    """What is brought before which commands of a pool."""

    hook: pulumi.ResourceHook
    """What is called before each of these commands."""

    def __init__(self, name: str) -> None:
        self._expected: dict[str, Callable[[], Awaitable[None]]] = {}
        self.hook = pulumi.ResourceHook(f"{name}-deliver", self._deliver)

    def before(self, command: str, bring: Callable[[], Awaitable[None]]) -> None:
        """Call `bring` before the command of this name runs."""
        self._expected[command] = bring

    async def _deliver(self, args: pulumi.ResourceHookArgs) -> None:
        await self._expected[args.name]()
