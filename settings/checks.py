"""Whether settings that are right one by one also fit together."""

from collections.abc import Iterator

from settings import approval_checks, kubelet_checks, machine_checks
from settings.model import Settings
from settings.problem import Problem


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield what must be put right before anything is touched, each once."""
    yield from machine_checks.problems(settings)
    yield from approval_checks.problems(settings)
    yield from kubelet_checks.problems(settings)
    yield from machine_checks.ssh_problems(settings)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield what is accepted but has no effect, or another one than it seems, each once."""
    yield from kubelet_checks.warnings(settings)
