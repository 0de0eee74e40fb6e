"""The named checks of the cluster before a pool's nodes are admitted.

A check that fails ends the run; a warning does not. What can't be seen from outside is reported as
not checked. Any check can be skipped by its name (`skipClusterChecks`).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from admission.api_server.api import ApiError, Unreadable
from admission.api_server.outages import UNREACHABLE
from admission.gate.checks.check import Check, Context, State
from admission.gate.checks.cluster import (
    check_clock,
    check_kubelet_verification,
    check_rights,
    check_signer,
    check_signing_rate,
    check_version,
)
from admission.gate.checks.tokens import (
    check_client_approval,
    check_left_over_tokens,
    check_token,
    check_token_cleaner,
)

CHECKS: Mapping[str, Check] = {
    "version": check_version,
    "rights": check_rights,
    "clock": check_clock,
    "token": check_token,
    "client-approval": check_client_approval,
    "signer": check_signer,
    "signing-rate": check_signing_rate,
    "token-cleaner": check_token_cleaner,
    "left-over-tokens": check_left_over_tokens,
    "kubelet-verification": check_kubelet_verification,
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check has found."""

    check: str
    state: State
    text: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.text} (check {self.check})"


async def run(context: Context) -> list[Finding]:
    """Return what each check finds, in their order; all run at once."""
    names = [name for name in CHECKS if name not in context.orders.skipped_checks]
    return [*await asyncio.gather(*(_find(name, context) for name in names))]


async def _find(name: str, context: Context) -> Finding:
    try:
        state, text = await CHECKS[name](context)
    except (ApiError, Unreadable) as error:
        return Finding(check=name, state="not checked", text=str(error))
    except UNREACHABLE as error:
        text = f"the API server does not answer: {type(error).__name__}"
        return Finding(check=name, state="not checked", text=text)
    # One malformed object must not stop the run.
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        text = f"an answer can't be read ({type(error).__name__} {error})"
        return Finding(check=name, state="not checked", text=text)
    return Finding(check=name, state=state, text=text)


def summary(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield one line for all that passed, and one for each other finding."""
    by_state: dict[str, list[Finding]] = {}
    for finding in findings:
        by_state.setdefault(finding.state, []).append(finding)
    if passed := by_state.pop("passed", []):
        yield f"cluster checks passed: {', '.join(finding.check for finding in passed)}"
    for others in by_state.values():
        yield from map(str, others)
