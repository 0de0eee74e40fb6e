"""A problem with the settings, and the error that lists all of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from admission.terminal import visible

LONGEST_VALUE = 100  # characters
QUOTED = re.compile('"[^"]*" ?')


def one_line(text: str) -> str:
    """Return a text without what it quotes, unless that is short and printable.

    A long value may be a key or a certificate in the wrong place.
    """

    def quoted(match: re.Match[str]) -> str:
        return match[0] if len(match[0]) <= LONGEST_VALUE + 3 and match[0].isprintable() else ""

    kept = QUOTED.sub(quoted, text)
    return "".join(letter if letter.isprintable() else "?" for letter in kept)[: 5 * LONGEST_VALUE]


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
