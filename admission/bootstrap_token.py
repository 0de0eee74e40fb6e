"""The end of a pool's bootstrap token."""

from typing import Any

from admission.api import MERGE_PATCH, ApiError
from admission.cluster import Cluster
from admission.inventory import Token

SECRETS = "/api/v1/namespaces/kube-system/secrets"
# Values as the API holds them, in base64.
REVOKED = {
    "token-secret": "",
    "expiration": "",
    "usage-bootstrap-authentication": "ZmFsc2U=",  # false
}


async def end(cluster: Cluster, token: Token) -> str:
    """End the token as it asks, and return what it is now: revoked, expiring, kept or gone.

    Revoking empties the Secret in place. The API server's authenticator then refuses the token
    (plugin/pkg/auth/authenticator/token/bootstrap: the secret differs, and so does the usage); a
    successful use is remembered for ten seconds at most. The controller manager's tokencleaner
    leaves the Secret alone (cluster-bootstrap/util/secrets: an empty expiration is none), so
    whoever made it still finds it there.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
        ValueError: the Secret is another one than the token was made with, or is still alive.
    """
    if token.after_join != "revoke":
        return {"expire": "expiring", "keep": "kept"}[token.after_join]
    name = f"bootstrap-token-{token.id}"
    try:
        secret = await cluster.insist("GET", f"{SECRETS}/{name}")
        if secret["metadata"]["uid"] != token.secret_uid:
            raise ValueError(
                f"the Secret {name} is not the one that the gate was told of; look at it, it may"
                " be somebody else's, and run pulumi up --refresh"
            )
        # The UID goes with it: should the Secret have been replaced since, this is refused.
        patch: dict[str, Any] = {"metadata": {"uid": token.secret_uid}, "data": REVOKED}
        secret = await cluster.insist("PATCH", f"{SECRETS}/{name}", patch, content_type=MERGE_PATCH)
    except ApiError as error:
        if error.status == 404:
            return "gone"
        raise
    if any((secret.get("data") or {}).get(key) != value for key, value in REVOKED.items()):
        raise ValueError(f"the Secret {name} is still alive after it was revoked; delete it")
    return "revoked"
