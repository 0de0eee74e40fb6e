"""The status as JSON: each node's certificates and their ends, undecided requests, our tokens.

It changes nothing. What only a machine knows, such as the client certificate in its directory, is
shown while the API server still has the request for it; it deletes issued ones after an hour.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from admission import rules
from admission.inventory import Denied, InventoryNode
from admission.objects.csr import count_pending, judged_request, request_status, requesting_node
from admission.objects.judged_node import judged_node
from admission.objects.node import ready_condition
from admission.objects.token_secret import POOL_LABEL, content, death, expiration
from admission.serving_certificate import ServingCertificate
from admission.status.kept import ISSUED
from admission.status.snapshot import Reads, Snapshot

LOOKS_AT_ONCE = 64
FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Look = Callable[[InventoryNode], Awaitable[ServingCertificate]]


async def document(snapshot: Snapshot, api: Reads, look: Look, host: str, now: datetime) -> Any:
    """Return the status as a JSON document; it holds no secret."""
    at_once = asyncio.Semaphore(LOOKS_AT_ONCE)
    names = sorted({*snapshot.inventory.pools, *snapshot.nodes})
    nodes = await asyncio.gather(*(_node(name, snapshot, look, at_once, now) for name in names))
    pending = [item for item in snapshot.requests if request_status(item).state == "pending"]
    serving: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in pending:
        if item["spec"]["signerName"] == rules.SERVING_SIGNER:
            serving[requesting_node(item)].append(item)
    denied = snapshot.inventory.denied.and_host(host)
    return {
        "nodes": nodes,
        "pendingRequests": [
            await _pending(
                item, serving[requesting_node(item)], snapshot, api, denied=denied, now=now
            )
            for item in pending
        ],
        "tokens": [_token(secret, now) for secret in snapshot.tokens],
        "problems": [
            *snapshot.problems,
            *snapshot.inventory.problems,
            *(f"{node}: {why}" for node, why in sorted(snapshot.inventory.disputes.items())),
        ],
    }


async def _node(
    name: str, snapshot: Snapshot, look: Look, at_once: asyncio.Semaphore, now: datetime
) -> dict[str, Any]:
    entry, node = snapshot.inventory.nodes.get(name), snapshot.nodes.get(name)
    ready = {"True": "yes", "False": "no"}.get(ready_condition(node, "status"), "unknown")
    end, problem = None, "it is not in any inventory"
    if entry is not None:
        async with at_once:
            try:
                end, problem = (await look(entry)).end, ""
            except ValueError as error:
                problem = f"its port {error}"
            except (OSError, TimeoutError) as error:
                problem = f"its port does not answer here ({type(error).__name__})"
    return {
        "name": name,
        "pool": snapshot.inventory.pools.get(name),
        "ready": "absent" if node is None else ready,
        "servingCertificate": _certificate(end, problem, now),
        "clientCertificate": _certificate(
            _issued_end(name, snapshot.requests),
            "known only on its machine: the API server no longer has the request",
            now,
        ),
    }


def _certificate(end: datetime | None, problem: str, now: datetime) -> dict[str, Any]:
    if end is None:
        return {"end": None, "problem": problem}
    return {
        "end": end.strftime(FORMAT),
        "problem": "it has expired" if end <= now else "",
    }


def _issued_end(name: str, requests: Iterable[dict[str, Any]]) -> datetime | None:
    """Return the latest end of the client certificates that were issued for a node."""
    issued = filter(None, (item.get(ISSUED) for item in requests))
    return max((end for node, end in issued if node == name), default=None)


async def _pending(
    item: dict[str, Any],
    others: list[dict[str, Any]],
    snapshot: Snapshot,
    api: Reads,
    *,
    denied: Denied,
    now: datetime,
) -> dict[str, Any]:
    """Return an undecided request, and what the rules say about it."""
    spec, name = item["spec"], requesting_node(item)
    told = {
        "name": item["metadata"]["name"],
        "signer": spec["signerName"],
        "requester": spec.get("username", ""),
        "created": item["metadata"]["creationTimestamp"],
    }
    if spec["signerName"] != rules.SERVING_SIGNER:
        return {**told, "decision": "none", "reason": "its signer is not kubelet-serving"}
    if name in snapshot.inventory.disputes:
        return {**told, "decision": "refuse", "reason": snapshot.inventory.disputes[name]}
    node = snapshot.nodes.get(name)
    request = judged_request(item)
    decision = rules.decide_serving(
        request,
        inventory=snapshot.inventory.nodes,
        node=None if node is None else judged_node(node),
        denied=denied,
        # One that was not kept whole is refused: it is one of a flood, or old.
        allowed=request.pem is not None and await api.may_serve_itself(spec),
        pending=count_pending(item, others, now),
        now=now,
    )
    match decision:
        case rules.Approve():
            return {**told, "decision": "approve", "reason": ""}
        case rules.Wait(reason=reason):
            return {**told, "decision": "wait", "reason": reason}
        case rules.Refuse(reason=reason):
            return {**told, "decision": "refuse", "reason": reason}
        case rules.Unread():
            return {**told, "decision": "none", "reason": "there are too many newer ones"}


def _token(secret: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    metadata = secret["metadata"]
    data = content(secret)
    state = death(data) or ("alive" if expiration(data) > now else "expired")
    return {
        "id": metadata["name"].removeprefix("bootstrap-token-"),
        "pool": (metadata.get("labels") or {}).get(POOL_LABEL, ""),
        "description": data.get("description", ""),
        "state": state,
        "expiration": data.get("expiration") or None,
    }
