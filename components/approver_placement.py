"""A look at the cluster's nodes right before the resident approver's pods change.

Pods without a node that they fit on would be Pending until the Deployment's time is over.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import pulumi

# A language host takes the project off sys.path once it has run __main__.py, before any hook runs.
import admission  # noqa: F401
from components.approver_arguments import ServingApproverArgs
from components.approver_pods import CONTROL_PLANE_LABEL
from components.background import Background

CountNodes = Callable[[str, str, str], Coroutine[Any, Any, int]]


async def count_nodes(label: str, stack: str, server: str) -> int:
    """Return how many Nodes have a label and take new pods."""
    from admission.placement import labelled_nodes  # noqa: PLC0415 - only what changes needs it

    return await labelled_nodes(label, stack=stack, server=server)


def hooks(
    name: str, args: ServingApproverArgs, count: CountNodes = count_nodes
) -> pulumi.ResourceHookBinding | None:
    """Return the hooks of the Deployment; None if any node will do."""
    stack, server = args.stack, args.api_server
    if args.allow_workers or not stack:
        return None

    async def check(_: Any) -> None:
        found: list[int] = []

        async def ask() -> None:
            found.append(await count(CONTROL_PLANE_LABEL, stack, server))

        # In a thread: the program's own loop may have to wait for slots.
        await Background(ask, name=f"{name}-placement").end()
        if found[0] < args.replicas:
            raise ValueError(too_few(found[0], args.replicas))

    hook = pulumi.ResourceHook(f"{name}-placement", check)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def too_few(found: int, replicas: int) -> str:
    """Return what is wrong with so few nodes, and what to do."""
    one = "has the label {} and takes"
    have = {0: f"no node {one}", 1: f"only one node {one}"}.get(
        found, f"only {found} nodes have the label {{}} and take"
    )
    fewer = f"set approver.replicas to {found}, " if found else ""
    return (
        f"approver.replicas is {replicas}, each on a node of its own, but"
        f" {have.format(CONTROL_PLANE_LABEL)} new pods; give it to nodes of the control plane,"
        f" uncordon them, {fewer}or, if whoever owns"
        " a worker may approve any serving certificate, set approver.allowWorkers to true; for a"
        " control plane without nodes see docs/approver-unit.md"
    )
