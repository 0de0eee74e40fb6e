"""A bootstrap token as the stack has it before a run."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FormerToken:
    """What the state holds of a token that is no secret."""

    id: str
    """Its public half."""
    keepers: Mapping[str, str]
    """What it was created for."""
