"""Which requests are kept whole: the newest few of each requester.

Whoever floods an API server with requests must not fill our memory too. As long as that lasts,
their requests are refused without a look at what they hold; once it is over, the ones that are left
are read again.
"""

from collections.abc import Callable
from typing import Any

from admission import rules
from admission.objects.csr import (
    created,
    is_undecided,
    request_pem,
    requesting_node,
    without_request,
)


class WholeRequests:
    """Drops, of what is kept of requests, what is too much for one requester."""

    def __init__(self) -> None:
        # Requester, and whether they are undecided -> UID -> request.
        self._whole: dict[tuple[str, bool], dict[str, dict[str, Any]]] = {}

    def add(self, item: dict[str, Any]) -> None:
        """Take a request or a new version of it; the oldest that is one too many is no more whole.

        What equals a part of another one is kept once.
        """
        if request_pem(item) is None:
            return
        key = requesting_node(item), is_undecided(item)
        whole = self._whole.setdefault(key, {})
        _share(item["spec"], whole)
        whole[item["metadata"]["uid"]] = item
        if len(whole) > rules.MOST_PENDING:
            oldest = min(whole, key=lambda uid: created(whole[uid]))
            item = whole.pop(oldest)
            item |= without_request(item)

    def remove(self, item: dict[str, Any]) -> None:
        """Forget a request: its UID and its requester are enough."""
        for key in [(requesting_node(item), undecided) for undecided in (True, False)]:
            whole = self._whole.get(key, {})
            whole.pop(item["metadata"]["uid"], None)
            if not whole:
                self._whole.pop(key, None)


def _share(spec: dict[str, Any], whole: dict[str, dict[str, Any]]) -> None:
    for other in whole.values():
        for name, value in other["spec"].items():
            if spec.get(name) == value:
                spec[name] = value


def new_bound() -> Callable[[dict[str, Any]], None]:
    """Return what shortens a list of requests while it is read."""
    return WholeRequests().add
