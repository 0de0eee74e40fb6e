"""What a person sees while the lab works: a line per step, and more from long steps.

Steps run in parallel, so every line names its step. Lines are never overwritten: the output reads
the same in a terminal and in a log.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ANNOUNCE_AFTER_S = 1.5
HEARTBEAT_S = 20.0

_one_line_at_a_time = threading.Lock()


def say(text: str) -> None:
    """Print a whole line to stderr, from any thread."""
    with _one_line_at_a_time:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Show the step `title` while it runs, if that takes noticeable time, and how long it took.

    Args:
        title: what the step does, in a few words.
        detail: returns what the step is doing right now; called for each line of progress.
    """
    begin = time.monotonic()
    done = threading.Event()

    def watch() -> None:
        if done.wait(ANNOUNCE_AFTER_S):
            return
        say(f"  ...     {title}")
        while not done.wait(HEARTBEAT_S):
            say(f"  {time.monotonic() - begin:5.0f} s {title} {detail()}".rstrip())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        failed = sys.exc_info()[0] is not None
        say(f"  {time.monotonic() - begin:5.1f} s {title}{' FAILED' if failed else ''}")
