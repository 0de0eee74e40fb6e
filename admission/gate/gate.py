"""The gate of a pool: approves its nodes' requests for certificates and proves each join.

Two watches (CSRs and Nodes) tell of every change; each wakes what depends on it. Nothing that one
request or node does holds up another. A node has joined when its Node is Ready, its serving
certificate is live with its own names and addresses, and the API server reaches the kubelet.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from admission import rules
from admission.api_server.api import CSRS, NODES, Api, Say, decode
from admission.gate.judges import Adviser, ClientJudge
from admission.gate.progress import Kind, Progress, Step, read_ask
from admission.gate.proof import Prover
from admission.inventory import NodeEntry, Orders
from admission.judge import Facts, Judge, node_of, to_node
from admission.rules import certificate_request
from admission.serving_certificate import ServingCertificate

MOST_TOLD = 10
LONGEST_LINE = 300


class Gate:
    """One run for one pool."""

    def __init__(
        self,
        orders: Orders,
        api: Api,
        look: Callable[[NodeEntry], Awaitable[ServingCertificate]],
        say: Say,
        *,
        grants: Mapping[str, rules.TokenGrant] = MappingProxyType({}),
        token_faults: Mapping[str, str] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._orders, self._api, self._say = orders, api, say
        self._clock = clock
        self._started = self._moved = clock()
        self._prover = Prover(api, look, self._reach, clock)
        self._manual = orders.serving_approval == "manual"
        self._judge = (
            Adviser(api, self, self._advise, now=now) if self._manual else Judge(api, self, now=now)
        )
        self._client_judge = ClientJudge(api, self, grants=grants, now=now)
        self._gated = orders.client_approval == "gate"
        self._tokens = {token.user: token for token in orders.tokens}
        # What was said of a node's requests, by UID, so that it is said once and a flood is not.
        self._told: dict[str, dict[str, str]] = {name: {} for name in orders.nodes}
        self._wake = {name: asyncio.Event() for name in orders.nodes}
        self._nodes_listed = False
        self.progress = {
            name: Progress(
                entry=entry,
                token_fault=token_faults.get(name, ""),
                gated=self._gated,
                manual=self._manual,
            )
            for name, entry in orders.nodes.items()
        }

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
        proofs = {
            asyncio.create_task(self._prover.prove(progress, self._wake[name]))
            for name, progress in self.progress.items()
        }
        stall = asyncio.create_task(self._stalled())
        waiting = set(proofs)
        try:
            while waiting:
                done, _ = await asyncio.wait(
                    {*waiting, *watches, stall, self._judge.broken, self._client_judge.broken},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for ended in done:
                    ended.result()  # a watch ends only with an error
                if stall in done:
                    break
                waiting -= done
        finally:
            tasks = [*watches, *proofs, stall]
            for task in tasks:
                task.cancel()
            closing = (self._judge.close(), self._client_judge.close())
            await asyncio.gather(*tasks, *closing, return_exceptions=True)
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
            self._judge.forget()
            self._client_judge.forget()
        elif item["spec"]["signerName"] == rules.SERVING_SIGNER:
            self._see_serving_request(kind, item)
        elif item["spec"]["signerName"] == rules.CLIENT_SIGNER:
            self._see_client_request(kind, item)

    def _see_client_request(self, kind: str, item: dict[str, Any]) -> None:
        if item["spec"].get("username") not in self._tokens:
            return  # another pool's, or nobody's: not ours to judge
        progress, ask = self.progress.get(self._node_of(item)), read_ask(item)
        if progress is not None:
            progress.remember("client", ask)
            self._reach(progress, "asked")
            if ask.approved:
                self._reach(progress, "admitted")
        if not self._gated:
            return
        if ask.approved:
            self._client_judge.used(item)
        if kind == "DELETED" or ask.state != "pending":
            self._client_judge.remove(item)
        else:
            self._client_judge.add(item)

    def _node_of(self, item: dict[str, Any]) -> str:
        """Return whose request it is: by its token's node, or else by the requester's name.

        With a token of the whole pool it is what the request claims: a hint for the report.
        """
        token = self._tokens.get(item["spec"].get("username", ""))
        if token is None:
            return node_of(item)
        if token.node:
            return token.node
        claimed = certificate_request.claimed_node(decode(item["spec"]["request"])) or ""
        return claimed.removeprefix(rules.USER_PREFIX)

    def _see_serving_request(self, kind: str, item: dict[str, Any]) -> None:
        progress = self.progress.get(node_of(item))
        if progress is None or item["spec"]["username"] != progress.entry.user:
            return  # another pool's, or nobody's: not ours to judge
        ask = read_ask(item)
        progress.remember("serving", ask)
        name = progress.entry.name
        if kind == "DELETED" or ask.state != "pending":
            self._judge.remove(item)
            if ask.state == "issued":
                self._wake[name].set()
        else:
            self._reach(progress, "asked")
            self._judge.add(item)

    # What the judge asks and tells

    def facts(self, node: str) -> Facts:
        """Return what a request of the node is judged by."""
        found = self.progress[node].node
        return Facts(
            inventory=self._orders.nodes,
            denied=self._orders.denied,
            node=None if found is None else to_node(found),
        )

    def in_office(self) -> bool:
        """Tell that a gate judges from its first moment to its last."""
        return True

    def approved(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Note that a request has been approved."""
        progress, name = self.progress[self._node_of(item)], item["metadata"]["name"]
        kind = _kind(item)
        progress.refused.pop(kind, None)
        names = (*decision.content.dns_names, *map(str, decision.content.addresses))
        holds = f" (SANs {', '.join(names)})" if names else ""
        self._say(f"{progress.entry.name}: {kind} CSR {name} approved{holds}")
        self._reach(progress, "approved" if kind == "serving" else "admitted")

    def undecided(self, item: dict[str, Any], decision: rules.Wait | rules.Refuse) -> None:
        """Note why a request is refused; one that waits is judged again by itself."""
        if isinstance(decision, rules.Refuse):
            kind, request = _kind(item), item["metadata"]["name"]
            reason = decision.reason[:LONGEST_LINE]
            refused = f"its {kind} request {request} is refused: {reason}"
            self.progress[self._node_of(item)].refused[kind] = refused
            self._tell(item, f"refused: {decision.reason}")

    def failed(self, item: dict[str, Any], error: str) -> None:
        """Note that the API server did not answer."""
        self._tell(item, f"{error}; tried again")

    def _advise(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Say what to type for a request that a person is to approve."""
        self.progress[self._node_of(item)].refused.pop("serving", None)
        names = ", ".join((*decision.content.dns_names, *map(str, decision.content.addresses)))
        self._tell(
            item,
            f"is right in all that the rules ask (SANs {names}):"
            f" kubectl certificate approve {item['metadata']['name']}",
        )

    def _tell(self, item: dict[str, Any], line: str) -> None:
        name, uid = self._node_of(item), item["metadata"]["uid"]
        told, kind = self._told[name], _kind(item)
        if told.get(uid) == line or len(told) > MOST_TOLD:
            return
        told[uid] = line
        if len(told) <= MOST_TOLD:
            self._say(f"{name}: {kind} CSR {item['metadata']['name']} {line[:LONGEST_LINE]}")
        else:
            self._say(f"{name}: more of its {kind} CSRs are refused; see kubectl get csr")

    # Nodes

    def _see_node(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            present = {node["metadata"]["name"] for node in item.get("items") or []}
            for gone in self.progress.keys() - present:
                self.progress[gone].node = None
                if self.progress[gone].token_fault and not self._nodes_listed:
                    self._say(f"{gone}: {self.progress[gone].token_fault}")
            self._nodes_listed = True
            return
        name = item["metadata"]["name"]
        progress = self.progress.get(name)
        if progress is None:
            return
        before = progress.node and to_node(progress.node)
        progress.node = None if kind == "DELETED" else item
        if progress.node is not None:
            if "there" not in progress.seconds and progress.taken:
                self._say(f"{name}: {progress.taken}")
            self._reach(progress, "there")
            if before != to_node(progress.node):
                self._judge.reconsider(name)  # a request may have waited for it
        self._wake[name].set()


def _kind(item: dict[str, Any]) -> Kind:
    return "serving" if item["spec"]["signerName"] == rules.SERVING_SIGNER else "client"
