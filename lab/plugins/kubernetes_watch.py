"""Watches of several collections as one stream of events, with an end."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from lab.plugins.kubernetes_client import Client, Stream
from lab.plugins.kubernetes_errors import KubernetesError
from lab.plugins.kubernetes_values import Object

_PAUSE_S = 0.5


class Deadline:
    """The end of a wait: a time, or the engine's wish to stop."""

    def __init__(self, seconds: float, cancelled: threading.Event) -> None:
        self._end = time.monotonic() + seconds
        self.cancelled = cancelled

    def left_s(self) -> float:
        """Return the seconds that are left; 0 once it is over."""
        return 0.0 if self.cancelled.is_set() else max(0.0, self._end - time.monotonic())


class Watches:
    """Watches under way; each begins with what is there, unless it has a version to begin after."""

    def __init__(self, client: Client, paths: dict[str, tuple[str, dict[str, str]]]) -> None:
        self._client = client
        self._stream = Stream()
        self._events: queue.SimpleQueue[tuple[str, Object]] = queue.SimpleQueue()
        for name, (path, query) in paths.items():
            threading.Thread(target=self._run, args=(name, path, query), daemon=True).start()

    def __enter__(self) -> "Watches":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()

    def events(self, deadline: Deadline) -> Iterator[tuple[str, Object]]:
        """Yield each event with its collection's name, until the deadline."""
        while (left := deadline.left_s()) > 0:
            try:
                # Cancellation is noticed between two waits.
                yield self._events.get(timeout=min(left, 1.0))
            except queue.Empty:
                continue

    def _run(self, name: str, path: str, query: dict[str, str]) -> None:
        while not self._stream.closed:
            try:
                for event in self._client.watch(path, query, self._stream):
                    self._events.put((name, event))
            except KubernetesError:
                # Out of reach for a while, or the version is too old: begin anew.
                time.sleep(_PAUSE_S)
            self._events.put((name, {"type": "ERROR"}))
            query = {key: value for key, value in query.items() if key != "resourceVersion"}
