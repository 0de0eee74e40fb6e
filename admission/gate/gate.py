"""The gate of a pool: approves its nodes' requests for certificates and proves each join.

Watches of requests and Nodes report every change, and each change wakes what depends on it. No
request or node holds up another one. A node has joined when its Node is Ready, its serving
certificate is in use with what was approved, and the API server reaches the kubelet. As soon as its
Node is there, it gets the labels, annotations and taints of the settings.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from admission import rules
from admission.api_server.api import CLIENT_CSRS, NODES, SERVING_CSRS, Api, Say, Watched
from admission.gate import report
from admission.gate.attributes import AttributeSetter
from admission.gate.decisions import Decisions
from admission.gate.judges import ClientJudge, ManualJudge
from admission.gate.orders import Orders
from admission.gate.progress import Progress, Step
from admission.gate.proof import Prover
from admission.inventory import InventoryNode
from admission.judge import Judge
from admission.objects.csr import kept_request, request_status, requesting_node
from admission.objects.judged_node import judged_node, kept_node
from admission.objects.node_attributes import Attributes
from admission.objects.whole_requests import new_bound
from admission.serving_certificate import ServingCertificate

QUIET_S = 30.0  # without a step, until it is said for whom the gate waits


class Gate:
    """One run for one pool."""

    def __init__(
        self,
        orders: Orders,
        api: Api,
        look: Callable[[InventoryNode], Awaitable[ServingCertificate]],
        say: Say,
        *,
        grants: Mapping[str, rules.TokenGrant] = MappingProxyType({}),
        token_problems: Mapping[str, str] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api, self._say, self._clock = api, say, clock
        self._stall_s = orders.stall_s
        self._started = self._moved = clock()
        manual = orders.serving_approval == "manual"
        self._gated = orders.client_approval == "gate"
        self._wake = {name: asyncio.Event() for name in orders.nodes}
        self._nodes_listed = False
        self.progress = {
            name: Progress(
                entry=entry,
                wanted=orders.attributes.get(name, Attributes()),
                registered=orders.registered.get(name, {}),
                token_problem=token_problems.get(name, ""),
                gated=self._gated,
                manual=manual,
                restarted=orders.restarts.get(name),
            )
            for name, entry in orders.nodes.items()
        }
        self._attributes = AttributeSetter(api, say)
        self._prover = Prover(api, look, self._reach, clock)
        self._decisions = decisions = Decisions(orders, self.progress, self._reach, say)
        self._client_judge = ClientJudge(api, decisions, grants=grants, now=now)
        self._judge = (
            ManualJudge(api, decisions, decisions.show_command, now=now)
            if manual
            else Judge(api, decisions, now=now)
        )

    async def run(self) -> bool:
        """Admit every node, and return whether all joined before progress stopped.

        Raises:
            ApiError: the kubeconfig's rights are insufficient.
            UNTRUSTED: the kubeconfig's CA did not sign the API server's certificate.
        """
        joins = (self._join(progress) for progress in self.progress.values())
        await self._judge_until(asyncio.gather(*joins), asyncio.create_task(self._stalled()))
        return all(progress.joined for progress in self.progress.values())

    async def _join(self, progress: Progress) -> None:
        wake = self._wake[progress.entry.name]
        await self._attributes.follow(progress, wake)
        await self._prover.prove(progress, wake)

    async def approve(self) -> None:
        """Approve what the rules let pass, and prove nothing, until it is cancelled.

        Raises:
            ApiError, UNTRUSTED: as `run` does.
        """
        await self._judge_until(asyncio.get_running_loop().create_future())

    async def _judge_until(self, *ends: asyncio.Future[Any]) -> None:
        """Watch and judge until one of these has ended; the others are cancelled then."""
        watches = [
            asyncio.create_task(self._api.watch(watched, see, self._say))
            for watched, see in (
                (
                    Watched(SERVING_CSRS, self._keep_serving_request, new_bound),
                    self._see_serving_request,
                ),
                (
                    Watched(CLIENT_CSRS, self._decisions.keep_client_request, new_bound),
                    self._see_client_request,
                ),
                (Watched(NODES, self._keep_node), self._see_node),
            )
        ]
        tasks = [*ends, *watches]
        try:
            done, _ = await asyncio.wait(
                {*tasks, self._judge.broken, self._client_judge.broken},
                return_when=asyncio.FIRST_COMPLETED,
            )
            for ended in done:
                ended.result()  # a watch ends only with an error
        finally:
            for task in tasks:
                task.cancel()
            closing = (self._judge.close(), self._client_judge.close())
            await asyncio.gather(*tasks, *closing, return_exceptions=True)

    async def _stalled(self) -> None:
        """End when no node has reached a step for as long as the orders say."""
        while (left := self._moved + self._stall_s - self._clock()) > 0:
            await asyncio.sleep(min(left, QUIET_S))
            if QUIET_S <= self._clock() - self._moved < self._stall_s:
                self._say(report.waiting(self.progress.values()))

    def _reach(self, progress: Progress, step: Step, line: str = "") -> None:
        """Note a node's step. Only the first time counts, so that no noise keeps a run alive."""
        if step not in progress.seconds:
            self._moved = self._clock()
            progress.seconds[step] = self._moved - self._started
            if line:
                total = len(self.progress)
                count = f" ({self._joined} of {total})" if step == "joined" and total > 1 else ""
                self._say(f"{progress.entry.name}: {line}{count}")

    @property
    def _joined(self) -> int:
        return sum(progress.joined for progress in self.progress.values())

    # Requests

    def _see_client_request(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            self._client_judge.forget()
            return
        if kind == "DELETED":
            self._client_judge.remove(item)
        if "spec" not in item:
            return  # one that can't be read
        progress = self.progress.get(self._decisions.joining_node(item))
        request = request_status(item)
        if progress is not None:
            progress.remember("client", request)
            self._reach(progress, "asked")
            if request.approved:
                self._reach(progress, "admitted")
        if not self._gated:
            return
        if request.approved:
            self._client_judge.used(item)
        if kind == "DELETED" or request.state != "pending":
            self._client_judge.remove(item)
        else:
            self._client_judge.add(item)

    def _keep_serving_request(self, item: dict[str, Any]) -> dict[str, Any] | None:
        progress = self.progress.get(requesting_node(item))
        if progress is None or item["spec"]["username"] != progress.entry.user:
            return None  # another pool's, or nobody's: not ours to judge
        return kept_request(item)

    def _see_serving_request(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            self._judge.forget()
            return
        if kind == "DELETED":
            self._judge.remove(item)
        if "spec" not in item:
            return  # one that can't be read
        progress = self.progress[requesting_node(item)]
        request = request_status(item)
        progress.remember("serving", request)
        if kind != "DELETED" and progress.serving is request:
            self._decisions.remember_approved(progress, item)
        if kind == "DELETED" or request.state != "pending":
            self._judge.remove(item)
            if request.state == "issued":
                self._wake[progress.entry.name].set()
        else:
            self._reach(progress, "asked")
            self._judge.add(item)

    # Nodes

    def _keep_node(self, node: dict[str, Any]) -> dict[str, Any] | None:
        return kept_node(node) if node["metadata"]["name"] in self.progress else None

    def _see_node(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            present = {node["metadata"]["name"] for node in item.get("items") or []}
            for gone in self.progress.keys() - present:
                self.progress[gone].node = None
                if self.progress[gone].token_problem and not self._nodes_listed:
                    self._say(f"{gone}: {self.progress[gone].token_problem}")
            self._nodes_listed = True
            return
        name = item["metadata"]["name"]
        progress = self.progress.get(name)
        if progress is None:
            return
        before = progress.node and judged_node(progress.node)
        progress.node = None if kind == "DELETED" else item
        if progress.node is not None:
            if "registered" not in progress.seconds and progress.taken:
                self._say(f"{name}: {progress.taken}")
            self._reach(progress, "registered")
            if before != judged_node(progress.node):
                self._judge.reconsider(name)  # a request may have waited for it
        self._wake[name].set()
