"""A problem with the settings, and the error that lists all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from admission.terminal import visible


@dataclass(frozen=True)
class Problem:
    """What is wrong, and the path of the setting. It ends the run, and quotes no secret."""

    path: str
    message: str
    sentence: bool = False  # the message is a sentence of its own; it does not continue the path

    def __str__(self) -> str:
        return f"{self.path}{':' if self.sentence else ''} {self.message}"


class SettingsError(pulumi.RunError):
    """All problems at once; a RunError, so that Pulumi prints it without a traceback.

    What a problem quotes may be another stack's or the cluster's: each is one line for a terminal.
    """

    def __init__(
        self, problems: Sequence[Problem], *, untouched: str = "nothing was changed"
    ) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  {visible(str(problem))}" for problem in problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} in the settings; {untouched}:{listed}")
