"""What a judge works for: whoever knows what requests are judged by, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from admission import rules
from admission.inventory import Denied, InventoryNode


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a request of a node is judged by."""

    inventory: Mapping[str, InventoryNode]
    denied: Denied
    node: rules.NodeObject | None
    problem: str = ""  # why no request of this node may be approved, whatever it holds


class Delegate(Protocol):
    """What a judge works for: it knows the facts, and is notified of each decision."""

    def facts(self, node: str) -> Facts:
        """Return what a request of the node is judged by, as known now."""

    def may_judge(self) -> bool:
        """Return whether requests may be judged and approved now."""

    def approved(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Note that a request has been approved."""

    def undecided(self, item: dict[str, Any], decision: rules.Wait | rules.Refuse) -> None:
        """Note why a request is not approved."""

    def failed(self, item: dict[str, Any], error: str) -> None:
        """Note that the API server did not answer; it is asked again."""
