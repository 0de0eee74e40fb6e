"""The bootstrap tokens of a pool as the stack has them before a run: nothing secret of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Of a Secret's name; the token's public half follows
# (cluster-bootstrap/token/api: BootstrapTokenSecretPrefix).
SECRET_PREFIX = "bootstrap-token-"  # noqa: S105 - no token


@dataclass(frozen=True, kw_only=True)
class FormerToken:
    """A token whose Secret the state holds."""

    id: str
    """Its public half."""
    urn: str
    """The Secret's."""


@dataclass(frozen=True, kw_only=True)
class FormerTokens:
    """The tokens, and what the newest of them were made from."""

    tokens: Mapping[str, FormerToken] = field(default_factory=dict)
    """By the names of their Secrets as resources."""
    seeds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The keepers of each seed, by its name as a resource."""
