"""What the checks look at, and what each returns."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from admission.api_server.connection import Connection
from admission.gate.bootstrap_token import FoundToken
from admission.gate.orders import Orders

State = Literal["passed", "failed", "warning", "not checked"]
Answer = tuple[State, str]
PASSED: Answer = ("passed", "")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the checks look at."""

    api: Connection
    orders: Orders
    tokens: Sequence[FoundToken]
    now: datetime
    token_problems: dict[str, str] = field(default_factory=dict)
    """Filled by the check of tokens: why nobody can join with a live token, by its id."""


Check = Callable[[Context], Awaitable[Answer]]


def few(items: Sequence[str], most: int = 5) -> str:
    """Return the first of some items, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
