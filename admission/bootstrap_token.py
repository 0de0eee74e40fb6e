"""The end of a pool's bootstrap token."""

from typing import Any

from admission.cluster import MERGE_PATCH, ApiError, Cluster
from admission.inventory import Token

FALSE = "ZmFsc2U="  # "false" in base64
SECRETS = "/api/v1/namespaces/kube-system/secrets"


async def end(cluster: Cluster, token: Token) -> str:
    """End the token as it asks, and return what it is now: revoked, expiring, kept or gone.

    Revoking empties the Secret in place. The API server's authenticator then refuses the token
    (plugin/pkg/auth/authenticator/token/bootstrap: an empty secret and the missing usage), the
    controller manager's tokencleaner leaves it alone (it has no expiration), and whoever made the
    Secret still finds it there.

    Raises:
        ApiError: the API server refused.
        ValueError: the Secret is another one than the token was made with.
    """
    if token.after_join != "revoke":
        return {"expire": "expiring", "keep": "kept"}[token.after_join]
    path = f"{SECRETS}/bootstrap-token-{token.id}"
    patch: dict[str, Any] = {
        "metadata": {"uid": token.secret_uid},
        "data": {
            "token-secret": "",
            "expiration": "",
            "usage-bootstrap-authentication": "ZmFsc2U=",
        },
    }
    try:
        await cluster.request("PATCH", path, patch, content_type=MERGE_PATCH)
    except ApiError as error:
        if error.status == 404:
            return "gone"
        if error.status == 409:
            raise ValueError(
                f"the Secret bootstrap-token-{token.id} is not the one that this run made;"
                " look at it, it may be somebody else's"
            ) from None
        raise
    return "revoked"
