"""The proof that a node has joined; a Node that is Ready proves too little.

A serving certificate must be in use that holds what was approved last, the address that is dialled
here, and nothing that is not the node's; and the API server must reach the kubelet through it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from admission.api_server.api import NODES, Api, ApiError
from admission.api_server.outages import UNREACHABLE
from admission.gate.progress import Progress, Reach
from admission.inventory import InventoryNode
from admission.serving_certificate import (
    KUBELET_PORT,
    ServingCertificate,
    Untrusted,
    listed,
)

FIRST_LOOK_S = 0.1
LONGEST_LOOK_S = 2.0
# After that the API server's word is enough: it may be the only one to reach the kubelets.
SILENT_LIMIT_S = 10
PROOFS_AT_ONCE = 64


class Prover:
    """Looks at each node's kubelet, from here and through the API server."""

    def __init__(
        self,
        api: Api,
        look: Callable[[InventoryNode], Awaitable[ServingCertificate]],
        reach: Reach,
        clock: Callable[[], float],
    ) -> None:
        self._api, self._look, self._reach, self._clock = api, look, reach, clock
        # Machines that hang hold up no other, unless there are many.
        self._at_once = asyncio.Semaphore(PROOFS_AT_ONCE)

    async def prove(self, progress: Progress, wake: asyncio.Event) -> None:
        """Return once the node has joined; `wake` is set when anything about it has changed."""
        pause_s, silent_since = FIRST_LOOK_S, None
        while True:
            wake.clear()
            if not progress.ready:
                await wake.wait()
                pause_s = FIRST_LOOK_S
                continue
            self._reach(progress, "ready")
            silent = await self._look_at_port(progress)
            # While it presents no certificate of its own, the API server's word proves nothing.
            worth_asking = progress.certificate or silent or progress.untrusted
            if worth_asking and await self._is_reached(progress):
                self._reach(progress, "reached")
                if progress.certificate is not None:
                    break
                if silent:
                    silent_since = silent_since or self._clock()
                    if self._clock() - silent_since >= SILENT_LIMIT_S:
                        break
            if not silent:
                silent_since = None
            # An issued certificate wakes this; nothing reports that the kubelet uses it.
            try:
                await asyncio.wait_for(wake.wait(), pause_s)
                pause_s = FIRST_LOOK_S
            except TimeoutError:
                pause_s = min(pause_s * 2, LONGEST_LOOK_S)
        seen = "" if progress.certificate else f"; port {KUBELET_PORT} is not reachable from here"
        done = "works since its restart" if progress.restarted else "joined"
        self._reach(progress, "joined", f"{done}{seen}")

    async def _look_at_port(self, progress: Progress) -> bool:
        """Look at the certificate in use, and return whether the port did not answer."""
        progress.certificate = None
        try:
            found = await self._look(progress.entry)
            if missing := progress.approved - found.claims:
                raise ValueError(
                    f"presents a certificate without {listed(missing)}, which its request"
                    f" {progress.approved_by} has got"
                )
            progress.certificate = found
        except ValueError as error:
            progress.port_problem = f"its port {KUBELET_PORT} {error}"
            progress.untrusted = isinstance(error, Untrusted)
            return False
        except (TimeoutError, OSError):
            progress.port_problem = f"its port {KUBELET_PORT} does not answer here"
            return True
        progress.port_problem = ""
        self._reach(progress, "presented")
        return False

    async def _is_reached(self, progress: Progress) -> bool:
        """Ask whether the API server reaches the kubelet: what `kubectl logs` needs."""
        try:
            async with self._at_once:
                await self._api.reach(f"{NODES}/{progress.entry.name}/proxy/healthz")
        except (ApiError, *UNREACHABLE) as error:
            progress.api_problem = f"the API server does not reach it: {error}"
            return False
        progress.api_problem = ""
        return True
