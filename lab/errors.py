"""The error that the lab raises for every problem that a user can solve."""


class LabError(Exception):
    """What is wrong, and what to do. The command line prints it as one line and exits with 1."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
