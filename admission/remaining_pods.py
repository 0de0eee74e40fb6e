"""What keeps a node from being drained: the pods that are still there, and what each one needs.

`kubectl drain` says it by its own options, and does not name a budget. Loaded only after it failed.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from admission.api_server.api import PODS, ApiError, Keep
from admission.api_server.brief_connection import Requests
from admission.drain_settings import Drain

BUDGETS = "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
MOST_PODS = 500
MOST_NAMES = 5
LONGEST_LABELS = 16 * 1024
MIRROR = "kubernetes.io/config.mirror"
POD = r"[a-z0-9-]+/[a-z0-9.-]+"
# Of pods whose DaemonSet is gone, which `kubectl drain` deletes with --force.
ORPHANS = re.compile(rf"cannot delete daemonsets\.apps \"[^\"]*\" not found: ({POD}(?:, {POD})*)")


@dataclass(frozen=True, kw_only=True)
class Remains:
    """Why a node has not been drained."""

    refused: tuple[str, ...] = ()
    """What the settings do not allow, so that no pod was evicted, each with the setting."""
    stay: tuple[str, ...] = ()
    """What did not end in time, each with what keeps it."""


async def look(api: Requests, node: str, how: Drain, errors: str) -> Remains:
    """Return what is left on a node, after `kubectl drain` has failed with these errors."""
    try:
        found = await api.list(f"{PODS}?fieldSelector=spec.nodeName%3D{node}", some_pods())
    except ApiError:
        return Remains()  # a right is missing, which is the error of kubectl then
    pods = found.items
    refused = [*_refused(pods, how, errors)]
    if refused:
        return Remains(refused=tuple(refused))
    unreadable = [f"the pod {name} can't be read ({why})" for name, why in found.left_out]
    return Remains(stay=(*[line async for line in _stay(api, pods)], *unreadable[:MOST_NAMES]))


def some_pods() -> Keep:
    """Return what keeps, of each of some hundred pods that a drain evicts, what is said of it."""
    chosen: set[tuple[str, str]] = set()  # a list may be begun again

    def keep(pod: dict[str, Any]) -> dict[str, Any] | None:
        who = _namespace(pod), pod["metadata"]["name"]
        if not _is_evicted(pod) or (len(chosen) >= MOST_PODS and who not in chosen):
            return None
        kept = _kept_pod(pod)
        chosen.add(who)
        return kept

    return keep


def _kept_pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    metadata, owner = pod["metadata"], _controller(pod)
    labels = metadata.get("labels") or {}
    return {
        "metadata": {
            "namespace": _namespace(pod),
            "name": metadata["name"],
            # Nobody has so many but to fill our memory; then no budget is said to select the pod.
            "labels": labels if len(str(labels)) <= LONGEST_LABELS else {},
            "ownerReferences": [{"controller": True}] if owner else [],
            "deletionTimestamp": metadata.get("deletionTimestamp"),
        },
        "spec": {"volumes": [{"emptyDir": {}}] if _has_local_data(pod) else []},
        "status": {"phase": _phase(pod)},
    }


def _kept_budget(budget: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is kept of a budget that allows nothing now.

    Raises:
        ValueError: its selector is too long.
    """
    if (budget.get("status") or {}).get("disruptionsAllowed"):
        return None
    selector = (budget.get("spec") or {}).get("selector")
    if len(str(selector)) > LONGEST_LABELS:
        raise ValueError("its selector is too long")
    return {"metadata": {"name": budget["metadata"]["name"]}, "spec": {"selector": selector}}


def _refused(pods: Sequence[Mapping[str, Any]], how: Drain, errors: str) -> Iterator[str]:
    """Yield what `kubectl drain` refuses before it evicts anything: pkg/drain/filters.go."""
    running = [pod for pod in pods if _phase(pod) not in ("Succeeded", "Failed")]
    bare = [pod for pod in running if _controller(pod) is None]
    if bare and not how.force:
        have = "has" if len(bare) == 1 else "have"
        yield (
            f"{_names(bare)} {have} no controller that starts such a pod again (drain.force: true"
            " deletes it)"
        )
    orphans = dict.fromkeys(ORPHANS.findall(errors))
    if orphans and not how.force:
        yield f"the DaemonSet of {', '.join(orphans)} is gone (drain.force: true deletes its pods)"
    local = [pod for pod in running if _has_local_data(pod)]
    if local and not how.delete_empty_dir_data:
        yield (
            f"{_names(local)} would lose the data in emptyDir volumes"
            " (drain.deleteEmptyDirData: true accepts that)"
        )


async def _stay(api: Requests, pods: Sequence[Mapping[str, Any]]) -> AsyncIterator[str]:
    """Yield the pods that are left, with the budget that keeps them, if one does."""
    kept: dict[str, list[Mapping[str, Any]]] = {}
    for namespace in dict.fromkeys(_namespace(pod) for pod in pods):
        of_namespace = [pod for pod in pods if _namespace(pod) == namespace]
        for budget in await _exhausted(api, namespace):
            name = f"{namespace}/{budget['metadata']['name']}"
            held = [pod for pod in of_namespace if _selects(budget, pod) and not _ends(pod)]
            kept.setdefault(name, []).extend(held)
    for name, held in kept.items():
        if held:
            yield f"the PodDisruptionBudget {name} does not allow the eviction of {_names(held)}"
    named = {id(pod) for held in kept.values() for pod in held}
    rest = [pod for pod in pods if id(pod) not in named]
    ending = [pod for pod in rest if _ends(pod)]
    if ending:
        verb = "has" if len(ending) == 1 else "have"
        yield f"{_names(ending)} {verb} not ended yet"
    if others := [pod for pod in rest if not _ends(pod)]:
        yield f"{_names(others)} {'is' if len(others) == 1 else 'are'} still there"


async def _exhausted(api: Requests, namespace: str) -> Sequence[Mapping[str, Any]]:
    """Return the budgets of a namespace that allow nothing now; none if they may not be read."""
    try:
        return (await api.list(BUDGETS.format(namespace=namespace), _kept_budget)).items
    except ApiError:
        return ()


def _selects(budget: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Return whether a budget is about a pod; an empty selector is about all of them."""
    selector = (budget.get("spec") or {}).get("selector")
    if selector is None:
        return False
    labels = pod["metadata"].get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_matches(each, labels) for each in selector.get("matchExpressions") or ())


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _is_evicted(pod: Mapping[str, Any]) -> bool:
    """Return whether a drain would take a pod away: no static one, and none of a DaemonSet."""
    owner = _controller(pod)
    return MIRROR not in (pod["metadata"].get("annotations") or {}) and not (
        owner and owner.get("kind") == "DaemonSet"
    )


def _controller(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _has_local_data(pod: Mapping[str, Any]) -> bool:
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return any(volume.get("emptyDir") is not None for volume in volumes)


def _phase(pod: Mapping[str, Any]) -> str:
    return str((pod.get("status") or {}).get("phase"))


def _ends(pod: Mapping[str, Any]) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _namespace(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("namespace"))


def _names(pods: Sequence[Mapping[str, Any]]) -> str:
    """Return the pods with their namespaces, only some of many."""
    names = [f"{_namespace(pod)}/{pod['metadata']['name']}" for pod in pods]
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES])
    return f"{listed} and {more} more" if more > 0 else listed
