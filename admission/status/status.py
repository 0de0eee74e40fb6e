"""What there is: each node's certificates and their ends, undecided requests, tokens of ours.

Only looks. What a machine alone knows, as the client certificate in its directory, is told only as
far as the API server still has the request for it; it forgets issued ones after an hour.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from admission import pool_inventory, rules
from admission.api_server.api import CSRS, NODES, decode
from admission.gate.bootstrap_token import SECRETS, expiration
from admission.gate.checks.tokens import MANAGED_BY, POOL_LABEL
from admission.gate.progress import read_ask
from admission.inventory import Denied, NodeEntry
from admission.judge import count_pending, node_of, to_node, to_request
from admission.pool_inventory import Inventory
from admission.serving_certificate import ServingCertificate

TOKENS = (
    f"{SECRETS}?fieldSelector=type=bootstrap.kubernetes.io/token"
    f"&labelSelector={'='.join(MANAGED_BY)}"
)
LOOKS_AT_ONCE = 64
FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Look = Callable[[NodeEntry], Awaitable[ServingCertificate]]


class Reads(Protocol):
    """What is asked of an API server."""

    async def insist(self, method: str, path: str) -> Any:
        """Make a request, patient with an API server that restarts."""

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Tell whether a requester may get serving certificates."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """All that was read from the API server."""

    inventory: Inventory
    nodes: Mapping[str, dict[str, Any]]
    requests: list[dict[str, Any]]
    tokens: list[dict[str, Any]]


async def read(api: Reads, namespace: str, inventory: Inventory | None) -> Sight:
    """Read what there is; with an inventory given, those in the cluster are not looked at.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    if inventory is None:
        maps = await api.insist("GET", pool_inventory.path(namespace))
        inventory = pool_inventory.merge(maps["items"])
    nodes, requests, tokens = [
        (await api.insist("GET", path))["items"] for path in (NODES, CSRS, TOKENS)
    ]
    return Sight(
        inventory=inventory,
        nodes={node["metadata"]["name"]: node for node in nodes},
        requests=requests,
        tokens=tokens,
    )


async def document(sight: Sight, api: Reads, look: Look, host: str, now: datetime) -> Any:
    """Return the status as JSON has it; it holds no secret."""
    at_once = asyncio.Semaphore(LOOKS_AT_ONCE)
    names = sorted({*sight.inventory.pools, *sight.nodes})
    nodes = await asyncio.gather(*(_node(name, sight, look, at_once, now) for name in names))
    pending = [item for item in sight.requests if read_ask(item).state == "pending"]
    serving: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in pending:
        if item["spec"]["signerName"] == rules.SERVING_SIGNER:
            serving[node_of(item)].append(item)
    denied = sight.inventory.denied.and_host(host)
    return {
        "nodes": nodes,
        "pendingRequests": [
            await _pending(item, serving[node_of(item)], sight, api, denied=denied, now=now)
            for item in pending
        ],
        "tokens": [_token(secret, now) for secret in sight.tokens],
        "faults": [
            *sight.inventory.faults,
            *(f"{node}: {why}" for node, why in sorted(sight.inventory.disputes.items())),
        ],
    }


async def _node(
    name: str, sight: Sight, look: Look, at_once: asyncio.Semaphore, now: datetime
) -> dict[str, Any]:
    entry, node = sight.inventory.nodes.get(name), sight.nodes.get(name)
    conditions = ((node or {}).get("status") or {}).get("conditions") or ()
    ready = next((str(c["status"]) for c in conditions if c["type"] == "Ready"), "Unknown")
    end, fault = None, "it is in no inventory"
    if entry is not None:
        async with at_once:
            try:
                end, fault = (await look(entry)).end, ""
            except ValueError as error:
                fault = f"its port {error}"
            except (OSError, TimeoutError) as error:
                fault = f"its port does not answer here ({type(error).__name__})"
    return {
        "name": name,
        "pool": sight.inventory.pools.get(name),
        "ready": "absent" if node is None else {"True": "yes", "False": "no"}.get(ready, "unknown"),
        "servingCertificate": _certificate(end, fault, now),
        "clientCertificate": _certificate(
            _issued_end(name, sight.requests),
            "only its machine knows: no issued request for it is left",
            now,
        ),
    }


