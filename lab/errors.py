"""The one error that the lab raises for whatever a user can do something about."""


class LabError(Exception):
    """What is wrong, and what to do. The command line prints it as one line and ends with 1."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
