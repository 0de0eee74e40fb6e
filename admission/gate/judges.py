"""What a gate's judges do otherwise than the one for serving requests that it is made of.

`ClientJudge` lets each token's holder become its one node, once; `Adviser` approves nothing itself.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from admission import rules
from admission.api_server.api import NODES, Api, ApiError
from admission.judge import Bench, Judge, node_of, to_request


class ClientJudge(Judge):
    """Judges requests for first client certificates; a holder's name stands for a node's."""

    message = "its token was made for this node, which has not joined yet"

    def __init__(
        self,
        api: Api,
        bench: Bench,
        *,
        grants: Mapping[str, rules.TokenGrant],
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(api, bench, now=now)
        self._grants = grants  # by the token's id
        self._used: set[str] = set()
        # Token -> the UID of the request that it is being used for: of several requests at once
        # only one is approved, also when the API server's answer is lost.
        self._claims: dict[str, str] = {}

    def used(self, item: dict[str, Any]) -> None:
        """Take in that a request of the token's holder has been approved, by whomever."""
        self._used.add(_token_of(item))
        self.reconsider(node_of(item))

    async def _is_allowed(self, item: dict[str, Any]) -> bool:
        """Ask for the Node itself: a watch may be behind."""
        grant = self._grants[_token_of(item)]
        try:
            await self._api.request("GET", f"{NODES}/{grant.node}")
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        return False

    def _decide(self, item: dict[str, Any], *, allowed: bool) -> rules.Decision:
        uid = item["metadata"]["uid"]
        claimed = {token for token, holder in self._claims.items() if holder != uid}
        # Whoever has the claim may have been approved, its answer lost: no newer one comes first.
        claimant = self._claims.get(_token_of(item)) == uid
        requests = {} if claimant else self._pending.get(node_of(item), {})
        others = (other for other in requests.values() if other is not item)
        return rules.decide_client(
            to_request(item),
            tokens=self._grants,
            node_exists=lambda _: not allowed,
            approved_before=frozenset(self._used | claimed),
            # No more of them than make a flood: thousands are judged as fast as one.
            others=[to_request(other) for other in islice(others, rules.MOST_PENDING)],
            now=self._now(),
        )

    async def _approve(self, item: dict[str, Any], decision: rules.Approve) -> bool:
        token, uid = _token_of(item), item["metadata"]["uid"]
        # Another may have been claimed while this one was asked about, or waited for its turn.
        if token in self._used or self._claims.setdefault(token, uid) != uid:
            self._soon(node_of(item), uid)
            return False
        if await super()._approve(item, decision):
            self._used.add(token)
            return True
        del self._claims[token]
        return False


class Adviser(Judge):
    """Judges serving requests, and tells what it would approve."""

    def __init__(
        self,
        api: Api,
        bench: Bench,
        advise: Callable[[dict[str, Any], rules.Approve], None],
        *,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(api, bench, now=now)
        self._advise = advise

    async def _approve(self, item: dict[str, Any], decision: rules.Approve) -> bool:
        self._advise(item, decision)
        return False


def _token_of(item: dict[str, Any]) -> str:
    user: str = item["spec"].get("username", "")
    return user.removeprefix(rules.BOOTSTRAP_PREFIX)
