"""Makes the Nodes of a pool follow the settings: their labels, annotations and taints."""

import asyncio
from collections.abc import Mapping
from typing import Any

from admission.api_server.api import MERGE_PATCH, NODES, Api, ApiError, Say
from admission.api_server.outages import UNREACHABLE
from admission.gate.progress import Progress
from admission.objects.node_attributes import Change, change

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
AT_ONCE, TRIES = 64, 5
# By which an API server's managedFields name the program.
MANAGER = "?fieldManager=kubelet-tls-bootstrap"


class AttributeSetter:
    """Sets what the settings have, and takes back what they no longer have."""

    def __init__(self, api: Api, say: Say) -> None:
        self._api, self._say = api, say
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def follow(self, progress: Progress, wake: asyncio.Event) -> None:
        """Return once a node has registered and has them; `wake` is set when its Node changes."""
        pause_s = FIRST_PAUSE_S
        while not await self._is_set(progress):
            # What the API server refuses may be granted later; nothing reports that.
            limit_s = pause_s if progress.attributes_problem else None
            try:
                await asyncio.wait_for(wake.wait(), limit_s)
            except TimeoutError:
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            wake.clear()

    async def _is_set(self, progress: Progress) -> bool:
        name, node = progress.entry.name, progress.node
        if node is None or progress.foreign:
            return False
        try:
            async with self._at_once:
                found = await self._patched(node, progress)
        except (ApiError, *UNREACHABLE) as error:
            progress.attributes_problem = (
                f"its labels, annotations and taints could not be changed: {error}"
            )
            return False
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            progress.attributes_problem = f"its Node can't be read ({type(error).__name__})"
            return False
        progress.attributes_problem = ""
        for line in (*([", ".join(found.done)] if found.done else []), *found.left):
            self._say(f"{name}: {line}")
        return True

    async def _patched(self, node: Mapping[str, Any], progress: Progress) -> Change:
        """Send what the Node needs, and return it; look again if somebody else was faster."""
        path = f"{NODES}/{progress.entry.name}"
        for left in reversed(range(TRIES)):
            found = change(node, progress.wanted, progress.registered)
            if not found.patch:
                break
            try:
                await self._api.request(
                    "PATCH", path + MANAGER, found.patch, content_type=MERGE_PATCH
                )
                break
            except ApiError as error:
                if error.status != 409 or not left:
                    raise
                node = await self._api.request("GET", path)
        return found
