"""The bootstrap tokens of a stack as it has them before a run: nothing secret of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Labels of a Secret; `admission/objects/token_secret.py` finds our tokens by the first.
POOL_LABEL, ROUND_LABEL = "kubelet-tls-bootstrap/pool", "kubelet-tls-bootstrap/round"
# Of a Secret's name; the token's public half follows
# (cluster-bootstrap/token/api: BootstrapTokenSecretPrefix).
SECRET_PREFIX = "bootstrap-token-"  # noqa: S105 - no token


@dataclass(frozen=True, kw_only=True)
class FormerTokens:
    """Which tokens there are, and what the newest of them were made from."""

    made: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By the names of their Secrets as resources: the pool and the round that each was made for."""
    seeds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The keepers of each seed, by its name as a resource."""