def _certificate(end: datetime | None, fault: str, now: datetime) -> dict[str, Any]:
    if end is None:
        return {"end": None, "fault": fault}
    return {
        "end": end.strftime(FORMAT),
        "fault": "it has expired" if end <= now else "",
    }


def _issued_end(name: str, requests: Iterable[dict[str, Any]]) -> datetime | None:
    """The latest end of the client certificates that were issued for a node."""
    user, ends = f"{rules.USER_PREFIX}{name}", []
    for item in requests:
        pem = (item.get("status") or {}).get("certificate")
        if not pem or item["spec"]["signerName"] != rules.CLIENT_SIGNER:
            continue
        try:
            certificate = x509.load_pem_x509_certificate(decode(pem))
            subject = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        except ValueError:
            continue
        if [attribute.value for attribute in subject] == [user]:
            ends.append(certificate.not_valid_after_utc)
    return max(ends, default=None)


async def _pending(
    item: dict[str, Any],
    others: list[dict[str, Any]],
    sight: Sight,
    api: Reads,
    *,
    denied: Denied,
    now: datetime,
) -> dict[str, Any]:
    """An undecided request, and what the rules say of it."""
    spec, name = item["spec"], node_of(item)
    told = {
        "name": item["metadata"]["name"],
        "signer": spec["signerName"],
        "requester": spec.get("username", ""),
        "created": item["metadata"]["creationTimestamp"],
    }
    if spec["signerName"] != rules.SERVING_SIGNER:
        return {**told, "decision": "none", "reason": "its signer is not kubelet-serving"}
    if name in sight.inventory.disputes:
        return {**told, "decision": "refuse", "reason": sight.inventory.disputes[name]}
    node = sight.nodes.get(name)
    decision = rules.decide_serving(
        to_request(item),
        inventory=sight.inventory.nodes,
        node=None if node is None else to_node(node),
        denied=denied,
        allowed=await api.may_serve_itself(spec),
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


def _token(secret: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    metadata = secret["metadata"]
    data = {
        key: decode(text).decode(errors="replace")
        for key, text in (secret.get("data") or {}).items()
    }
    state = "alive" if expiration(data) > now else "expired"
    if not data.get("token-secret") or data.get("usage-bootstrap-authentication") != "true":
        state = "revoked"
    return {
        "id": metadata["name"].removeprefix("bootstrap-token-"),
        "pool": (metadata.get("labels") or {}).get(POOL_LABEL, ""),
        "description": data.get("description", ""),
        "state": state,
        "expiration": data.get("expiration") or None,
    }


def lines(status: Mapping[str, Any]) -> Iterable[str]:
    """Yield the status for a person."""
    rows = [["node", "pool", "Ready", "serving certificate until", "client certificate until"]]
    for node in status["nodes"]:
        ends = [_until(node[f"{which}Certificate"]) for which in ("serving", "client")]
        rows.append([node["name"], node["pool"] or "-", node["ready"], *ends])
    yield from _table(rows)
    yield ""
    if status["pendingRequests"]:
        rows = [["undecided request", "requester", "the rules say"]]
        for item in status["pendingRequests"]:
            said = ": ".join(filter(None, (item["decision"], item["reason"])))
            rows.append([item["name"], item["requester"], said])
        yield from _table(rows)
    else:
        yield "no undecided request"
    yield ""
    rows = [["token", "state", "until", "what for"]]
    for token in status["tokens"]:
        until = token["expiration"] or "-"
        rows.append([token["id"], token["state"], until, token["description"]])
    yield from _table(rows) if status["tokens"] else ["no token of ours"]
    for fault in status["faults"]:
        yield f"fault: {fault}"


def _until(certificate: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, (certificate["end"], certificate["fault"])))


def _table(rows: list[list[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
