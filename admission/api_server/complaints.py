"""What is said of objects that can't be read: of each once, and little of a flood."""

from collections.abc import Callable

from admission.api_server.api import Say

BURST = 10
PAUSE_S = 60.0  # until one more may be told of
MOST_REMEMBERED = 1000


class Complaints:
    """Tells of objects, for as long as a program runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], None] = {}
        self._left, self._at, self._dropped = float(BURST), clock(), 0

    def tell(self, name: str, why: str, say: Say) -> None:
        """Say that an object is refused, unless that was said, or too much was."""
        if (name, why) in self._told:
            return
        now = self._clock()
        self._left = min(float(BURST), self._left + (now - self._at) / PAUSE_S)
        self._at = now
        self._told[name, why] = None
        if len(self._told) > MOST_REMEMBERED:
            del self._told[next(iter(self._told))]
        if self._left < 1:
            self._dropped += 1
            return
        more = f" (and {self._dropped} more objects)" if self._dropped else ""
        self._left, self._dropped = self._left - 1, 0
        say(f"{name} is refused: {why}; find out who has written it, and delete it{more}")
