"""A bootstrap token as the gate finds it, and its end."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from admission.api_server.api import MERGE_PATCH, ApiError, decode
from admission.api_server.connection import Cluster
from admission.inventory import AfterJoin, Token
from admission.rules.decision import TokenGrant

SECRETS = "/api/v1/namespaces/kube-system/secrets"
# Values as the API holds them, in base64.
REVOKED = {
    "token-secret": "",
    "expiration": "",
    "usage-bootstrap-authentication": "ZmFsc2U=",  # false
}
NEW_ONE = "run pulumi up --refresh for a new one"

Life = Literal["alive", "expired", "revoked", "gone", "another"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the cluster holds of a token."""

    token: Token
    life: Life
    created: datetime | None = None
    expires: datetime | None = None
    value: str = field(default="", repr=False)  # in the form id.secret, while it is alive

    def grant(self, node: str) -> TokenGrant | None:
        """Return what it lets a node ask for, if it is there."""
        if self.created is None or self.expires is None:
            return None
        return TokenGrant(
            node=node, created=self.created, expires=self.expires, group=self.token.group
        )

    @property
    def fault(self) -> str:
        """Why nobody can join with it, and what to do; nothing while it is alive."""
        name = self.token.secret_name
        match self.life:
            case "alive":
                return ""
            case "expired":
                return f"the token {self.token.id} expired at {self.expires:%H:%M:%SZ}; {NEW_ONE}"
            case "gone":
                return (
                    f"the token {self.token.id} is gone, as tokens are that have expired; {NEW_ONE}"
                )
            case "revoked":
                return (
                    f"the token {self.token.id} was revoked once all had joined; raise the node's"
                    " generation for a new one"
                )
            case "another":
                return (
                    f"the Secret {name} is not the one that the gate was told of; look at it, it"
                    " may be somebody else's, and run pulumi up --refresh"
                )


async def find(cluster: Cluster, token: Token, now: datetime, *, limit_s: float) -> Found:
    """Return what the cluster holds of a token, patient for as long as the limit says.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer.
    """
    try:
        secret = await cluster.insist("GET", f"{SECRETS}/{token.secret_name}", limit_s=limit_s)
    except ApiError as error:
        if error.status == 404:
            return Found(token=token, life="gone")
        raise
    if secret["metadata"]["uid"] != token.secret_uid:
        return Found(token=token, life="another")
    data = {
        key: decode(value).decode(errors="replace")
        for key, value in (secret.get("data") or {}).items()
    }
    if not data.get("token-secret") or data.get("usage-bootstrap-authentication") != "true":
        return Found(token=token, life="revoked")
    expires = expiration(data)
    return Found(
        token=token,
        life="alive" if expires > now else "expired",
        created=datetime.fromisoformat(secret["metadata"]["creationTimestamp"]),
        expires=expires,
        value=f"{token.id}.{data['token-secret']}",
    )


def expiration(data: dict[str, str]) -> datetime:
    """Return when a token's Secret lets nobody in any more; one without an expiration: never."""
    if not data.get("expiration"):
        return datetime.max.replace(tzinfo=UTC)
    never = datetime.min.replace(tzinfo=UTC)  # the API server takes such a token for expired
    try:
        found = datetime.fromisoformat(data["expiration"])
    except ValueError:
        return never
    return found if found.tzinfo else never


async def end(cluster: Cluster, token: Token, after_join: AfterJoin) -> str:
    """End a token as it is wished, and return what it is now: revoked, expiring, kept or gone.

    Revoking empties the Secret in place. The API server's authenticator then refuses the token
    (plugin/pkg/auth/authenticator/token/bootstrap: the secret differs, and so does the usage); a
    successful use is remembered for ten seconds at most. The controller manager's tokencleaner
    leaves the Secret alone (cluster-bootstrap/util/secrets: an empty expiration is none), so
    whoever made it still finds it there.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
        ValueError: the Secret is another one than the token was made with, or is still alive.
    """
    if after_join != "revoke":
        return {"expire": "expiring", "keep": "kept"}[after_join]
    path = f"{SECRETS}/{token.secret_name}"
    try:
        secret = await cluster.insist("GET", path)
        if secret["metadata"]["uid"] != token.secret_uid:
            raise ValueError(Found(token=token, life="another").fault)
        # The UID goes with it: should the Secret have been replaced since, this is refused.
        patch: dict[str, Any] = {"metadata": {"uid": token.secret_uid}, "data": REVOKED}
        secret = await cluster.insist("PATCH", path, patch, content_type=MERGE_PATCH)
    except ApiError as error:
        if error.status == 404:
            return "gone"
        raise
    if any((secret.get("data") or {}).get(key) != value for key, value in REVOKED.items()):
        raise ValueError(f"the Secret {token.secret_name} is still alive after it was revoked")
    return "revoked"


async def bury(cluster: Cluster, token: Token) -> None:
    """Delete the Secret of a token that has expired, as the token cleaner does where it runs.

    `pulumi up --refresh` then finds it missing and makes it anew, with an expiration of that day.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    options = {"preconditions": {"uid": token.secret_uid}}
    try:
        await cluster.insist("DELETE", f"{SECRETS}/{token.secret_name}", options)
    except ApiError as error:
        if error.status not in (404, 409):
            raise
