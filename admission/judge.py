"""Judges serving requests as they come and go, and approves those that the rules let through.

What the gate of a pool and the resident approver have in common. Each request is judged in a task
of its own, by what is known at that moment: nothing that one request does holds up another, and a
lost answer of the API server is asked for again.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Protocol

from admission import rules
from admission.api_server.api import CSRS, RIGHTS_LIMIT_S, UNREACHABLE, Api, ApiError, decode
from admission.inventory import Denied, NodeEntry

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
REQUESTS_AT_ONCE = 16
MESSAGE = "its requester, names and addresses are those of the inventory"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a request of a node is judged by."""

    inventory: Mapping[str, NodeEntry]
    denied: Denied
    node: rules.NodeObject | None
    fault: str = ""  # why no request of this node may be approved, whatever it holds


class Bench(Protocol):
    """Whom a judge asks, and whom it tells."""

    def facts(self, node: str) -> Facts:
        """Return what is known now that a request of the node is judged by."""

    def in_office(self) -> bool:
        """Tell whether requests may be judged and approved now."""

    def approved(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Take in that a request has been approved."""

    def undecided(self, item: dict[str, Any], decision: rules.Wait | rules.Refuse) -> None:
        """Take in why a request is not approved."""

    def failed(self, item: dict[str, Any], error: str) -> None:
        """Take in that the API server did not answer; it is asked again."""


class Judge:
    """Holds the undecided requests, and judges each whenever something has changed."""

    message = MESSAGE
    """What an approval says of the request."""

    def __init__(self, api: Api, bench: Bench, *, now: Callable[[], datetime]) -> None:
        self._api, self._bench, self._now = api, bench, now
        self._at_once = asyncio.Semaphore(REQUESTS_AT_ONCE)
        # Node -> UID -> object, and those that are being judged.
        self._pending: dict[str, dict[str, dict[str, Any]]] = {}
        self._judging: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._pauses_s: dict[str, float] = {}  # UID -> the next one before it is judged again
        self._paused: set[str] = set()
        self._forbidden_at: float | None = None  # since when no approval has been let through
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with an ApiError when our rights are not enough, and have not been for seconds."""

    async def close(self) -> None:
        """Give up what is under way."""
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
        """Hold nothing any more: the whole list comes anew."""
        self._pending.clear()
        self._pauses_s.clear()

    def add(self, item: dict[str, Any]) -> None:
        """Take in a request that is not decided, or what has changed of it."""
        self._pending.setdefault(node_of(item), {})[item["metadata"]["uid"]] = item
        self._soon(node_of(item), item["metadata"]["uid"])

    def remove(self, item: dict[str, Any]) -> None:
        """Take in that a request is decided or gone."""
        requests = self._pending.get(node_of(item), {})
        requests.pop(item["metadata"]["uid"], None)
        self._pauses_s.pop(item["metadata"]["uid"], None)
        if not requests:
            self._pending.pop(node_of(item), None)

    def reconsider(self, node: str | None = None) -> None:
        """Judge the requests of a node again, or else all: what they are judged by has changed."""
        for name in [*self._pending] if node is None else [node]:
            for uid in [*self._pending.get(name, ())]:
                self._soon(name, uid)

    def _item(self, node: str, uid: str) -> dict[str, Any] | None:
        return self._pending.get(node, {}).get(uid)

    def _soon(self, node: str, uid: str) -> None:
        if self.broken.done() or not self._bench.in_office():
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
        if isinstance(error, ApiError) and error.status in (401, 403) and self._is_forbidden():
            self.broken.set_exception(error)
        elif isinstance(error, (ApiError, *UNREACHABLE)):
            if item is not None:
                self._bench.failed(item, f"{type(error).__name__} {error}")
            self._later(node, uid)
        elif error is not None:
            if item is not None:
                reason = f"it can't be judged ({type(error).__name__})"
                self._bench.undecided(item, rules.Refuse(reason=reason))
        elif uid in self._again:
            self._soon(node, uid)
        self._again.discard(uid)

    def _is_forbidden(self) -> bool:
        """Tell whether the API server has let nothing through for a while: it may have started."""
        now = asyncio.get_running_loop().time()
        if self._forbidden_at is None:
            self._forbidden_at = now
        return now - self._forbidden_at > RIGHTS_LIMIT_S

    async def _judge(self, node: str, uid: str) -> None:
        """Decide on one request as it is now, and approve it if the rules say so."""
        item = self._item(node, uid)
        if item is None:
            return
        decision = self._decide(item, allowed=True)
        if isinstance(decision, rules.Approve):
            async with self._at_once:
                allowed = await self._is_allowed(item)
                # By what is known now: its turn, and the answer, may have been long in coming.
                decision = self._decide(item, allowed=allowed)
                if isinstance(decision, rules.Approve):
                    await self._approve(item, decision)
                    return
            if not allowed:
                self._later(node, uid)  # the right may come
        if self._bench.in_office() and self._item(node, uid) is not None:
            self._bench.undecided(item, decision)

    async def _is_allowed(self, item: dict[str, Any]) -> bool:
        """Ask the API server what the rules want to know of it."""
        return await self._api.may_serve_itself(item["spec"])

    def _decide(self, item: dict[str, Any], *, allowed: bool) -> rules.Decision:
        facts, now = self._bench.facts(node_of(item)), self._now()
        if facts.fault:
            return rules.Refuse(reason=facts.fault)
        others = self._pending.get(node_of(item), {}).values()
        return rules.decide_serving(
            to_request(item),
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
        if not self._bench.in_office():  # the office may have ended meanwhile
            return False
        try:
            await self._api.request("PUT", f"{CSRS}/{name}/approval", body)
        except ApiError as error:
            if error.status in (404, 409):
                return False  # gone or changed: the watch brings what it is now
            raise
        self._forbidden_at = None
        self.remove(item)
        self._bench.approved(item, decision)
        return True


def node_of(item: dict[str, Any]) -> str:
    """Return the name of the node whose user has made a request.

    For a user of no node it is the user's own behind a colon, which is in no node's name.
    """
    user: str = item["spec"].get("username", "")
    is_node = user.startswith(rules.USER_PREFIX)
    return user.removeprefix(rules.USER_PREFIX) if is_node else f":{user}"


def count_pending(item: dict[str, Any], others: Iterable[dict[str, Any]], now: datetime) -> int:
    """Count the young ones among a requester's undecided requests, to one more than it may have.

    Thousands are judged as fast as one: each stops counting soon. One that is old is refused for
    its age, however many there are.
    """
    if now - _created(item) > rules.OLDEST:
        return 1
    young = (other for other in others if now - _created(other) <= rules.OLDEST)
    return sum(1 for _ in islice(young, rules.MOST_PENDING + 1))


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
    return rules.NodeObject(
        name=metadata["name"],
        deleting="deletionTimestamp" in metadata,
        uid=metadata.get("uid", ""),
    )


def _created(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])
