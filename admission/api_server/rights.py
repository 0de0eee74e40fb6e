"""Missing rights: for how long they may be missing before that is an error."""

from collections.abc import Callable

from admission.api_server.api import READ_PAUSE_S, RIGHTS_LIMIT_S

# Credentials that have ended are read again before that.
GRACE_S = READ_PAUSE_S + RIGHTS_LIMIT_S


class RightsGrace:
    """Some seconds in which rights may be missing, from the first refusal in a row on.

    An API server that starts has none yet.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._missing_since: float | None = None

    def is_over(self) -> bool:
        """Note that rights are missing now, and tell whether they have been for too long."""
        if self._missing_since is None:
            self._missing_since = self._clock()
        return self._clock() - self._missing_since > GRACE_S

    def restart(self) -> None:
        """Note that nothing is missing now."""
        self._missing_since = None
