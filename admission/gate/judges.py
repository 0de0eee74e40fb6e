"""The judges that only a gate has; they differ from `Judge`, which approves serving requests.

`ClientJudge` lets each token's holder become its one node, once. `ManualJudge` approves nothing: it
leaves that to a person.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from admission import rules
from admission.api_server.api import NODES, Api, ApiError
from admission.delegate import Delegate
from admission.judge import Judge
from admission.objects.csr import judged_request, requesting_node


class ClientJudge(Judge):
    """Judges requests for first client certificates; a token's holder stands for a node."""

    message = "its token was made for this node, which has not joined yet"

    def __init__(
        self,
        api: Api,
        delegate: Delegate,
        *,
        grants: Mapping[str, rules.TokenGrant],
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(api, delegate, now=now)
        self._grants = grants  # by the token's id
        self._used: set[str] = set()
        # Token -> the UID of the request that it is being used for: of several requests at once
        # only one is approved, also when the API server's answer is lost.
        self._claims: dict[str, str] = {}

    def used(self, item: dict[str, Any]) -> None:
        """Note that a request of the token's holder has been approved, no matter by whom."""
        self._used.add(_token_of(item))
        self.reconsider(requesting_node(item))

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
        # The request with the claim may be approved and the answer lost: no newer one goes first.
        claimant = self._claims.get(_token_of(item)) == uid
        requests = {} if claimant else self._pending.get(requesting_node(item), {})
        others = (other for other in requests.values() if other is not item)
        return rules.decide_client(
            judged_request(item),
            tokens=self._grants,
            node_exists=lambda _: not allowed,
            approved_before=frozenset(self._used | claimed),
            # Only as many as make a flood, so that thousands are judged as fast as one.
            others=[judged_request(other) for other in islice(others, rules.MOST_PENDING)],
            now=self._now(),
        )

    async def _approve(self, item: dict[str, Any], decision: rules.Approve) -> bool:
        token, uid = _token_of(item), item["metadata"]["uid"]
        # Another may have taken the claim while this one waited for its turn or an answer.
        if token in self._used or self._claims.setdefault(token, uid) != uid:
            self._soon(requesting_node(item), uid)
            return False
        if await super()._approve(item, decision):
            self._used.add(token)
            return True
        del self._claims[token]
        return False


class ManualJudge(Judge):
    """Judges serving requests, and says which ones a person may approve."""

    def __init__(
        self,
        api: Api,
        delegate: Delegate,
        show_command: Callable[[dict[str, Any], rules.Approve], None],
        *,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(api, delegate, now=now)
        self._show_command = show_command

    async def _approve(self, item: dict[str, Any], decision: rules.Approve) -> bool:
        self._show_command(item, decision)
        return False


def _token_of(item: dict[str, Any]) -> str:
    user: str = item["spec"].get("username", "")
    return user.removeprefix(rules.BOOTSTRAP_PREFIX)
