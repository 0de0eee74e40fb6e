"""What a person sees while the lab works: a line per step, a sign of life from long ones.

Steps run side by side, so every line names its step. Nothing is drawn over: the output
reads the same in a terminal and in a log.
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
    """Print a line to stderr, whole, whichever thread says it."""
    with _one_line_at_a_time:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Show that `title` is under way once it takes noticeable time, and how long it took.

    Args:
        title: what is being done, a few words.
        detail: called for each sign of life, returns what the step is doing right now.
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
