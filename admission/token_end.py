"""The end of the tokens that a run has left alive, for the process that outlives the run."""

import asyncio
from collections.abc import Sequence

from admission.api_server.api import ApiError, Say
from admission.api_server.connection import Connection
from admission.api_server.outages import UNREACHABLE
from admission.gate.bootstrap_token import revoke
from admission.objects.token_secret import (
    MANAGED_BY,
    POOL_LABEL,
    SECRETS,
    content,
    death,
)
from admission.stack_settings import StackSettings, is_same_server

# As long as most tokens live.
TRY_FOR_S = 3600
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5, 60
# For which an API server or a provider may still be at work on a Secret.
LATE_SECRET_S = 30


async def end_tokens(ids: Sequence[str], *, stack: str, server: str, pool: str, say: Say) -> int:
    """Revoke each token of the pool that is alive, and return the exit status.

    `say` gets a line for each that was alive or could not be ended.

    Raises:
        ValueError: the stack has no usable kubeconfig; the message quotes none of it.
    """
    if not ids:
        return 0
    found = await StackSettings(stack).kubeconfig()
    api = await Connection.open(found.path, found.content, found.renew)
    try:
        if not is_same_server(server, api.server):
            raise ValueError(f"the kubeconfig of the stack {stack} leads to {api.server} now")
        return await _end_all([*dict.fromkeys(ids)], api, pool, say)
    finally:
        await api.close()


async def _end_all(ids: Sequence[str], api: Connection, pool: str, say: Say) -> int:
    """Revoke tokens, again and again until each has ended, and return the exit status.

    The API server may be away for longer than a run waits for it: that may be what has ended it.
    """
    clock = asyncio.get_running_loop().time
    began, left, told = clock(), list(ids), set[str]()
    status, pause_s = 0, FIRST_PAUSE_S
    while True:
        for token_id in [*left]:
            passed_s = clock() - began
            try:
                ours = await _end(api, token_id, pool, say)
            except Gone:
                if passed_s < LATE_SECRET_S:
                    continue
                ours = True
            except (ApiError, *UNREACHABLE) as error:
                if (line := f"token {token_id}: {type(error).__name__} {error}") not in told:
                    told.add(line)
                    say(line)
                continue
            status |= not ours
            left.remove(token_id)
        if not left:
            return status
        if clock() - began > TRY_FOR_S:
            say(f"tokens that may be alive until they expire: {', '.join(left)}")
            return 1
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class Gone(Exception):
    """A token has no Secret, or none yet: what makes it may not have heard of the run's end."""


async def _end(api: Connection, token_id: str, pool: str, say: Say) -> bool:
    """Revoke a token, unless it is dead or not ours; return False if it is not.

    Raises:
        Gone: it has no Secret.
        ApiError, UNREACHABLE: the API server refused, or did not answer for a while.
    """
    path = f"{SECRETS}/bootstrap-token-{token_id}"
    try:
        secret = await api.insist("GET", path)
        # An inactive one is revoked as well, so that what may be about to activate it fails.
        if death(content(secret)) == "revoked":
            return True
        metadata = secret["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(MANAGED_BY[0]) != MANAGED_BY[1] or labels.get(POOL_LABEL) != pool:
            say(f"token {token_id}: left alone, because its Secret is not of the pool {pool}")
            return False
        await revoke(api, path, metadata["uid"])
    except ApiError as error:
        if error.status == 404:
            raise Gone from None
        raise
    say(f"token {token_id}: revoked at the end of the run")
    return True
