"""A command as a process: runs until it ends or is interrupted, and says why it failed."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from admission.api_server.api import ApiError
from admission.terminal import say

REMEDIES = {
    401: "; the kubeconfig's credentials are invalid or have expired: replace them",
    403: "; give a kubeconfig whose user has this right",
}


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Return the exit status: that of the work, or 1 with a message that says why it failed."""
    try:
        return asyncio.run(_interruptible(work()))
    except failures() as error:
        say(f"error: {reason(error)}")
    except asyncio.CancelledError:
        say("error: interrupted; run it again to continue")
    return 1


def failures() -> tuple[type[Exception], ...]:
    """Return how work may fail; anything else is a mistake of ours."""
    # What succeeds does without the library, whose import takes longer than the work of some.
    from admission.api_server.outages import UNREACHABLE, UNTRUSTED  # noqa: PLC0415

    return (ValueError, ApiError, *UNREACHABLE, *UNTRUSTED)


def reason(error: Exception) -> str:
    """Return why work has failed, and what to do about it."""
    from admission.api_server.outages import UNTRUSTED  # noqa: PLC0415

    if isinstance(error, UNTRUSTED):
        return f"{error}; correct the certificate-authority or the server in the kubeconfig"
    if isinstance(error, ApiError):
        return f"{error}{REMEDIES.get(error.status, '')}"
    if isinstance(error, ValueError):
        return str(error)
    return f"the API server does not answer: {type(error).__name__} {error}"


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task
