"""The Secrets of bootstrap tokens.

https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#bootstrap-token-secret-format
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

SECRETS = "/api/v1/namespaces/kube-system/secrets"
TOKENS = f"{SECRETS}?fieldSelector=type%3Dbootstrap.kubernetes.io/token"
# The labels that components/bootstrap_token.py sets.
MANAGED_BY = ("app.kubernetes.io/managed-by", "kubelet-tls-bootstrap")
KEYS = ("description", "token-secret", "expiration", "usage-bootstrap-authentication")
POOL_LABEL = "kubelet-tls-bootstrap/pool"


def kept_secret(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a token's Secret.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it lacks what we read.
    """
    metadata = secret["metadata"]
    kept = {
        "metadata": {"name": metadata["name"], "labels": dict(metadata.get("labels") or {})},
        "data": {key: value for key, value in (secret.get("data") or {}).items() if key in KEYS},
    }
    content(kept)
    return kept


def content(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return what a Secret holds, as text."""
    return {
        key: base64.b64decode(value).decode(errors="replace")
        for key, value in (secret.get("data") or {}).items()
    }


def is_revoked(data: Mapping[str, str]) -> bool:
    """Return whether a token's Secret has lost what makes it a token."""
    return not data.get("token-secret") or data.get("usage-bootstrap-authentication") != "true"


def death(data: Mapping[str, str]) -> Literal["inactive", "revoked"] | None:
    """Return why a token's Secret lets nobody in, whatever its expiration says; None: it may.

    One that is inactive is empty: it was never valid, and may become so.
    """
    if not data:
        return "inactive"
    return "revoked" if is_revoked(data) else None


def expiration(data: Mapping[str, str]) -> datetime:
    """Return when the API server stops accepting the token: in the far future if it never does."""
    if not data.get("expiration"):
        return datetime.max.replace(tzinfo=UTC)
    long_ago = datetime.min.replace(tzinfo=UTC)  # the API server treats such a token as expired
    try:
        found = datetime.fromisoformat(data["expiration"])
    except ValueError:
        return long_ago
    return found if found.tzinfo else long_ago
