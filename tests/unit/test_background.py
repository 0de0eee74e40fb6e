"""Work beside the program: it ends when it is told to, and its failure can be asked for."""

import asyncio
import threading

import pytest

from components.background import Background


def test_work_runs_in_a_thread_of_its_own_until_it_is_stopped() -> None:
    threads: list[str] = []
    began = threading.Event()

    async def work() -> None:
        threads.append(threading.current_thread().name)
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            threads.append("cleaned up")

    async def program() -> None:
        background = Background(work, name="beside")
        await asyncio.to_thread(began.wait)
        assert background.error is None
        await background.stop()
        assert threads == ["beside", "cleaned up"]
        assert background.error is None
        await background.stop()

    asyncio.run(program())


def test_work_that_is_stopped_at_once_leaves_nothing_running() -> None:
    async def program() -> None:
        background = Background(asyncio.Event().wait, name="beside")
        await background.stop()
        assert background.error is None

    asyncio.run(program())
    assert "beside" not in {thread.name for thread in threading.enumerate() if not thread.daemon}


@pytest.mark.parametrize("failure", [ValueError("no"), RuntimeError("odd")])
def test_a_failure_is_kept_and_hinders_no_stop(failure: Exception) -> None:
    async def work() -> None:
        raise failure

    async def program() -> None:
        background = Background(work, name="beside")
        await background.stop()
        # It may have been stopped before it began.
        assert background.error in (None, failure)
        background = Background(work, name="beside")
        while background.error is None:
            await asyncio.sleep(0)
        assert background.error is failure
        await background.stop()

    asyncio.run(program())
