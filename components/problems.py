"""What is wrong with the settings, told as one error."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Problem:
    """A fault and the path of the setting that has it. Neither holds a secret."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} {self.message}"


class SettingsError(pulumi.RunError):
    """All problems at once; a RunError, so that Pulumi prints it without a traceback."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  {problem}" for problem in problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} in the settings, nothing was touched:{listed}")
