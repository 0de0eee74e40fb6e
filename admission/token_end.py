"""The end of the tokens that a run has left alive, for the process that outlives the run."""

from collections.abc import Sequence

from admission.api_server.api import MERGE_PATCH, ApiError, Say
from admission.api_server.connection import Connection
from admission.gate.bootstrap_token import REVOKED
from admission.objects.token_secret import (
    MANAGED_BY,
    POOL_LABEL,
    SECRETS,
    content,
    is_revoked,
)
from admission.stack_settings import StackSettings, is_same_server


async def end_tokens(ids: Sequence[str], *, stack: str, server: str, pool: str, say: Say) -> int:
    """Revoke each token of the pool that is alive, and return the exit status.

    `say` gets a line for each that was alive or could not be ended.

    Raises:
        ValueError: the stack has no usable kubeconfig; the message quotes none of it.
        ApiError, UNREACHABLE, UNTRUSTED: the API server refused, or did not answer for a while.
    """
    if not ids:
        return 0
    found = await StackSettings(stack).kubeconfig()
    api = await Connection.open(found.path, found.content)
    try:
        if not is_same_server(server, api.server):
            raise ValueError(f"the kubeconfig of the stack {stack} leads to {api.server} now")
        ended = [await _end(api, token_id, pool, say) for token_id in dict.fromkeys(ids)]
        return 0 if all(ended) else 1
    finally:
        await api.close()


async def _end(api: Connection, token_id: str, pool: str, say: Say) -> bool:
    """Revoke a token, unless it is dead, gone or not ours; return whether it is no longer alive."""
    path = f"{SECRETS}/bootstrap-token-{token_id}"
    try:
        secret = await api.insist("GET", path)
        if is_revoked(content(secret)):
            return True
        metadata = secret["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(MANAGED_BY[0]) != MANAGED_BY[1] or labels.get(POOL_LABEL) != pool:
            say(f"token {token_id}: left alone, because its Secret is not of the pool {pool}")
            return False
        # With the UID, so that the API server refuses it if the Secret has been replaced since.
        patch = {"metadata": {"uid": metadata["uid"]}, "data": REVOKED}
        await api.insist("PATCH", path, patch, content_type=MERGE_PATCH)
    except ApiError as error:
        if error.status == 404:
            return True
        raise
    say(f"token {token_id}: revoked at the end of the run")
    return True
