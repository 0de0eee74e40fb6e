"""A command as a process: runs until it ends or is interrupted, and says why it failed."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from admission.api_server.api import UNREACHABLE, UNTRUSTED, ApiError
from admission.terminal import say

REMEDIES = {
    401: "; the kubeconfig's credentials are invalid or have expired: replace them",
    403: "; give a kubeconfig whose user has this right",
}


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Return the exit status: that of the work, or 1 with a message that says why it failed."""
    try:
        return asyncio.run(_interruptible(work()))
    except UNTRUSTED as error:
        say(f"error: {error}; correct the certificate-authority or the server in the kubeconfig")
    except ApiError as error:
        say(f"error: {error}{REMEDIES.get(error.status, '')}")
    except ValueError as error:
        say(f"error: {error}")
    except UNREACHABLE as error:
        say(f"error: the API server does not answer: {type(error).__name__} {error}")
    except asyncio.CancelledError:
        say("error: interrupted; run it again, and it continues")
    return 1


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task
