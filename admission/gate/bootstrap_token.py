"""A bootstrap token of the pool: what the cluster holds of it, and its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from admission.api_server.api import MERGE_PATCH, ApiError, Say
from admission.api_server.connection import Connection
from admission.gate.orders import AfterJoin, Token
from admission.objects.csr import created
from admission.objects.token_secret import SECRETS, content, death, expiration
from admission.rules import TokenGrant

# Values as the API holds them, in base64.
REVOKED = {
    "token-secret": "",
    "expiration": "",
    "usage-bootstrap-authentication": "ZmFsc2U=",  # false
}
NEW_ONE = (
    "the next pulumi up makes a new one; if the machine had joined before, raise the node's"
    " generation for that"
)

TRIES = 6  # others may write too, a label for example
Life = Literal["inactive", "alive", "expired", "revoked", "gone", "another"]


@dataclass(frozen=True, kw_only=True)
class FoundToken:
    """What the cluster holds of a token."""

    token: Token
    life: Life
    created: datetime | None = None
    expires: datetime | None = None
    groups: tuple[str, ...] = ()  # its holder's, beside those of all token holders
    value: str = field(default="", repr=False)  # in the form id.secret, while it is alive

    def grant(self, node: str) -> TokenGrant | None:
        """Return what it lets a node ask for, if it exists."""
        if self.created is None or self.expires is None:
            return None
        return TokenGrant(
            node=node, created=self.created, expires=self.expires, group=self.token.group
        )

    @property
    def problem(self) -> str:
        """Why nobody can join with it, and what to do; empty while it is alive.

        Also if it is inactive: no join of its pool has begun, which other errors explain.
        """
        token = f"the token {self.token.id}"
        match self.life:
            case "alive" | "inactive":
                return ""
            case "expired":
                return f"{token} expired at {self.expires:%H:%M:%SZ}; {NEW_ONE}"
            case "gone":
                return f"{token} is gone, because expired tokens are deleted; {NEW_ONE}"
            case "revoked":
                return f"{token} was revoked, as all are at the end of a run; {NEW_ONE}"
            case "another":
                return (
                    f"the Secret {self.token.secret_name} is not the one that this stack created;"
                    " find out who replaced it, then run pulumi up --refresh"
                )


async def find(
    api: Connection, token: Token, now: datetime, say: Say, *, limit_s: float
) -> FoundToken:
    """Return what the cluster holds of a token; try again up to the limit.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer.
    """
    try:
        secret = await api.insist("GET", f"{SECRETS}/{token.secret_name}", limit_s=limit_s, say=say)
    except ApiError as error:
        if error.status == 404:
            return FoundToken(token=token, life="gone")
        raise
    if secret["metadata"]["uid"] != token.secret_uid:
        return FoundToken(token=token, life="another")
    data = content(secret)
    if dead := death(data):
        return FoundToken(token=token, life=dead)
    expires = expiration(data)
    return FoundToken(
        token=token,
        life="alive" if expires > now else "expired",
        created=created(secret),
        expires=expires,
        groups=tuple(filter(None, data.get("auth-extra-groups", "").split(","))),
        value=f"{token.id}.{data['token-secret']}",
    )


async def activate(
    api: Connection, token: Token, data: Mapping[str, str], say: Say, *, limit_s: float
) -> None:
    """Write into a token's empty Secret what makes it valid: `data`, in base64, by key.

    A Secret with data is left alone: it is valid, or was revoked. So is one that is gone, or is not
    the one that the token was made with, of which `find` tells. Tries again up to the limit.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer.
    """
    path = f"{SECRETS}/{token.secret_name}"
    for left in reversed(range(TRIES)):
        try:
            secret = await api.insist("GET", path, limit_s=limit_s, say=say)
            metadata = secret["metadata"]
            if secret.get("data") or metadata["uid"] != token.secret_uid:
                return
            # The API server refuses it if somebody has written meanwhile: a guard that has ended
            # the token, or this, whose answer was lost.
            patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": {**data}}
            await api.insist(
                "PATCH", path, patch, content_type=MERGE_PATCH, limit_s=limit_s, say=say
            )
        except ApiError as error:
            if error.status == 404:
                return
            if error.status != 409 or not left:
                raise
        else:
            return


async def end(api: Connection, found: FoundToken, after_join: AfterJoin) -> str:
    """End a token as the settings say, and return its state.

    That is revoked, expiring, kept, gone, or inactive.

    Revoking empties the Secret in place. The API server's authenticator then refuses the token
    (plugin/pkg/auth/authenticator/token/bootstrap: the secret differs, and so does the usage); a
    successful use is remembered for ten seconds at most. The controller manager's tokencleaner
    leaves the Secret alone (cluster-bootstrap/util/secrets: an empty expiration is none), so
    whoever made it still finds it there.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
        ValueError: the Secret is not the one that the token was made with, or is still alive.
    """
    token = found.token
    if found.life in ("revoked", "inactive"):
        return found.life
    if after_join != "revoke":
        return {"expire": "expiring", "keep": "kept"}[after_join]
    path = f"{SECRETS}/{token.secret_name}"
    try:
        secret = await api.insist("GET", path)
        if secret["metadata"]["uid"] != token.secret_uid:
            raise ValueError(FoundToken(token=token, life="another").problem)
        secret = await revoke(api, path, token.secret_uid)
    except ApiError as error:
        if error.status == 404:
            return "gone"
        raise
    if any((secret.get("data") or {}).get(key) != value for key, value in REVOKED.items()):
        raise ValueError(f"the Secret {token.secret_name} is still alive after it was revoked")
    return "revoked"


async def revoke(api: Connection, path: str, uid: str) -> Any:
    """Empty a token's Secret in place, and return it.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    # With the UID, so that the API server refuses it if the Secret has been replaced since.
    patch = {"metadata": {"uid": uid}, "data": REVOKED}
    return await api.insist("PATCH", path, patch, content_type=MERGE_PATCH)
