"""Which requests are kept, and which of them whole: the newest of each requester.

Whoever floods an API server with requests must not fill our memory too, nor our time. As long as
that lasts, their requests are refused without a look at what they hold; once it is over, the ones
that are left are read again. Of thousands the oldest are dropped: what a kubelet asks for, it asks
for again within 15 minutes.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from admission import rules
from admission.objects.csr import is_undecided, request_pem, requesting_node, without_request

MOST_KEPT = 500  # of one requester, beside those that are kept whole


@dataclass
class _Requests:
    """Those of one requester, undecided or not, by their UIDs."""

    whole: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    # When each of the others was made, and its UID; what has gone meanwhile may still be here.
    oldest: list[tuple[str, str]] = field(default_factory=list)


class WholeRequests:
    """Drops, of what is kept of requests, what is too much for one requester."""

    def __init__(self) -> None:
        # By the requester, and whether they are undecided.
        self._requests: dict[tuple[str, bool], _Requests] = {}

    def add(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Take a request or a new version of it, and return one that is dropped for it.

        What equals a part of another request is kept once.
        """
        found = self._requests.setdefault((requesting_node(item), is_undecided(item)), _Requests())
        uid = item["metadata"]["uid"]
        found.others.pop(uid, None)
        if request_pem(item) is None:
            return _keep(found, uid, item)
        _share(item["spec"], found.whole)
        found.whole[uid] = item
        if len(found.whole) <= rules.MOST_PENDING:
            return None
        uid = min(found.whole, key=lambda one: _created(found.whole[one]))
        item = found.whole.pop(uid)
        item |= without_request(item)
        return _keep(found, uid, item)

    def remove(self, item: dict[str, Any]) -> None:
        """Forget a request: its UID and its requester are enough."""
        uid = item["metadata"]["uid"]
        for key in [(requesting_node(item), undecided) for undecided in (True, False)]:
            found = self._requests.get(key, _Requests())
            found.whole.pop(uid, None)
            found.others.pop(uid, None)
            if not found.whole and not found.others:
                self._requests.pop(key, None)


def _keep(found: _Requests, uid: str, item: dict[str, Any]) -> dict[str, Any] | None:
    found.others[uid] = item
    heapq.heappush(found.oldest, (_created(item), uid))
    if len(found.oldest) > 2 * MOST_KEPT:  # most of them have gone
        found.oldest = [(_created(one), uid) for uid, one in found.others.items()]
        heapq.heapify(found.oldest)
    while len(found.others) > MOST_KEPT:
        _, oldest = heapq.heappop(found.oldest)
        if (dropped := found.others.pop(oldest, None)) is not None:
            return dropped
    return None


def _created(item: dict[str, Any]) -> str:
    """Return when it was made, as API servers write it: the order of texts is that of times."""
    return str(item["metadata"]["creationTimestamp"])


def _share(spec: dict[str, Any], whole: dict[str, dict[str, Any]]) -> None:
    for other in whole.values():
        for name, value in other["spec"].items():
            if spec.get(name) == value:
                spec[name] = value


def new_bound() -> Callable[[dict[str, Any]], None]:
    """Return what shortens a list of requests while it is read."""
    requests = WholeRequests()

    def bound(item: dict[str, Any]) -> None:
        if (dropped := requests.add(item)) is not None:
            dropped.clear()  # so the list loses it

    return bound
