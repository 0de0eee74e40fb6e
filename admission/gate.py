"""The gate of a pool: approves its nodes' serving requests and proves each join.

Two watches (CSRs and Nodes) tell of every change; each wakes what depends on it. Nothing that one
request or node does holds up another. A node has joined when its Node is Ready, its serving
certificate is live with its own names and addresses, and the API server reaches the kubelet.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from admission import rules, serving_certificate
from admission.cluster import CSRS, NODES, UNREACHABLE, ApiError, Cluster, decode
from admission.inventory import NodeEntry, Orders

PROOF_PAUSE_S = 0.25
LOOK_LIMIT_S = 10  # then the API server's word is enough: it may be alone in reaching the kubelet
MESSAGE = "its requester, names and addresses are those of the inventory"


@dataclass
class Progress:
    """How far a node has come."""

    entry: NodeEntry
    started: float
    requests: int = 0  # client or serving requests seen
    approved: str = ""  # the serving request that was approved
    node: dict[str, Any] | None = None
    live: serving_certificate.ServingCertificate | None = None
    reached: bool = False
    fault: str = "no request for a certificate has come; is its kubelet running?"
    refused: str = ""  # why its last serving request was refused, until one is approved
    seconds: float | None = None

    @property
    def ready(self) -> bool:
        return _condition(self.node, "Ready") == "True"

    @property
    def joined(self) -> bool:
        return self.seconds is not None


class Gate:
    """One run for one pool."""

    def __init__(
        self,
        orders: Orders,
        cluster: Cluster,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orders = orders
        self._cluster = cluster
        self._say = say
        self._clock = clock
        self._started_at = datetime.now(UTC)
        self._moved = clock()
        self._requests: dict[str, dict[str, Any]] = {}  # undecided serving requests by UID
        self._told: dict[str, str] = {}  # what was said of a request, so that it is said once
        self._wake_requests = asyncio.Event()
        self._wake_node = {name: asyncio.Event() for name in orders.nodes}
        self.progress = {
            name: Progress(entry=entry, started=self._moved) for name, entry in orders.nodes.items()
        }

    async def run(self) -> bool:
        """Admit every node, and return whether all have joined before nothing moved any more.

        Raises:
            ApiError: the kubeconfig's rights are not enough.
        """
        watches = [
            asyncio.create_task(self._cluster.watch(CSRS, self._see_request)),
            asyncio.create_task(self._cluster.watch(NODES, self._see_node)),
            asyncio.create_task(self._approve_requests()),
        ]
        proofs = [asyncio.create_task(self._prove(p)) for p in self.progress.values()]
        stall = asyncio.create_task(self._stalled())
        try:
            waiting: set[asyncio.Task[None]] = set(proofs)
            while waiting:
                done, _ = await asyncio.wait(
                    [*waiting, *watches, stall], return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()  # a watch ends only with an error
                if stall in done:
                    break
                waiting -= done
        finally:
            for task in (*watches, *proofs, stall):
                task.cancel()
            await asyncio.gather(*watches, *proofs, stall, return_exceptions=True)
        return all(progress.joined for progress in self.progress.values())

    async def _stalled(self) -> None:
        """End when nothing has moved for as long as the orders say."""
        while (left := self._moved + self._orders.stall_s - self._clock()) > 0:
            await asyncio.sleep(left)

    def _move(self, line: str) -> None:
        self._moved = self._clock()
        self._say(line)

    # Requests

    def _see_request(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            self._requests.clear()
            return
        uid = item["metadata"]["uid"]
        self._count_request(kind, item)
        if item["spec"]["signerName"] != rules.SERVING_SIGNER:
            return
        if kind == "DELETED" or _decided(item):
            self._requests.pop(uid, None)
        else:
            self._requests[uid] = item
            self._wake_requests.set()

    def _count_request(self, kind: str, item: dict[str, Any]) -> None:
        """Note that a node asks, so that a report can say how far it has come."""
        progress = self.progress.get(
            item["spec"].get("username", "").removeprefix(rules.USER_PREFIX)
        )
        if progress is None or kind != "ADDED" or _created(item) < self._started_at:
            return
        progress.requests += 1
        progress.fault = "its request for a serving certificate is not approved"
        self._moved = self._clock()

    async def _approve_requests(self) -> None:
        while True:
            await self._wake_requests.wait()
            self._wake_requests.clear()
            pending = list(self._requests.values())
            results = await asyncio.gather(
                *(self._decide(item) for item in pending), return_exceptions=True
            )
            for item, result in zip(pending, results, strict=True):
                if isinstance(result, ApiError) and result.status in (401, 403):
                    raise result
                if isinstance(result, Exception):
                    name = item["metadata"]["name"]
                    self._tell(item, f"request {name}: {type(result).__name__}, tried again")
                    asyncio.get_running_loop().call_later(1, self._wake_requests.set)

    async def _decide(self, item: dict[str, Any]) -> None:
        """Decide on one request as it is now, and approve it if the rules say so."""
        request = to_request(item)
        name = request.user.removeprefix(rules.USER_PREFIX)
        progress = self.progress.get(name)
        if progress is None:
            return  # another pool's, or nobody's: not ours to judge
        allowed = await self._cluster.may_serve_itself(request.user, sorted(request.groups))
        node = progress.node
        decision = rules.decide_serving(
            request,
            inventory=self._orders.nodes,
            node=None if node is None else _node_object(node),
            denied=self._orders.denied,
            allowed=allowed,
            now=datetime.now(UTC),
        )
        if isinstance(decision, rules.Approve):
            await self._approve(item, decision, progress)
        elif isinstance(decision, rules.Wait):
            progress.fault = decision.reason
        else:
            progress.refused = f"its request {request.name} is refused: {decision.reason}"
            self._tell(item, f"{name}: request {request.name} is refused: {decision.reason}")

    async def _approve(
        self, item: dict[str, Any], decision: rules.Approve, progress: Progress
    ) -> None:
        name = item["metadata"]["name"]
        body = {
            # The resourceVersion that was judged: a request that has changed since is a conflict.
            **item,
            "status": {
                **item.get("status", {}),
                "conditions": [
                    {
                        "type": "Approved",
                        "status": "True",
                        "reason": "KubeletTlsBootstrap",
                        "message": MESSAGE,
                    }
                ],
            },
        }
        try:
            await self._cluster.request("PUT", f"{CSRS}/{name}/approval", body)
        except ApiError as error:
            if error.status in (404, 409):
                return  # gone or changed: the watch brings what it is now
            raise
        self._requests.pop(item["metadata"]["uid"], None)
        progress.approved, progress.refused = name, ""
        progress.fault = f"its request {name} is approved, but no certificate is live"
        listed = (*decision.content.dns_names, *map(str, decision.content.addresses))
        self._move(f"{progress.entry.name}: request {name} approved ({', '.join(listed)})")

    def _tell(self, item: dict[str, Any], line: str) -> None:
        uid = item["metadata"]["uid"]
        if self._told.get(uid) != line:
            self._told[uid] = line
            self._move(line)

    # Nodes

    def _see_node(self, kind: str, item: dict[str, Any]) -> None:
        name = item.get("metadata", {}).get("name")
        progress = self.progress.get(name)
        if kind == "SYNC":
            present = {node["metadata"]["name"] for node in item.get("items") or []}
            for gone in self.progress.keys() - present:
                self.progress[gone].node = None
            return
        if progress is None:
            return
        before = progress.node
        progress.node = None if kind == "DELETED" else item
        if before is None and progress.node is not None:
            self._move(f"{name}: the Node is there")
            self._wake_requests.set()  # a request may have waited for it
        self._wake_node[name].set()

    async def _prove(self, progress: Progress) -> None:
        """Return once the node has joined."""
        wake = self._wake_node[progress.entry.name]
        while not progress.ready:
            wake.clear()
            if progress.node is not None:
                message = _condition(progress.node, "Ready", "message") or "no condition yet"
                progress.fault = f"its Node is not Ready: {message}"
            await wake.wait()
        await self._look(progress)
        progress.seconds = self._clock() - progress.started
        self._move(f"{progress.entry.name}: joined after {progress.seconds:.1f} s")

    async def _look(self, progress: Progress) -> None:
        """Look at the node's port from here and from the API server, until both are right."""
        name = progress.entry.name
        trust = self._cluster.trust()
        first_reached = None
        while True:
            try:
                progress.live = await serving_certificate.look_at(progress.entry, trust)
            except ValueError as error:
                progress.fault = f"its port {serving_certificate.KUBELET_PORT} {error}"
            except (TimeoutError, OSError):
                progress.fault = f"its port {serving_certificate.KUBELET_PORT} does not answer here"
            with contextlib.suppress(ApiError, *UNREACHABLE):
                await self._cluster.request("GET", f"{NODES}/{name}/proxy/healthz")
                first_reached = first_reached or self._clock()
                if progress.live is not None:
                    return
                if self._clock() - first_reached > LOOK_LIMIT_S and progress.approved:
                    return
            await asyncio.sleep(PROOF_PAUSE_S)


def to_request(item: dict[str, Any]) -> rules.Request:
    """Return what the rules look at of a CertificateSigningRequest."""
    spec = item["spec"]
    seconds = spec.get("expirationSeconds")
    return rules.Request(
        name=item["metadata"]["name"],
        uid=item["metadata"]["uid"],
        signer=spec["signerName"],
        user=spec.get("username", ""),
        groups=frozenset(spec.get("groups") or ()),
        usages=tuple(spec.get("usages") or ()),
        pem=decode(spec["request"]),
        created=_created(item),
        expiration=None if seconds is None else timedelta(seconds=seconds),
        decided=_decided(item),
    )


def _node_object(node: dict[str, Any]) -> rules.NodeObject:
    metadata = node["metadata"]
    return rules.NodeObject(name=metadata["name"], deleting="deletionTimestamp" in metadata)


def _decided(item: dict[str, Any]) -> bool:
    status = item.get("status") or {}
    return bool(status.get("conditions") or status.get("certificate"))


def _created(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])


def _condition(node: dict[str, Any] | None, kind: str, field: str = "status") -> str:
    conditions = ((node or {}).get("status") or {}).get("conditions") or []
    return next((str(c.get(field, "")) for c in conditions if c["type"] == kind), "")
