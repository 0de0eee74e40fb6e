"""How the resident approver reports its decisions: in its log, its metrics and in Events."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from admission import rules
from admission.api_server.api import Api, ApiError
from admission.api_server.outages import UNREACHABLE
from admission.approver.journal import Journal
from admission.approver.metrics import Metrics
from admission.objects.csr import request_pem
from admission.rules.certificate_request import CertificateRequest, parse
from admission.rules.refusals import kind_of

# Events of Nodes, which have no namespace, are in this one.
EVENTS = "/api/v1/namespaces/default/events"
COMPONENT = "kubelet-serving-approver"
STRANGERS = "(not in the inventory)"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose request it is."""

    node: str
    pool: str  # empty for one that is not a node of the inventory
    in_cluster: bool  # whether it has a Node, and this replica is the one to write its Events


class Recorder:
    """Reports each change of a request's fate once."""

    def __init__(
        self, api: Api, journal: Journal, metrics: Metrics, *, now: Callable[[], datetime]
    ) -> None:
        self._api, self._journal, self._metrics, self._now = api, journal, metrics, now
        self._told: dict[str, str] = {}  # UID -> what was last said about it
        self._noted: dict[str, str] = {}  # node -> the kind of its last Event
        self._events: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Give up the Events that are not sent yet."""
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)

    def forget(self, uid: str) -> None:
        """Drop what is known of a request that is decided or gone."""
        self._told.pop(uid, None)

    def approved(
        self, item: dict[str, Any], decision: rules.Approve, seconds: float, place: Place
    ) -> None:
        """Report an approval, and how long after the request it came."""
        self._metrics.count("decisions_total", result="approved", rule="none")
        self._metrics.observe_approval(seconds)
        self._noted.pop(place.node, None)
        self._report(
            "info", "approved", item, place, content=decision.content, node_uid=decision.node_uid
        )

    def undecided(
        self, item: dict[str, Any], decision: rules.Wait | rules.Refuse, place: Place
    ) -> None:
        """Report why a request is not approved."""
        uid, reason = item["metadata"]["uid"], decision.reason
        if self._told.get(uid) == reason:
            return
        self._told[uid] = reason
        waits = isinstance(decision, rules.Wait)
        result, level = ("waits", "info") if waits else ("refused", "warning")
        self._metrics.count("decisions_total", result=result, rule=kind_of(reason))
        self._report(level, result, item, place, reason=reason)
        if not waits:
            text = f"{item['metadata']['name']}: {reason}"
            self._note(place, "ServingCertificateRefused", text)

    def failed(self, item: dict[str, Any], error: str, place: Place) -> None:
        """Report that the API server did not answer."""
        self._metrics.count("api_failures_total")
        self._report("warning", "asked again", item, place, reason=error)

    def moved(self, node: str, address: str, place: Place) -> None:
        """Report a Node with an address that the inventory does not have."""
        reason = f"its Node reports the address {address}, which the inventory does not have"
        self._journal.tell_of(
            node, "warning", "address changed", node=node, pool=place.pool, reason=reason
        )
        self._note(place, "NodeAddressMismatch", reason)

    def _report(
        self,
        level: str,
        decision: str,
        item: dict[str, Any],
        place: Place,
        *,
        reason: str = "",
        content: CertificateRequest | None = None,
        node_uid: str = "",
    ) -> None:
        if content is None:
            try:
                content = parse(request_pem(item) or b"")
            except ValueError:
                content = None  # the reason says what is wrong with it
        self._journal.tell_of(
            place.node if place.pool else STRANGERS,
            level,
            f"serving request {decision}",
            decision=decision,
            reason=reason,
            csr=item["metadata"]["name"],
            uid=item["metadata"]["uid"],
            requester=item["spec"].get("username", ""),
            pool=place.pool,
            nodeUid=node_uid,
            keyFingerprint=content and content.key_fingerprint,
            sans=content and [*content.dns_names, *map(str, content.addresses)],
        )

    def _note(self, place: Place, kind: str, message: str) -> None:
        """Write an Event for a Node of the inventory, one of a kind until a request is approved."""
        if place.pool and place.in_cluster and self._noted.get(place.node) != kind:
            self._noted[place.node] = kind
            task = asyncio.create_task(self._post_event(place.node, kind, message))
            self._events.add(task)
            task.add_done_callback(self._events.discard)

    async def _post_event(self, node: str, kind: str, message: str) -> None:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{node[:200]}.", "namespace": "default"},
            # As the kubelet and `kubectl describe node` have it, the UID is the name.
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node},
            "reason": kind,
            "message": message[:1000],
            "type": "Warning",
            "source": {"component": COMPONENT},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.request("POST", EVENTS, event)
        except (ApiError, *UNREACHABLE) as error:
            self._journal.tell_of(node, "warning", "no Event", node=node, reason=str(error))
