"""A node's entry in the stack's outputs, which other stacks and the next run read."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.dependencies import value_or
from components.pool_arguments import Approval, PoolNode

# What the gate has last seen of it, and what belongs to its join: as it was when the gate proved
# that for the first time.
SEEN = ("kubeletVersion", "servingCertificateEnd")
OF_JOIN = ("joined", "tokenId", "approvedBy")


def known(
    entry: PoolNode, token_id: pulumi.Output[str] | None, approval: Approval
) -> dict[str, Any]:
    """Return the entry as far as it is known without the gate; `token_id` is its token's."""
    found: dict[str, Any] = {
        "address": entry.node.addresses[0],
        "join": entry.join,
        "labels": dict(entry.node.labels),
    }
    if entry.recorded is not None:
        # None is what an earlier release has not recorded: nobody knows it any more. What a gate
        # that failed has not proven, the next one does.
        keys = [*SEEN, *OF_JOIN]
        if "approvedBy" in entry.recorded and "joined" not in entry.recorded:
            keys.remove("joined")
        return found | {key: entry.recorded.get(key) for key in keys}
    if token_id is not None:
        found["tokenId"] = value_or(token_id, None)
    return found | {"approvedBy": {"client": approval.client, "serving": approval.serving}}


def with_report(entry: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with what a gate has told of the node.

    A run with a target may have left the gate of another join: that is then the one that is proven.
    """
    if (join := told.get("join") or entry.get("join")) != entry.get("join"):
        entry = {**entry, "join": join} | dict.fromkeys(OF_JOIN)
    seen = {key: told[key] for key in SEEN if told.get(key)}
    joined = {} if "joined" in entry or "proven" not in told else {"joined": told["proven"]}
    whole = {**entry, **seen, **joined}
    return {key: value for key, value in whole.items() if value is not None}
