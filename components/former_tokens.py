"""The bootstrap tokens of a stack as it has them before a run: nothing secret of them."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

# Of a Secret's name; the token's public half follows
# (cluster-bootstrap/token/api: BootstrapTokenSecretPrefix).
SECRET_PREFIX = "bootstrap-token-"  # noqa: S105 - no token


@dataclass(frozen=True, kw_only=True)
class FormerTokens:
    """Which tokens there are, and what the newest of them were made from."""

    names: Set[str] = frozenset()
    """The names of their Secrets as resources."""
    seeds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The keepers of each seed, by its name as a resource."""
