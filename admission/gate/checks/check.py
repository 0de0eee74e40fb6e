"""What the checks of the cluster look at, and what each of them gives."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from admission.api_server.connection import Cluster
from admission.gate.bootstrap_token import Found
from admission.inventory import Orders

State = Literal["passed", "failed", "warning", "not checked"]
Answer = tuple[State, str]
PASSED: Answer = ("passed", "")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the checks look at."""

    cluster: Cluster
    orders: Orders
    tokens: Sequence[Found]
    now: datetime
    token_faults: dict[str, str] = field(default_factory=dict)
    """Filled by the check of tokens: by a token's id, why it lets nobody in though it is alive."""


Check = Callable[[Context], Awaitable[Answer]]


def few(items: Sequence[str], most: int = 5) -> str:
    """Return the first of some items, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
