"""When an object is ready, told from what watches show; and why it is not."""

from collections.abc import Callable, Mapping
from typing import Protocol

from lab.plugins.kubernetes_discovery import Kind
from lab.plugins.kubernetes_objects import annotation, name_of
from lab.plugins.kubernetes_pods import Log, PodState, condition, holds, pod_problems
from lab.plugins.kubernetes_values import Object, at

_REVISION = "deployment.kubernetes.io/revision"


class State(Protocol):
    """What is known of an object that is waited for."""

    live: Object
    collections: Mapping[str, Kind]
    """What is to be watched, in the object's namespace."""

    def see(self, collection: str, item: Object) -> None:
        """Take in an object of a watch."""

    def gone(self, collection: str, item: Object) -> None:
        """Take in that an object was deleted."""

    @property
    def ready(self) -> bool:
        """Whether the wait is over."""

    def reasons(self) -> list[str]:
        """Say why it is not."""


def state_of(live: Object, log: Log) -> State | None:
    """Return the state to wait with for this kind; None if there is nothing to wait for."""
    match Kind.of(live):
        case Kind(group="", name="Pod"):
            return PodState(live, log)
        case Kind(group="apps", name="Deployment"):
            return DeploymentState(live, log)
        case Kind(group="apps", name="DaemonSet"):
            return RolloutState(live, "daemonsets", _daemon_set_problem)
        case Kind(group="apps", name="StatefulSet"):
            return RolloutState(live, "statefulsets", _stateful_set_problem)
        case Kind(group="batch", name="Job"):
            return RolloutState(live, "jobs", _job_problem)
    return None


class DeploymentState:
    """What is known of a deployment, its replica sets and their pods."""

    def __init__(self, live: Object, log: Log) -> None:
        self.live = live
        self.collections: Mapping[str, Kind] = {
            "deployments": Kind("apps", "v1", "Deployment"),
            "replicasets": Kind("apps", "v1", "ReplicaSet"),
            "pods": Kind("", "v1", "Pod"),
        }
        self._log = log
        self._generation = int(at(live, "metadata", "generation") or 0)
        self._observed = False
        self._sets: dict[str, Object] = {}
        self._pods: dict[str, Object] = {}

    def see(self, collection: str, item: Object) -> None:
        """Take in an object of a watch."""
        if collection == "deployments":
            if name_of(item) == name_of(self.live) and self._current(item):
                self.live = item
                self._observed = True
                for problem in self._conditions():
                    self._log(problem)
        elif collection == "replicasets" and _owned_by(item, self.live):
            self._sets[annotation(item, _REVISION)] = item
            ready, wanted = self._replicas(item)
            if ready < wanted:
                self._log(
                    f"Waiting for app ReplicaSet to be available ({ready}/{wanted} Pods available)"
                )
        elif collection == "pods":
            self._pods[name_of(item)] = item

    def gone(self, collection: str, item: Object) -> None:
        """Take in that an object was deleted."""
        if collection == "replicasets":
            self._sets.pop(annotation(item, _REVISION), None)
        elif collection == "pods":
            self._pods.pop(name_of(item), None)

    @property
    def ready(self) -> bool:
        """Whether the current revision is rolled out and available."""
        first = annotation(self.live, _REVISION) == "1"
        return (
            self._observed
            and holds(self.live, "Available")
            and self._set_ready
            and (first or self._progressed)
        )

    def reasons(self) -> list[str]:
        """Say why it is not."""
        reasons = self._conditions()
        if not holds(self.live, "Available"):
            reasons.append("Minimum number of live Pods was not attained")
        elif annotation(self.live, _REVISION) != "1" and self._progressed:
            reasons.append(
                "Attempted to roll forward to new ReplicaSet, "
                "but minimum number of Pods did not become live"
            )
        else:
            reasons.append(
                "Minimum number of Pods to consider the application live was not attained"
            )
        current = self._sets.get(annotation(self.live, _REVISION))
        for pod in self._pods.values():
            if current is not None and _owned_by(pod, current):
                reasons += pod_problems(pod)
        return reasons

    def _current(self, item: Object) -> bool:
        """Tell whether the controller has seen what was written, so that its status counts."""
        generation = int(at(item, "metadata", "generation") or 0)
        return generation >= self._generation and _seen_by_controller(item)

    @property
    def _progressed(self) -> bool:
        progressing = condition(self.live, "Progressing")
        return holds(self.live, "Progressing") and (
            progressing.get("reason") == "NewReplicaSetAvailable"
        )

    @property
    def _set_ready(self) -> bool:
        revision = annotation(self.live, _REVISION)
        current = self._sets.get(revision)
        if current is None:
            return False
        ready, wanted = self._replicas(current)
        return ready >= wanted

    def _replicas(self, item: Object) -> tuple[int, int]:
        wanted = at(item, "spec", "replicas")
        return int(at(item, "status", "readyReplicas") or 0), 1 if wanted is None else int(wanted)

    def _conditions(self) -> list[str]:
        conditions = [condition(self.live, kind) for kind in ("Progressing", "Available")]
        return [
            f"[{found['reason']}] {found['message']}"
            for found in conditions
            if found.get("status") not in (None, "True") and found.get("reason")
        ]


class RolloutState:
    """What is known of an object whose own status tells everything."""

    def __init__(self, live: Object, collection: str, problem: Callable[[Object], str]) -> None:
        self.live = live
        self.collections: Mapping[str, Kind] = {collection: Kind.of(live)}
        self._problem = problem

    def see(self, _collection: str, item: Object) -> None:
        """Take in an object of a watch."""
        if name_of(item) == name_of(self.live):
            self.live = item

    def gone(self, _collection: str, _item: Object) -> None:
        """Take in that an object was deleted."""

    @property
    def ready(self) -> bool:
        """Whether the controller has done all of its work."""
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Say what is missing."""
        problem = self._problem(self.live)
        return [problem] if problem else []


def _daemon_set_problem(item: Object) -> str:
    status = item.get("status") or {}
    wanted = int(status.get("desiredNumberScheduled") or 0)
    updated = int(status.get("updatedNumberScheduled") or 0)
    available = int(status.get("numberAvailable") or 0)
    if not _seen_by_controller(item):
        return "the controller has not seen it yet"
    if min(updated, available) < wanted:
        return f"{available} of {wanted} Pods are available, {updated} of them up to date"
    return ""


def _stateful_set_problem(item: Object) -> str:
    status = item.get("status") or {}
    wanted = at(item, "spec", "replicas")
    wanted = 1 if wanted is None else int(wanted)
    ready, updated = (int(status.get(f"{what}Replicas") or 0) for what in ("ready", "updated"))
    if not _seen_by_controller(item):
        return "the controller has not seen it yet"
    if min(ready, updated) < wanted:
        return f"{ready} of {wanted} Pods are ready, {updated} of them up to date"
    return ""


def _job_problem(item: Object) -> str:
    if holds(item, "Complete"):
        return ""
    failed = condition(item, "Failed")
    if failed.get("status") == "True":
        return f"[{failed.get('reason')}] {failed.get('message')}"
    return "it has not completed yet"


def _seen_by_controller(item: Object) -> bool:
    generation = at(item, "metadata", "generation")
    return bool(at(item, "status", "observedGeneration") == generation)


def _owned_by(item: Object, owner: Object) -> bool:
    uid = at(owner, "metadata", "uid")
    return any(ref.get("uid") == uid for ref in at(item, "metadata", "ownerReferences") or [])
