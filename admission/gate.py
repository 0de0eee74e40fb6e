"""The gate of a pool: approves its nodes' serving requests and proves each join.

Two watches (CSRs and Nodes) tell of every change; each wakes what depends on it. Nothing that one
request or node does holds up another. A node has joined when its Node is Ready, its serving
certificate is live with its own names and addresses, and the API server reaches the kubelet.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from admission import certificate_request, rules
from admission.api import CSRS, NODES, UNREACHABLE, Api, ApiError, Say, decode
from admission.inventory import NodeEntry, Orders
from admission.progress import Progress, Step, read_ask
from admission.serving_certificate import KUBELET_PORT, ServingCertificate

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
FIRST_LOOK_S = 0.1
LONGEST_LOOK_S = 2.0
# Then the API server's word is enough: it may be alone in reaching the kubelets.
SILENT_LIMIT_S = 10
RETRY_S = 1.0
REQUESTS_AT_ONCE = 16
PROOFS_AT_ONCE = 64
MOST_TOLD = 10
LONGEST_LINE = 300
MESSAGE = "its requester, names and addresses are those of the inventory"


class Gate:
    """One run for one pool."""

    def __init__(
        self,
        orders: Orders,
        api: Api,
        look: Callable[[NodeEntry], Awaitable[ServingCertificate]],
        say: Say,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._orders, self._api, self._look, self._say = orders, api, look, say
        self._clock, self._now = clock, now
        self._started = self._moved = clock()
        # Two, so that proofs of machines that hang keep no request waiting.
        self._judges = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._provers = asyncio.Semaphore(PROOFS_AT_ONCE)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Undecided serving requests: node -> UID -> object, and those that are being judged.
        self._pending: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in orders.nodes}
        self._judging: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        # What was said of a node's requests, by UID, so that it is said once and a flood is not.
        self._told: dict[str, dict[str, str]] = {name: {} for name in orders.nodes}
        self._wake = {name: asyncio.Event() for name in orders.nodes}
        self.progress = {name: Progress(entry=entry) for name, entry in orders.nodes.items()}

    async def run(self) -> bool:
        """Admit every node, and return whether all have joined before nothing moved any more.

        Raises:
            ApiError: the kubeconfig's rights are not enough.
            UNTRUSTED: the kubeconfig's CA did not sign the API server's certificate.
        """
        watches = [
            asyncio.create_task(self._api.watch(CSRS, self._see_request, self._say)),
            asyncio.create_task(self._api.watch(NODES, self._see_node, self._say)),
        ]
        proofs = {asyncio.create_task(self._prove(p)) for p in self.progress.values()}
        stall = asyncio.create_task(self._stalled())
        waiting = set(proofs)
        try:
            while waiting:
                done, _ = await asyncio.wait(
                    {*waiting, *watches, stall, self._failed}, return_when=asyncio.FIRST_COMPLETED
                )
                for ended in done:
                    ended.result()  # a watch ends only with an error
                if stall in done:
                    break
                waiting -= done
        finally:
            tasks = [*watches, *proofs, stall, *self._judging.values()]
            self._failed.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return all(progress.joined for progress in self.progress.values())

    async def _stalled(self) -> None:
        """End when nothing has moved for as long as the orders say."""
        while (left := self._moved + self._orders.stall_s - self._clock()) > 0:
            await asyncio.sleep(left)

    def _reach(self, progress: Progress, step: Step, line: str = "") -> None:
        """Note a node's step. Only a first one counts, so that no noise keeps a run alive."""
        if step not in progress.seconds:
            self._moved = self._clock()
            progress.seconds[step] = self._moved - self._started
            if line:
                self._say(f"{progress.entry.name}: {line}")

    # Requests

    def _see_request(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            for pending in self._pending.values():
                pending.clear()
            return
        spec = item["spec"]
        if spec["signerName"] == rules.SERVING_SIGNER:
            self._see_serving_request(kind, item)
        elif (
            spec["signerName"] == CLIENT_SIGNER
            and spec.get("username") == f"system:bootstrap:{self._orders.token.id}"
        ):
            claimed = certificate_request.claimed_node(decode(spec["request"])) or ""
            progress = self.progress.get(claimed.removeprefix(rules.USER_PREFIX))
            if progress is not None:
                progress.remember("client", read_ask(item))
                self._reach(progress, "asked")

    def _see_serving_request(self, kind: str, item: dict[str, Any]) -> None:
        user, uid = item["spec"].get("username", ""), item["metadata"]["uid"]
        progress = self.progress.get(user.removeprefix(rules.USER_PREFIX))
        if progress is None or user != progress.entry.user:
            return  # another pool's, or nobody's: not ours to judge
        ask = read_ask(item)
        progress.remember("serving", ask)
        name = progress.entry.name
        if kind == "DELETED" or ask.state != "pending":
            self._pending[name].pop(uid, None)
            if ask.state == "issued":
                self._wake[name].set()
        else:
            self._reach(progress, "asked")
            self._pending[name][uid] = item
            self._judge_soon(name, uid)

    def _judge_soon(self, name: str, uid: str) -> None:
        if uid in self._judging:
            self._again.add(uid)
        elif uid in self._pending[name] and not self._failed.done():
            self._judging[uid] = asyncio.create_task(self._judge(name, uid))
            self._judging[uid].add_done_callback(partial(self._judged, name, uid))

    def _judged(self, name: str, uid: str, task: asyncio.Task[None]) -> None:
        del self._judging[uid]
        if task.cancelled() or self._failed.done():
            return
        error = task.exception()
        if isinstance(error, ApiError) and error.status in (401, 403):
            self._failed.set_exception(error)
        elif isinstance(error, (ApiError, *UNREACHABLE)):
            self._tell(name, uid, f"{type(error).__name__} {error}; tried again")
            self._judge_later(name, uid)
        elif error is not None:
            self._refuse(name, uid, f"it can't be judged ({type(error).__name__})")
        elif uid in self._again:
            self._judge_soon(name, uid)
        self._again.discard(uid)

    def _judge_later(self, name: str, uid: str) -> None:
        asyncio.get_running_loop().call_later(RETRY_S, self._judge_soon, name, uid)

    async def _judge(self, name: str, uid: str) -> None:
        """Decide on one request as it is now, and approve it if the rules say so."""
        item = self._pending[name].get(uid)
        if item is None:
            return
        decision = self._decide(item, allowed=True)
        if isinstance(decision, rules.Approve):
            async with self._judges:
                allowed = await self._api.may_serve_itself(item["spec"])
            if not allowed:
                self._judge_later(name, uid)  # the right may come
            decision = self._decide(item, allowed=allowed)
        if isinstance(decision, rules.Approve):
            async with self._judges:
                await self._approve(item, decision, self.progress[name])
        elif isinstance(decision, rules.Refuse):
            self._refuse(name, uid, decision.reason)

    def _decide(self, item: dict[str, Any], *, allowed: bool) -> rules.Decision:
        request, now = to_request(item), self._now()
        name = request.user.removeprefix(rules.USER_PREFIX)
        fresh = (now - _created(other) <= rules.OLDEST for other in self._pending[name].values())
        node = self.progress[name].node
        return rules.decide_serving(
            request,
            inventory=self._orders.nodes,
            node=None if node is None else to_node(node),
            denied=self._orders.denied,
            allowed=allowed,
            pending=sum(fresh),
            now=now,
        )

    async def _approve(
        self, item: dict[str, Any], decision: rules.Approve, progress: Progress
    ) -> None:
        name = item["metadata"]["name"]
        approved = {"type": "Approved", "status": "True", "reason": "KubeletTlsBootstrap"}
        # With the resourceVersion that was judged: one that has changed since is a conflict.
        body = {**item, "status": {"conditions": [{**approved, "message": MESSAGE}]}}
        try:
            await self._api.request("PUT", f"{CSRS}/{name}/approval", body)
        except ApiError as error:
            if error.status in (404, 409):
                return  # gone or changed: the watch brings what it is now
            raise
        self._pending[progress.entry.name].pop(item["metadata"]["uid"], None)
        progress.refused = ""
        names = (*decision.content.dns_names, *map(str, decision.content.addresses))
        self._say(f"{progress.entry.name}: serving CSR {name} approved (SANs {', '.join(names)})")
        self._reach(progress, "approved")

    def _refuse(self, name: str, uid: str, reason: str) -> None:
        item = self._pending[name].get(uid)
        if item is not None:
            request = item["metadata"]["name"]
            refused = f"its serving request {request} is refused: {reason[:LONGEST_LINE]}"
            self.progress[name].refused = refused
            self._tell(name, uid, f"refused: {reason}")

    def _tell(self, name: str, uid: str, line: str) -> None:
        item, told = self._pending[name].get(uid), self._told[name]
        if item is None or told.get(uid) == line or len(told) > MOST_TOLD:
            return
        told[uid] = line
        if len(told) <= MOST_TOLD:
            self._say(f"{name}: serving CSR {item['metadata']['name']} {line[:LONGEST_LINE]}")
        else:
            self._say(f"{name}: more of its serving CSRs are refused; see kubectl get csr")

    # Nodes

    def _see_node(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            present = {node["metadata"]["name"] for node in item.get("items") or []}
            for gone in self.progress.keys() - present:
                self.progress[gone].node = None
            return
        name = item["metadata"]["name"]
        progress = self.progress.get(name)
        if progress is None:
            return
        before = progress.node and to_node(progress.node)
        progress.node = None if kind == "DELETED" else item
        if progress.node is not None:
            self._reach(progress, "there")
            if before != to_node(progress.node):
                for uid in [*self._pending[name]]:  # a request may have waited for it
                    self._judge_soon(name, uid)
        self._wake[name].set()

    async def _prove(self, progress: Progress) -> None:
        """Return once the node has joined."""
        wake, pause_s = self._wake[progress.entry.name], FIRST_LOOK_S
        silent_since = None
        while True:
            wake.clear()
            if not progress.ready:
                await wake.wait()
                pause_s = FIRST_LOOK_S
                continue
            self._reach(progress, "ready")
            silent = await self._look_at_port(progress)
            if await self._is_reached(progress):
                self._reach(progress, "reached")
                if progress.certificate is not None:
                    break
                if silent:
                    silent_since = silent_since or self._clock()
                    if self._clock() - silent_since >= SILENT_LIMIT_S:
                        break
            if not silent:
                silent_since = None
            # A certificate that is issued wakes this; that the kubelet uses it tells nobody.
            try:
                await asyncio.wait_for(wake.wait(), pause_s)
                pause_s = FIRST_LOOK_S
            except TimeoutError:
                pause_s = min(pause_s * 2, LONGEST_LOOK_S)
        seen = "" if progress.certificate else f"; port {KUBELET_PORT} is not reachable from here"
        self._reach(progress, "joined", f"joined{seen}")

    async def _look_at_port(self, progress: Progress) -> bool:
        """Look at the live certificate, and return whether nobody answered."""
        progress.certificate = None
        try:
            progress.certificate = await self._look(progress.entry)
        except ValueError as error:
            progress.port_fault = f"its port {KUBELET_PORT} {error}"
            return False
        except (TimeoutError, OSError):
            progress.port_fault = f"its port {KUBELET_PORT} does not answer here"
            return True
        progress.port_fault = ""
        self._reach(progress, "live")
        return False

    async def _is_reached(self, progress: Progress) -> bool:
        """Ask whether the API server reaches the kubelet: what `kubectl logs` needs."""
        try:
            async with self._provers:
                await self._api.request("GET", f"{NODES}/{progress.entry.name}/proxy/healthz")
        except (ApiError, *UNREACHABLE) as error:
            progress.api_fault = f"the API server does not reach it: {error}"
            return False
        progress.api_fault = ""
        return True


def to_request(item: dict[str, Any]) -> rules.Request:
    """Return what the rules look at of a CertificateSigningRequest."""
    spec, status = item["spec"], item.get("status") or {}
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
        decided=bool(status.get("conditions") or status.get("certificate")),
    )


def to_node(node: dict[str, Any]) -> rules.NodeObject:
    """Return what the rules look at of a Node."""
    metadata = node["metadata"]
    return rules.NodeObject(name=metadata["name"], deleting="deletionTimestamp" in metadata)


def _created(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])
