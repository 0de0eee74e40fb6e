"""Joins the machines of a stack's settings to its cluster, and keeps them joined."""
# ruff: noqa: E402

import gc

# The imports make hundreds of thousands of objects that stay. Looking among them for garbage, again
# and again and once more when Python ends, takes as long as the imports themselves.
gc.set_threshold(100_000)

import pulumi

from kubelet_tls_bootstrap.resources import declare
from stack import reading, removals, shared_cluster


async def main() -> None:
    """Run the program, and spare its end the look for garbage."""
    try:
        await run()
    finally:
        gc.freeze()


async def run() -> None:
    """Declare every resource and output, and wait until all nodes have joined."""
    stack = await reading.with_record(await reading.read(pulumi.Config()))
    stack = await shared_cluster.with_cluster(stack)
    fleet = await declare(stack, provider="cluster")
    pulumi.export("clusterEndpoint", fleet.server)
    pulumi.export("bootstrapTokenId", {name: pool.token_id for name, pool in fleet.pools.items()})
    if fleet.user_data:
        pulumi.export("userData", dict(fleet.user_data))
    # The next run reads these three: who has joined, and by what.
    pulumi.export("nodes", dict(fleet.nodes))
    pulumi.export("pendingNodes", fleet.pending)
    pulumi.export("record", fleet.record)
    await removals.only_if_nothing_has_failed(fleet.pending, fleet.unfinished)


pulumi.run(main)
