"""Requests that are made again while an API server restarts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from admission.api_server.api import FIRST_PAUSE_S, LONGEST_PAUSE_S, ApiError, Say
from admission.api_server.outages import UNREACHABLE, UNTRUSTED

BUSY = (429, 500, 502, 503, 504)

T = TypeVar("T")


class Notes(Protocol):
    """Says when an API server stops answering, and when it answers again."""

    def note_outage(self, error: Exception, say: Say) -> None: ...

    def note_answer(self, say: Say) -> None: ...


async def insist(
    ask: Callable[[], Awaitable[T]], limit_s: float, notes: Notes, say: Say | None
) -> T:
    """Return the answer to a request that may safely be repeated, for as long as the limit says."""
    loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
    limit = loop.time() + limit_s
    while True:
        try:
            answer = await ask()
        except UNTRUSTED:
            raise
        except UNREACHABLE as error:
            if loop.time() > limit:
                raise
            if say:
                notes.note_outage(error, say)
        except ApiError as error:
            if error.status not in BUSY or loop.time() > limit:
                raise
        else:
            if say:
                notes.note_answer(say)
            return answer
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
