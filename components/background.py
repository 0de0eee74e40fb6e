"""Work in a thread of the program, beside what the engine does."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any

import pulumi


class Teller:
    """Lets the engine show a line as a resource's, said from whichever thread."""

    def __init__(self, owner: pulumi.Resource) -> None:
        self._owner = owner
        self._loop, self._context = asyncio.get_event_loop(), contextvars.copy_context()

    def info(self, line: str) -> None:
        """Show what has happened."""
        self._tell(pulumi.log.info, line)

    def warn(self, line: str) -> None:
        """Show what should not have happened."""
        self._tell(pulumi.log.warn, line)

    def _tell(self, log: Callable[..., None], line: str) -> None:
        if not self._loop.is_closed():
            told = partial(log, line, self._owner)
            self._loop.call_soon_threadsafe(told, context=self._context)


class Background:
    """A coroutine in a thread with an event loop of its own, until it ends or is stopped.

    The program's own loop would not do. Its executor also resolves host names, and with few slots
    all of its threads may wait for resources. The thread ends with the program at the latest.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        self._stop: Future[None] = Future()
        self._ended: Future[None] = Future()
        threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Call `tell` in the thread once the work has ended, however it has; or now, if it has."""
        self._ended.add_done_callback(lambda _: tell())

    @property
    def error(self) -> BaseException | None:
        """Why the work has ended by itself, if it has."""
        return self._ended.exception() if self._ended.done() else None

    async def end(self) -> None:
        """Wait until the work has ended by itself; raise what it has failed with."""
        await asyncio.wrap_future(self._ended)

    async def stop(self) -> None:
        """Cancel the work, and return once it has ended."""
        self._stop.cancel()
        await asyncio.gather(asyncio.wrap_future(self._ended), return_exceptions=True)

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            error = asyncio.run(self._until_stopped(work()))
        except BaseException as failure:  # noqa: BLE001 - whoever stops it must not wait for ever
            error = failure
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> BaseException | None:
        """Return how the work has failed, if it has."""
        task = asyncio.ensure_future(work)
        stop = asyncio.wrap_future(self._stop)
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        stop.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return outcome if isinstance(outcome, Exception) else None
