"""A Lease: of several replicas, the one that holds it may act. They wait until somebody creates it.

Works as k8s.io/client-go/tools/leaderelection does, with its usual durations. No two clocks are
compared: a holder counts as gone when its Lease has not changed for as long as it says, by the
clock of the replica that looks, but for a minute at most.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from admission.api_server.api import ApiError
from admission.api_server.outages import UNREACHABLE
from admission.api_server.rights import RightsGrace

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
LEASE_DURATION_S = 15
RENEW_DEADLINE_S = 10.0
RETRY_PERIOD_S = 2.0
# Whoever could write it for a moment must not reserve it for years, nor end the count.
LONGEST_DURATION_S = 60
MOST_TRANSITIONS = 2**31 - 1
ATTEMPT_LIMIT_S = RENEW_DEADLINE_S / 2


class Requests(Protocol):
    """What is asked of an API server."""

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request and return the answer."""


class Lease:
    """One replica's part in the election."""

    def __init__(
        self,
        api: Requests,
        *,
        namespace: str,
        name: str,
        identity: str,
        changed: Callable[[bool], None],
        unheld: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Make it; `changed` is told whether it is held, and `unheld` once why it can't be."""
        self._api, self._changed, self._clock = api, changed, clock
        self._path = f"{LEASES.format(namespace=namespace)}/{name}"
        self._name, self.identity = f"{namespace}/{name}", identity
        self._unheld, self._told_problem = unheld, ""
        self._renewed_at: float | None = None  # when we last made it ours
        self._seen: dict[str, Any] = {}  # its newest spec
        self._seen_at = 0.0  # since when it is that
        self._told = False
        self._rights = RightsGrace(clock)
        self.problem = ""  # how the API server failed last

    @property
    def held(self) -> bool:
        """Whether we may act at this moment: true for a while after each renewal, and no longer."""
        return self._renewed_at is not None and self._clock() < self._renewed_at + RENEW_DEADLINE_S

    @property
    def holder(self) -> str:
        """Who holds it, as far as we have seen."""
        return str(self._seen.get("holderIdentity") or "")

    async def contend(self) -> None:
        """Take the Lease whenever it is free, and renew it while it is ours; forever.

        Raises:
            ApiError: the rights are missing (401, 403), and have been for some seconds.
        """
        while True:
            began = self._clock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s()):
                    await self._attempt(began)
            self._tell()
            await asyncio.sleep(min(RETRY_PERIOD_S, self._patience_s()))
            self._tell()

    async def release(self) -> None:
        """Release the Lease if it is ours, so that another replica need not wait for its end."""
        if not self.held:
            return
        self._renewed_at = None
        with contextlib.suppress(ApiError, *UNREACHABLE):
            async with asyncio.timeout(RETRY_PERIOD_S):
                lease = await self._api.request("GET", self._path)
                if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._write({**lease, "spec": spec})

    def _patience_s(self) -> float:
        """How long an attempt may take: a holder needs time for a second one."""
        left = (self._renewed_at or 0) + RENEW_DEADLINE_S - self._clock()
        return min(max(left, 0.1), ATTEMPT_LIMIT_S) if self.held else ATTEMPT_LIMIT_S

    def _tell(self) -> None:
        if self.held != self._told:
            self._told = self.held
            self._changed(self._told)

    async def _attempt(self, began: float) -> None:
        """Acquire or renew, if it is free or ours."""
        try:
            lease = await self._api.request("GET", self._path)
            self._see(lease.get("spec") or {})
            if self.holder not in ("", self.identity) and not self._expired():
                self._renewed_at = None
                self._rights.restart()
                self._tell_problem(self._reserved())
                return
            await self._write({**lease, "spec": self._spec()})
            self._tell()  # it may have ended meanwhile
            self._renewed_at = began
            self.problem = self._told_problem = ""
            self._rights.restart()
        except ApiError as error:
            if error.status in (401, 403) and self._rights.is_over():
                raise
            self.problem = str(error)
            if error.status == 409:
                self._renewed_at = None  # another was faster
                return
            if error.status == 404:
                self._renewed_at = None
                self.problem = f"there is no Lease {self._name}; create it"
            self._tell_problem(self.problem)
        except UNREACHABLE as error:
            self.problem = f"{type(error).__name__} {error}"
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self.problem = f"the Lease {self._name} can't be read ({type(error).__name__})"
            self._tell_problem(self.problem)

    def _tell_problem(self, problem: str) -> None:
        """Say why it can't be held, unless it is, or that was said last."""
        if self.held:
            return
        if problem and problem != self._told_problem:
            self._unheld(problem)
        self._told_problem = problem

    def _reserved(self) -> str:
        """Return how another holder reserves it for too long; empty if it does not."""
        duration = self._seen.get("leaseDurationSeconds") or 0
        if duration <= LONGEST_DURATION_S:
            return ""
        return (
            f"{self.holder} holds the Lease {self._name} for {duration} s;"
            f" it is taken over {LONGEST_DURATION_S} s after the last renewal"
        )

    def _see(self, spec: dict[str, Any]) -> None:
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock()

    def _expired(self) -> bool:
        duration = self._seen.get("leaseDurationSeconds") or LEASE_DURATION_S
        return self._clock() >= self._seen_at + min(duration, LONGEST_DURATION_S)

    def _spec(self) -> dict[str, Any]:
        ours = self.holder == self.identity
        transitions = int(self._seen.get("leaseTransitions") or 0) + (not ours)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_DURATION_S,
            "acquireTime": self._seen.get("acquireTime") if ours else now,
            "renewTime": now,
            "leaseTransitions": transitions if 0 <= transitions <= MOST_TRANSITIONS else 1,
        }

    async def _write(self, lease: dict[str, Any]) -> None:
        """Replace it; one that has changed since it was read is a conflict."""
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        lease = await self._api.request("PUT", self._path, {**kind, **lease})
        self._see(lease.get("spec") or {})
