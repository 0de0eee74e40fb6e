"""Judges serving requests as they come and go, and approves those that pass the rules.

The gate of a pool and the resident approver share it. Each request is judged in a task of its own,
by what is known at that moment: no request holds up another one, and what the API server does not
answer is asked again.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from admission import rules
from admission.api_server.api import CSRS, Api, ApiError
from admission.api_server.outages import UNREACHABLE
from admission.api_server.rights import RightsGrace
from admission.delegate import Delegate
from admission.objects.csr import (
    count_pending,
    is_undecided,
    judged_request,
    kept_request,
    request_pem,
    requesting_node,
)
from admission.objects.whole_requests import WholeRequests

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
REQUESTS_AT_ONCE = 16
READINGS_AT_ONCE = 2  # of requests that may be large
MESSAGE = "its requester, names and addresses are those of the inventory"


class Judge:
    """Holds the undecided requests, and judges each whenever something has changed."""

    message = MESSAGE
    """What an approval says about the request."""

    def __init__(self, api: Api, delegate: Delegate, *, now: Callable[[], datetime]) -> None:
        self._api, self._delegate, self._now = api, delegate, now
        self._at_once = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._readings_at_once = asyncio.Semaphore(READINGS_AT_ONCE)
        # Node -> UID -> object, and the requests that are being judged.
        self._pending: dict[str, dict[str, dict[str, Any]]] = {}
        self._nodes: dict[str, str] = {}  # UID -> node
        self._whole = WholeRequests()
        self._judging: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._pauses_s: dict[str, float] = {}  # UID -> the next pause before it is judged again
        self._paused: set[str] = set()
        self._rights = RightsGrace(asyncio.get_running_loop().time)
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with an ApiError when our rights have been insufficient for some seconds."""

    async def close(self) -> None:
        """Stop judging."""
        self.broken.cancel()
        tasks = [*self._judging.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def pending(self) -> Iterator[dict[str, Any]]:
        """Yield every undecided request."""
        for requests in self._pending.values():
            yield from requests.values()

    def forget(self) -> None:
        """Drop all requests: the complete list follows."""
        self._pending.clear()
        self._nodes.clear()
        self._whole = WholeRequests()
        self._pauses_s.clear()

    def add(self, item: dict[str, Any]) -> str | None:
        """Take an undecided request, or a new version of it; return the UID of one dropped for it.

        Of a flood the oldest are.
        """
        node, uid = requesting_node(item), item["metadata"]["uid"]
        self._pending.setdefault(node, {})[uid] = item
        self._nodes[uid] = node
        gone = self._whole.add(item)
        dropped = None if gone is None else str(gone["metadata"]["uid"])
        if dropped is not None:
            self._pending[node].pop(dropped, None)
            self._nodes.pop(dropped, None)
            self._pauses_s.pop(dropped, None)
        self._soon(node, uid)
        return dropped

    def remove(self, item: dict[str, Any]) -> None:
        """Drop a request that is decided or gone, or can't be read: its UID is enough."""
        uid = item["metadata"]["uid"]
        node = self._nodes.pop(uid, "")
        requests = self._pending.get(node, {})
        if uid in requests:
            self._whole.remove(requests.pop(uid))
        self._pauses_s.pop(uid, None)
        if not requests:
            self._pending.pop(node, None)
        elif len(requests) <= rules.MOST_PENDING:
            self.reconsider(node)  # it may have been a flood, or have waited for this one

    def reconsider(self, node: str | None = None) -> None:
        """Judge the requests of a node, or all, again: what they are judged by has changed."""
        for name in [*self._pending] if node is None else [node]:
            for uid in [*self._pending.get(name, ())]:
                self._soon(name, uid)

    def _item(self, node: str, uid: str) -> dict[str, Any] | None:
        return self._pending.get(node, {}).get(uid)

    def _soon(self, node: str, uid: str) -> None:
        if self.broken.done() or not self._delegate.may_judge():
            return
        if uid in self._judging:
            self._again.add(uid)
        elif self._item(node, uid) is not None:
            self._judging[uid] = asyncio.create_task(self._judge(node, uid))
            self._judging[uid].add_done_callback(partial(self._judged, node, uid))

    def _later(self, node: str, uid: str) -> None:
        if uid in self._paused or self._item(node, uid) is None:
            return
        pause_s = self._pauses_s.get(uid, FIRST_RETRY_S)
        self._pauses_s[uid] = min(2 * pause_s, LONGEST_RETRY_S)
        self._paused.add(uid)
        asyncio.get_running_loop().call_later(pause_s, self._after_pause, node, uid)

    def _after_pause(self, node: str, uid: str) -> None:
        self._paused.discard(uid)
        self._soon(node, uid)

    def _judged(self, node: str, uid: str, task: asyncio.Task[None]) -> None:
        del self._judging[uid]
        if task.cancelled() or self.broken.done():
            return
        error, item = task.exception(), self._item(node, uid)
        if isinstance(error, ApiError) and error.status in (401, 403) and self._rights.is_over():
            self.broken.set_exception(error)
        elif isinstance(error, (ApiError, *UNREACHABLE)):
            if item is not None:
                self._delegate.failed(item, f"{type(error).__name__} {error}")
            self._later(node, uid)
        elif error is not None:
            if item is not None:
                reason = f"it can't be judged ({type(error).__name__})"
                self._delegate.undecided(item, rules.Refuse(reason=reason))
        elif uid in self._again:
            self._soon(node, uid)
        self._again.discard(uid)

    async def _judge(self, node: str, uid: str) -> None:
        """Decide on one request as it is now, and approve it if it passes the rules."""
        item = self._item(node, uid)
        if item is None:
            return
        decision = self._decide(item, allowed=True)
        if isinstance(decision, rules.Unread):
            await self._read_again(node, item)
            return
        if isinstance(decision, rules.Approve):
            async with self._at_once:
                allowed = await self._is_allowed(item)
                # By what is known now: waiting for its turn and for the answer may have taken long.
                decision = self._decide(item, allowed=allowed)
                if isinstance(decision, rules.Approve):
                    await self._approve(item, decision)
                    return
            if not allowed:
                self._later(node, uid)  # it may get the right
        elif isinstance(decision, rules.Refuse) and decision.passes:
            self._later(node, uid)
        if isinstance(decision, rules.Approve | rules.Unread):
            self._soon(node, uid)  # while it waited there were too many, and there no more are
        elif self._delegate.may_judge() and self._item(node, uid) is not None:
            self._delegate.undecided(item, decision)

    async def _read_again(self, node: str, item: dict[str, Any]) -> None:
        """Read a request of which only a part was kept while there were too many of them."""
        name, uid = (item["metadata"][key] for key in ("name", "uid"))
        async with self._readings_at_once:
            # A list of one: that takes no other right than the watch does.
            selector = quote(f"metadata.name={name}", safe="")
            listed = await self._api.request("GET", f"{CSRS}?fieldSelector={selector}")
        same = [found for found in listed["items"] or () if found["metadata"]["uid"] == uid]
        if not same or not is_undecided(same[0]) or self._item(node, uid) is not item:
            return  # the watch shows what it is now
        same[0]["metadata"].pop("managedFields", None)
        found = kept_request(same[0])
        self.add(found)
        if request_pem(found) is None:
            self._later(node, uid)  # there are too many newer ones
        elif len(self._pending[node]) <= rules.MOST_PENDING:
            self.reconsider(node)  # others may have waited for what it holds

    async def _is_allowed(self, item: dict[str, Any]) -> bool:
        """Ask the API server whether the requester has the right that the rules require."""
        return await self._api.may_serve_itself(item["spec"])

    def _decide(self, item: dict[str, Any], *, allowed: bool) -> rules.Decision:
        facts, now = self._delegate.facts(requesting_node(item)), self._now()
        if facts.problem:
            return rules.Refuse(reason=facts.problem)
        others = self._pending.get(requesting_node(item), {}).values()
        return rules.decide_serving(
            judged_request(item),
            inventory=facts.inventory,
            node=facts.node,
            denied=facts.denied,
            allowed=allowed,
            pending=count_pending(item, others, now),
            now=now,
        )

    async def _approve(self, item: dict[str, Any], decision: rules.Approve) -> bool:
        """Approve a request, and return whether it is; one that has changed meanwhile is not."""
        name = item["metadata"]["name"]
        approved = {"type": "Approved", "status": "True", "reason": "KubeletTlsBootstrap"}
        # With the resourceVersion that was judged: one that has changed since is a conflict.
        body = {**item, "status": {"conditions": [{**approved, "message": self.message}]}}
        if not self._delegate.may_judge():  # the Lease may have ended meanwhile
            return False
        try:
            await self._api.request("PUT", f"{CSRS}/{quote(name, safe='')}/approval", body)
        except ApiError as error:
            if error.status in (404, 409):
                return False  # gone or changed: the watch shows what it is now
            if error.status == 403 and await self._api.may_approve(item["spec"]["signerName"]):
                # A policy or a webhook refuses this one: nobody else's wait is a matter of that.
                self._delegate.failed(item, str(error))
                self._later(requesting_node(item), item["metadata"]["uid"])
                return False
            raise
        self._rights.restart()
        self.remove(item)
        self._delegate.approved(item, decision)
        return True
