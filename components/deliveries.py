"""Brings what a machine gets to it, right before the engine runs a command there.

What is brought is in no state: see node_files/delivery.py. A hook does it, which the engine calls
when the command's turn has come, and only if it runs at all: not in a preview, and for no machine
on which nothing changes. A command whose hook fails has failed, so the next run tries both again.

Another hook keeps the engine from replacing a node's commands, as `--replace` and `pulumi state
taint` ask for: it creates first, and what it then deletes as the old one is the machine in use.
"""

from collections.abc import Awaitable, Callable, Collection

import pulumi

from node_files import Delivery

Bring = Callable[[Delivery], Awaitable[None]]


class Deliveries:
    """What is brought before which commands of a pool."""

    hooks: pulumi.ResourceHookBinding
    """What each of these commands has, in every run: a state holds the names of hooks, and is
    written again when they differ."""

    def __init__(self, name: str, *, existing: Collection[str] = ()) -> None:
        """Expect nothing yet; `existing` are the commands that the stack has before this run."""
        self._expected: dict[str, Callable[[], Awaitable[None]]] = {}
        self._existing = existing
        deliver = pulumi.ResourceHook(f"{name}-deliver", self._deliver)
        once = pulumi.ResourceHook(
            f"{name}-once", self._create_once, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        self.hooks = pulumi.ResourceHookBinding(
            before_create=[once, deliver], before_update=[deliver]
        )

    def before(self, command: str, bring: Callable[[], Awaitable[None]]) -> None:
        """Call `bring` before the command of this name runs."""
        self._expected[command] = bring

    async def _deliver(self, args: pulumi.ResourceHookArgs) -> None:
        if args.name in self._expected:
            await self._expected[args.name]()

    def _create_once(self, args: pulumi.ResourceHookArgs) -> None:
        if args.name in self._existing:
            raise ValueError(
                "it can't be replaced: that would remove the files and the Node of a machine in"
                " use. To write its files again raise the node's `repair`, and to let it join"
                f" again its `generation`. After pulumi state taint: pulumi state untaint"
                f" '{args.urn}'"
            )
