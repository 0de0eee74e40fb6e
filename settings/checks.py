"""Whether settings that are each valid also fit together."""

from collections.abc import Iterator

from settings import approval_checks, approver_checks, claims, kubelet_checks, machine_checks
from settings.model import Settings
from settings.problem import Problem


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield, once each, the problems that must be fixed before anything is changed."""
    yield from claims.problems(settings)
    yield from machine_checks.problems(settings)
    yield from machine_checks.rollout_problems(settings)
    yield from approver_checks.problems(settings)
    yield from approval_checks.problems(settings)
    yield from kubelet_checks.problems(settings)
    yield from machine_checks.destination_problems(settings)
    yield from machine_checks.ssh_problems(settings)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield, once each, warnings of settings without effect, or with another one than expected."""
    yield from approver_checks.warnings(settings)
    yield from approval_checks.warnings(settings)
    yield from kubelet_checks.warnings(settings)
    yield from machine_checks.warnings(settings)
