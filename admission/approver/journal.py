"""A log of JSON lines, in which no flood of requests drowns the rest."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# How many lines on one subject may come at once; after that, one a minute.
BURST = 10
PAUSE_S = 60.0
LONGEST_TEXT = 500


@dataclass
class _Subject:
    left: float
    at: float
    dropped: int = 0


class Journal:
    """Writes one JSON document a line."""

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write, self._clock, self._now = write, clock, now
        self._subjects: dict[str, _Subject] = {}

    def tell(self, level: str, message: str, **fields: Any) -> None:
        """Write a line, whatever has been written before."""
        line: dict[str, Any] = {
            "time": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": level,
            "message": message,
            **{key: value for key, value in fields.items() if value not in (None, "", [])},
        }
        texts = {k: v[:LONGEST_TEXT] for k, v in line.items() if isinstance(v, str)}
        self._write(json.dumps({**line, **texts}, ensure_ascii=True))

    def tell_of(self, subject: str, level: str, message: str, **fields: Any) -> None:
        """Write a line unless there were many on this subject; the next one says how many."""
        now = self._clock()
        found = self._subjects.setdefault(subject, _Subject(BURST, now))
        found.left = min(BURST, found.left + (now - found.at) / PAUSE_S)
        found.at = now
        if found.left < 1:
            found.dropped += 1
            return
        found.left -= 1
        dropped, found.dropped = found.dropped, 0
        self.tell(level, message, **fields, linesDropped=dropped or None)
