"""In which order a run does what its preview shows, and how much of it at a time.

The stages come one after the other, and what one of them holds goes on side by side: the control
plane, then what joins and the first wave of what changes, then the other waves, then, if all nodes
have joined, what leaves.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, TypeVar

from pydantic import ValidationError

from preview import cluster_changes
from preview.digest import Digest
from preview.markdown import natural
from preview.membership import Membership, Shared, restarted
from settings.layer import Model, merge_models
from settings.model import DrainSettings, RolloutSettings

M = TypeVar("M", bound=Model)
CONTROL_PLANE, CHANGE, JOIN, REJOIN, LEAVE = "controlPlane", "change", "join", "rejoin", "leave"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that happens to some nodes of a pool, or to hosts of the control plane."""

    stage: int
    """From 1; those with the same number go on side by side."""
    action: str
    """What happens: one of the five above."""
    pool: str | None
    """Their pool; None: it is not known, or they are hosts."""
    nodes: tuple[str, ...]
    """To whom it happens."""
    restarts: tuple[str, ...] = ()
    """Those that stay whose kubelets restart for sure."""
    drained: tuple[str, ...] = ()
    """Those that leave whose pods are evicted first."""
    at_once: int | None = None
    """How many at a time; None: as many as the engine has slots (`--parallel`)."""


def order(digest: Digest, members: Membership, shared: Shared) -> list[Part]:
    """Return what happens, in its order."""
    waves = [part for pool in sorted(shared, key=natural) for part in _waves(digest, members, pool)]
    unwaved = list(_unwaved(members, shared))
    stages = [
        list(_control_plane(digest)),
        [*(part for part in waves if part.stage == 0), *unwaved, *_joins(members)],
        [part for part in waves if part.stage == 1],
        list(_leaves(digest, members)),
    ]
    restarting = restarted(shared)
    parts = []
    for number, found in enumerate(filter(None, stages), 1):
        for part in found:
            restarts = tuple(node for node in part.nodes if node in restarting)
            ours = restarts if part.action in (CHANGE, REJOIN) else ()
            parts.append(replace(part, stage=number, restarts=ours))
    return parts


def _control_plane(digest: Digest) -> Iterator[Part]:
    if hosts := tuple(cluster_changes.changed_hosts(digest)):
        yield Part(stage=0, action=CONTROL_PLANE, pool=None, nodes=hosts, at_once=1)


def _waves(digest: Digest, members: Membership, pool: str) -> Iterator[Part]:
    """Yield the first wave of a pool's nodes whose files change, and all others: as `rollout` says.

    If nodes of the pool are not Ready, a wave is smaller, and it is theirs first.
    """
    listed = ((digest.settings.get("pools") or {}).get(pool) or {}).get("nodes") or ()
    places = {str(entry["name"]): number for number, entry in enumerate(listed)}
    here = [node for node in members.rewritten if members.pool(node) == pool]
    changed = tuple(sorted(here, key=lambda node: places.get(node, len(places))))
    first, most = waves_of(digest, pool, sum(members.pool(n) == pool for n in members.joined))
    for stage, nodes, size in ((0, changed[:first], first), (1, changed[first:], most)):
        if nodes:
            at_once = min(size, len(nodes))
            yield Part(stage=stage, action=CHANGE, pool=pool or None, nodes=nodes, at_once=at_once)


def _unwaved(members: Membership, shared: Shared) -> Iterator[Part]:
    """Yield the nodes that change only in the cluster, or in the state."""
    for pool, found in sorted(shared.items(), key=lambda entry: natural(entry[0])):
        changed = {node for nodes in found.values() for node in nodes}
        if rest := changed.difference(members.rewritten, members.rejoining):
            yield Part(stage=0, action=CHANGE, pool=pool or None, nodes=_sorted(rest))


def _joins(members: Membership) -> Iterator[Part]:
    for action, joining in ((JOIN, members.joining), (REJOIN, members.rejoining)):
        for pool, nodes in _by_pool(members, joining):
            yield Part(stage=0, action=action, pool=pool or None, nodes=nodes)


def _leaves(digest: Digest, members: Membership) -> Iterator[Part]:
    for pool, nodes in _by_pool(members, members.gone):
        drained = tuple(node for node in nodes if node in members.drained)
        yield Part(
            stage=0,
            action=LEAVE,
            pool=pool or None,
            nodes=nodes,
            drained=drained,
            at_once=drains_at_once(digest, pool) if drained else None,
        )


def drains_at_once(digest: Digest, pool: str) -> int:
    """Return how many nodes of a pool are drained at the same time, by the stack's settings."""
    return _of_pool(digest, pool, "drain", DrainSettings).parallel


def waves_of(digest: Digest, pool: str, size: int) -> tuple[int, int]:
    """Return how many nodes of a pool of that size change first, and then at a time."""
    rollout = _of_pool(digest, pool, "rollout", RolloutSettings)
    most = rollout.max_unavailable
    if isinstance(most, str):
        most = max(1, ceil(size * int(most.removesuffix("%")) / 100))
    return min(rollout.canary, most), most


def _of_pool(digest: Digest, pool: str, key: str, model: type[M]) -> M:
    """Return settings of a pool, merged over those of the stack."""
    own: Any = ((digest.settings.get("pools") or {}).get(pool) or {}).get(key) or {}
    try:
        stack = model.model_validate(digest.settings.get(key) or {})
        return merge_models(stack, model.model_validate(own))
    except ValidationError:  # of which the preview's error tells
        return model()


def _by_pool(members: Membership, nodes: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        found.setdefault(members.pool(node), []).append(node)
    for pool in sorted(found, key=natural):
        yield pool, _sorted(found[pool])


def _sorted(nodes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(nodes, key=natural))
