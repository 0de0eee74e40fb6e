"""What the gate's judges judge by, and what the gate says about each decision."""

from collections.abc import Mapping
from typing import Any

from admission import rules
from admission.api_server.api import Say
from admission.delegate import Facts
from admission.gate.orders import Orders
from admission.gate.progress import Kind, Progress, Reach
from admission.objects.csr import (
    kept_request,
    request_pem,
    request_status,
    requesting_node,
    without_request,
)
from admission.objects.judged_node import judged_node
from admission.rules.certificate_request import claimed_node, parse

MOST_TOLD = 10
LONGEST_LINE = 300
CLAIMED = "claimedNode"  # in place of the request of a client that only the report is about


class Decisions:
    """The delegate of the gate's judges."""

    def __init__(
        self, orders: Orders, progress: Mapping[str, Progress], reach: Reach, say: Say
    ) -> None:
        self._orders, self._progress, self._reach, self._say = orders, progress, reach, say
        self._tokens = {token.user: token for token in orders.tokens}
        # What was said about a node's requests, by UID: each thing once, and little of a flood.
        self._told: dict[str, dict[str, str]] = {name: {} for name in orders.nodes}

    def joining_node(self, item: dict[str, Any]) -> str:
        """Return whose request it is: by its token's node, or else by the requester's name.

        With a token of the whole pool it is what the request claims: a hint for the report.
        """
        token = self._tokens.get(item["spec"].get("username", ""))
        if token is None:
            return requesting_node(item)
        if token.node:
            return token.node
        return str(item.get(CLAIMED, ""))

    def keep_client_request(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Return what is kept of a client request of this pool; little if it is not judged here."""
        token = self._tokens.get(item["spec"].get("username", ""))
        if token is None:
            return None
        kept = kept_request(item)
        if self._orders.client_approval == "gate":
            return kept
        pem = b"" if token.node else request_pem(kept)
        claimed = (claimed_node(pem or b"") or "").removeprefix(rules.USER_PREFIX)
        return {**without_request(kept), CLAIMED: claimed}

    def facts(self, node: str) -> Facts:
        """Return what a request of the node is judged by."""
        found = self._progress[node].node
        return Facts(
            inventory=self._orders.nodes,
            denied=self._orders.denied,
            node=None if found is None else judged_node(found),
        )

    def may_judge(self) -> bool:
        """Return True: a gate judges as long as it runs."""
        return True

    def approved(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Note that a request has been approved."""
        progress, name = self._progress[self.joining_node(item)], item["metadata"]["name"]
        kind = _kind(item)
        progress.refused.pop(kind, None)
        names = _names(decision)
        holds = f" (SANs {names})" if names else ""
        self._say(f"{progress.entry.name}: {kind} CSR {name} approved{holds}")
        self._reach(progress, "approved" if kind == "serving" else "admitted")

    def remember_approved(self, progress: Progress, item: dict[str, Any]) -> None:
        """Note what a serving request holds if it has been approved, no matter by whom."""
        if not request_status(item).approved:
            return
        try:
            content = parse(request_pem(item) or b"")
        except ValueError:
            return  # somebody has approved what the rules would refuse
        progress.approved = frozenset((*content.dns_names, *content.addresses))
        progress.approved_by = item["metadata"]["name"]

    def undecided(self, item: dict[str, Any], decision: rules.Wait | rules.Refuse) -> None:
        """Note why a request is refused; one that waits is judged again anyway."""
        if isinstance(decision, rules.Refuse):
            kind, request = _kind(item), item["metadata"]["name"]
            reason = decision.reason[:LONGEST_LINE]
            refused = f"its {kind} request {request} is refused: {reason}"
            self._progress[self.joining_node(item)].refused[kind] = refused
            self._tell(item, f"refused: {decision.reason}")

    def failed(self, item: dict[str, Any], error: str) -> None:
        """Note that the API server did not answer."""
        self._tell(item, f"{error}; trying again")

    def show_command(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Print the command that approves a request, for a person to run."""
        self._progress[self.joining_node(item)].refused.pop("serving", None)
        self._tell(
            item,
            f"passes all rules (SANs {_names(decision)}):"
            f" kubectl certificate approve {item['metadata']['name']}",
        )

    def _tell(self, item: dict[str, Any], line: str) -> None:
        name, uid = self.joining_node(item), item["metadata"]["uid"]
        told, kind = self._told[name], _kind(item)
        if told.get(uid) == line or len(told) > MOST_TOLD:
            return
        told[uid] = line
        if len(told) <= MOST_TOLD:
            self._say(f"{name}: {kind} CSR {item['metadata']['name']} {line[:LONGEST_LINE]}")
        else:
            self._say(f"{name}: more of its {kind} CSRs are refused; see kubectl get csr")


def _kind(item: dict[str, Any]) -> Kind:
    return "serving" if item["spec"]["signerName"] == rules.SERVING_SIGNER else "client"


def _names(decision: rules.Approve) -> str:
    return ", ".join((*decision.content.dns_names, *map(str, decision.content.addresses)))
