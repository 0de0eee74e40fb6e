"""Waits: for a condition, and for jobs that run side by side."""

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lab.processes import stop_all

Result = TypeVar("Result")


def until(condition: Callable[[], bool], limit_s: float, pause_s: float = 0.05) -> bool:
    """Wait until `condition()` is true; return False if it is not within the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True


def side_by_side(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run the jobs at once and return their results; the first failure ends the others."""
    with ThreadPoolExecutor(max_workers=max(1, len(jobs))) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            while pending := [future for future in futures if not future.done()]:
                if any(future.done() and future.exception() for future in futures):
                    break
                with contextlib.suppress(TimeoutError):
                    pending[0].result(timeout=0.05)
            failed = next((f for f in futures if f.done() and f.exception()), None)
            if failed is not None:
                stop_all()
                failed.result()
            return [future.result() for future in futures]
        except BaseException:
            stop_all()
            raise
