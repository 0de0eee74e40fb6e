"""A node's pods go: no new ones come, and `kubectl drain` evicts those that are there."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admission import program
from admission.api_server.api import MERGE_PATCH, NODES, PODS, ApiError, Say
from admission.api_server.brief_connection import Requests
from admission.drain_settings import Drain
from admission.objects.node import is_silent
from admission.turns import Turns

# Nobody ends the pods of a machine that does not answer: waiting longer changes nothing.
SILENT_DRAIN_TIMEOUT_S = 30
# How much longer than its own limit kubectl may take, and how long the end of a cordon may.
MORE_S, LIFT_TIMEOUT_S = 30, 20
# On a Node: the cordon is ours, so that a run after an interrupted one may end it.
CORDONED = "kubelet-tls-bootstrap/cordoned"
REMEDY = (
    "if its machine is gone, set force: true for {name} (put it back into its pool for that) and"
    " run pulumi up, which then waits for nothing on it and does not connect to it"
)
ANOTHER = "another machine has joined as {name} while it was drained; it is left alone"


@dataclass
class Cordon:
    """What keeps new pods from a node until it has left, or until its removal has failed."""

    api: Requests
    node: Mapping[str, Any]
    is_there: bool = True
    """Whether the node is cordoned, as far as we know."""
    is_ours: bool = False
    """Whether this program did that."""

    @classmethod
    async def put(cls, api: Requests, node: Mapping[str, Any]) -> "Cordon":
        """Cordon a node, unless it is; of a right that is missing `kubectl drain` is the judge.

        Raises:
            ValueError: it is another machine's Node by now.
            ApiError: it is gone (404).
        """
        metadata, spec = node["metadata"], node.get("spec") or {}
        if spec.get("unschedulable"):
            return cls(api, node, is_ours=CORDONED in (metadata.get("annotations") or {}))
        try:
            await _patch(api, node, "true", unschedulable=True)
        except ApiError as error:
            if error.status == 404:
                raise
            # That of another uid is refused as invalid, as many a patch may be.
            found = await api.insist("GET", f"{NODES}/{metadata['name']}")
            if found["metadata"]["uid"] != metadata["uid"]:
                raise ValueError(ANOTHER.format(name=metadata["name"])) from None
            return cls(api, node, is_there=False)
        return cls(api, node, is_ours=True)

    async def lift(self, say: Say) -> None:
        """End a cordon of ours, if the Node is still there, and say so."""
        if not self.is_ours:
            return
        name = self.node["metadata"]["name"]
        try:
            async with asyncio.timeout(LIFT_TIMEOUT_S):
                await _patch(self.api, self.node, None, unschedulable=None)
        except ApiError as error:
            if error.status not in (404, 409, 422):
                say(f"{name} stays cordoned: {error}; to end that, run kubectl uncordon {name}")
        except Exception as error:  # noqa: BLE001 - the failure that brought us here is told
            why = error or type(error).__name__
            say(f"{name} stays cordoned: {why}; to end that, run kubectl uncordon {name}")
        else:
            say(f"{name} is not removed, and takes pods as before")


async def drain(cordon: Cordon, kubeconfig: str, how: Drain, turns: Turns | None, say: Say) -> None:
    """Take a node's pods away, when it is its turn; one that has none waits for no turn.

    Raises:
        ValueError: that failed; says why, and what to do.
        ApiError: the Node is gone (404), or the API server refused.
    """
    api, node = cordon.api, cordon.node
    name = node["metadata"]["name"]
    if cordon.is_there and await _is_empty(api, name):
        return

    def waits() -> None:
        say(f"{name} waits for its turn: drain.parallel is {how.parallel}")

    turn = turns.take(waits) if turns else contextlib.nullcontext(enter_result=False)
    async with turn as waited:
        if waited:
            node = await api.insist("GET", f"{NODES}/{name}")
        await _drain(api, node, kubeconfig, how)


async def _drain(api: Requests, node: Mapping[str, Any], kubeconfig: str, how: Drain) -> None:
    name = node["metadata"]["name"]
    timeout_s = min(how.timeout_s, SILENT_DRAIN_TIMEOUT_S) if is_silent(node) else how.timeout_s
    options = [f"--timeout={timeout_s}s"]
    if how.grace_s is not None:
        options.append(f"--grace-period={how.grace_s}")
    options += ["--delete-emptydir-data"] if how.delete_empty_dir_data else []
    options += ["--force"] if how.force else []
    status, _, errors = await program.run(
        *("kubectl", f"--kubeconfig={kubeconfig}", "drain", name, "--ignore-daemonsets"),
        *options,
        timeout_s=timeout_s + MORE_S,
    )
    if status:
        raise ValueError(await _why(api, name, how, errors, timeout_s))


async def _why(api: Requests, name: str, how: Drain, errors: str, timeout_s: int) -> str:
    """Return why a drain has failed, and what to do."""
    from admission import remaining_pods  # noqa: PLC0415 - most drains do not fail

    found = await remaining_pods.look(api, name, how, errors)
    why = "; ".join(found.refused or found.stay) or program.last_error(errors)
    if is_silent(await api.insist("GET", f"{NODES}/{name}")):
        return (
            f"{name} does not answer, and can't be drained: {why}; {REMEDY.format(name=name)}; if"
            " not, start its kubelet"
        )
    if found.refused:
        return (
            f"{name} is not drained, and no pod was evicted: {why}. Allow that in the settings of"
            " its pool or of the stack, or take these pods away yourself, and run it again"
        )
    remedy = f"set force: true for {name} if its machine is gone"
    if found.stay:
        return (
            f"{name} is not drained after {timeout_s} s: {why}. Correct that and run it again,"
            f" raise drain.timeoutSeconds, or {remedy}"
        )
    return f"{name} can't be drained: {why}; fix that, or {remedy}"


async def _is_empty(api: Requests, name: str) -> bool:
    """Tell whether `kubectl drain` would find no pod, as it looks for them (pkg/drain/drain.go).

    Of any pod, and of a right that is missing, it is the judge itself.
    """
    try:
        found = await api.insist("GET", f"{PODS}?fieldSelector=spec.nodeName%3D{name}&limit=1")
    except ApiError:
        return False
    is_list = isinstance(found, dict) and found.get("kind") == "PodList"
    return is_list and not (found.get("items") or found.get("metadata", {}).get("continue"))


async def _patch(
    api: Requests, node: Mapping[str, Any], annotation: str | None, *, unschedulable: bool | None
) -> None:
    metadata = node["metadata"]
    # The uid: no Node of the same name that has joined since.
    patch = {
        "metadata": {"uid": metadata["uid"], "annotations": {CORDONED: annotation}},
        "spec": {"unschedulable": unschedulable},
    }
    path = f"{NODES}/{metadata['name']}"
    await api.insist("PATCH", path, patch, content_type=MERGE_PATCH)
