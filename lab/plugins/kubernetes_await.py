"""Waiting: until an object is ready after it was written, and until it is gone after a delete."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from lab.plugins.kubernetes_apply import Api
from lab.plugins.kubernetes_client import Stream
from lab.plugins.kubernetes_discovery import Kind
from lab.plugins.kubernetes_errors import KubernetesError, NotReadyError, StatusError
from lab.plugins.kubernetes_objects import annotation, name_of, namespace_of
from lab.plugins.kubernetes_values import Object, at

SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT = "pulumi.com/timeoutSeconds"

DEFAULT_TIMEOUT_S = 600
_SERVICE_ACCOUNT_TOKEN_TIMEOUT_S = 5
_REVISION = "deployment.kubernetes.io/revision"

# Kinds whose deletion is not waited for with skipAwait; others' always is.
_SKIPS_DELETION = {
    ("", "Namespace"),
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("batch", "Job"),
}

Log = Callable[[str], None]


class Deadline:
    """The end of a wait: a time, or the engine's wish to stop."""

    def __init__(self, seconds: float, cancelled: threading.Event) -> None:
        self._end = time.monotonic() + seconds
        self.cancelled = cancelled

    def left_s(self) -> float:
        """Return the seconds that are left; 0 once it is over."""
        return 0.0 if self.cancelled.is_set() else max(0.0, self._end - time.monotonic())


def timeout_s(requested: float, inputs: Object) -> float:
    """Return how long to wait: the resource option, else the annotation, else ten minutes."""
    if requested:
        return requested
    text = annotation(inputs, TIMEOUT)
    return int(text) if text.lstrip("-").isdigit() else DEFAULT_TIMEOUT_S


def until_ready(
    api: Api,
    inputs: Object,
    live: Object,
    *,
    before: Object | None,
    deadline: Deadline,
    log: Log,
) -> Object:
    """Wait until an object that was just written is ready; return it as it is then.

    Args:
        api: where the object is.
        inputs: what was written; its annotations say whether and how long to wait.
        live: the server's answer to that.
        before: the object before an update; None after a create.
        deadline: when to give up.
        log: gets one line of status at each step.

    Raises:
        NotReadyError: it did not become ready in time; why is in the reasons.
        KubernetesError: the annotations ask for what is not supported.
    """
    if annotation(inputs, SKIP_AWAIT) == "true":
        return live
    if annotation(inputs, WAIT_FOR):
        raise KubernetesError(
            f"the annotation {WAIT_FOR} is not supported by the lab's own kubernetes provider; "
            f"leave it out, or set {SKIP_AWAIT}"
        )
    match Kind.of(live):
        case Kind(group="", name="Secret"):
            return _secret_filled(api, live, deadline)
        case Kind(group="", name="Pod"):
            return _watched(api, live, deadline, PodState(live, log), ("pods",))
        case Kind(group="apps", name="Deployment"):
            state = DeploymentState(live, before, log)
            return _watched(api, live, deadline, state, ("deployments", "replicasets", "pods"))
    return live


def read_state(live: Object, api: Api, log: Log) -> list[str]:
    """Return why an object that a refresh has read is not ready; nothing if it is."""
    state: PodState | DeploymentState
    match Kind.of(live):
        case Kind(group="", name="Pod"):
            state = PodState(live, log)
            state.see("pods", live)
        case Kind(group="apps", name="Deployment"):
            state = DeploymentState(live, None, log)
            state.see("deployments", live)
            for kind, collection in (("ReplicaSet", "replicasets"), ("Pod", "pods")):
                group = "apps" if kind == "ReplicaSet" else ""
                where = api.discovery.find(Kind(group, "v1", kind))
                listed = api.client.request("GET", where.path(namespace_of(live)))
                for item in listed.get("items") or []:
                    state.see(collection, item)
        case _:
            return []
    return [] if state.ready else state.reasons()


def until_gone(api: Api, item: Object, inputs: Object, deadline: Deadline, log: Log) -> None:
    """Wait until a deleted object is gone.

    Raises:
        NotReadyError: it is still there at the deadline.
    """
    kind = Kind.of(inputs)
    if annotation(inputs, SKIP_AWAIT) == "true" and (kind.group, kind.name) in _SKIPS_DELETION:
        return
    path = api.path(item)
    live = item
    while True:
        try:
            live = api.client.request("GET", path)
        except StatusError as error:
            if error.code == 404:
                return
            raise
        if at(live, "metadata", "uid") != at(item, "metadata", "uid"):
            return  # another object has its name by now
        if deadline.left_s() == 0:
            break
        metadata = live["metadata"]
        query = {"resourceVersion": metadata["resourceVersion"]}
        query["fieldSelector"] = f"metadata.name={metadata['name']}"
        with _Watches(api, {"": (api.resource(item).path(namespace_of(item)), query)}) as watches:
            for _, event in watches.events(deadline):
                if event.get("type") in ("DELETED", "ERROR"):
                    break
    finalizers = ", ".join(at(live, "metadata", "finalizers") or [])
    log(f"finalizers might be preventing deletion ({finalizers})")
    raise NotReadyError("timed out waiting for the condition", live, [])


class PodState:
    """What is known of one pod."""

    def __init__(self, live: Object, log: Log) -> None:
        self.live = live
        self._log = log

    def see(self, _collection: str, item: Object) -> None:
        """Take in an object of a watch."""
        if name_of(item) == name_of(self.live):
            self.live = item
            name = qualified_name(item)
            for kind, what in (
                ("PodScheduled", "scheduled"),
                ("Initialized", "initialized"),
                ("Ready", "ready"),
            ):
                if not _true(item, kind) and not self.ready:
                    self._log(f'Waiting for Pod "{name}" to be {what}')
                    break

    def gone(self, _collection: str, _item: Object) -> None:
        """Take in that an object was deleted."""

    @property
    def ready(self) -> bool:
        """Whether the pod runs with all its containers ready, or has succeeded."""
        reached = _true(self.live, "PodScheduled") and _true(self.live, "Initialized")
        succeeded = at(self.live, "status", "phase") == "Succeeded"
        return reached and (succeeded or _true(self.live, "Ready"))

    def reasons(self) -> list[str]:
        """Say why it is not."""
        return pod_problems(self.live)


class DeploymentState:
    """What is known of a deployment, its replica sets and their pods."""

    def __init__(self, live: Object, before: Object | None, log: Log) -> None:
        self.live = live
        self._before = before
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
            and _true(self.live, "Available")
            and self._set_ready
            and (first or self._progressed)
        )

    def reasons(self) -> list[str]:
        """Say why it is not."""
        reasons = self._conditions()
        if not _true(self.live, "Available"):
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
        observed = at(item, "status", "observedGeneration")
        return generation >= self._generation and observed == generation

    @property
    def _progressed(self) -> bool:
        condition = _condition(self.live, "Progressing")
        return condition.get("status") == "True" and (
            condition.get("reason") == "NewReplicaSetAvailable"
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
        conditions = [_condition(self.live, kind) for kind in ("Progressing", "Available")]
        return [
            f"[{condition['reason']}] {condition['message']}"
            for condition in conditions
            if condition.get("status") not in (None, "True") and condition.get("reason")
        ]


def pod_problems(pod: Object) -> list[str]:
    """Say what keeps a pod from being ready, from its conditions and containers."""
    for kind in ("PodScheduled", "Initialized", "Ready"):
        condition = _condition(pod, kind)
        if condition.get("status") == "True":
            continue
        message = condition.get("message") or "" if condition.get("reason") else ""
        if kind == "PodScheduled":
            return [message] if message else []
        problems = [
            problem
            for status in at(pod, "status", "containerStatuses") or []
            for problem in _container_problems(status)
        ]
        if message or problems:
            return [f"[Pod {qualified_name(pod)}]: {message}" + "\n".join(problems)]
        return []
    return []


def qualified_name(item: Object) -> str:
    """Return an object's name, after its namespace if that is not the default one."""
    namespace = namespace_of(item)
    return name_of(item) if namespace in ("", "default") else f"{namespace}/{name_of(item)}"


def _container_problems(status: Object) -> Iterator[str]:
    if status.get("ready"):
        return
    name = status.get("name")
    waiting = at(status, "state", "waiting")
    if waiting and waiting.get("reason") != "ContainerCreating":
        yield f"[{waiting.get('reason')}] {_trimmed(waiting.get('message') or '')}"
    ended = at(status, "state", "terminated")
    if ended and ended.get("reason"):
        if ended.get("message"):
            yield f"[{ended['reason']}] {_trimmed(ended['message'])}"
        else:
            yield f'container "{name}" completed with exit code {ended.get("exitCode")}'
    last = at(status, "lastState", "terminated")
    if last:
        yield (
            f'container "{name}" terminated at {last.get("finishedAt")} '
            f"({last.get('reason')}: exit code {last.get('exitCode')})"
        )
        if last.get("message"):
            yield last["message"]


def _trimmed(message: str) -> str:
    prefix = "rpc error: code = Unknown desc = Error response from daemon: "
    return message.removeprefix(prefix).removesuffix(": manifest unknown")


def _condition(item: Object, kind: str) -> Object:
    for condition in at(item, "status", "conditions") or []:
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def _true(item: Object, kind: str) -> bool:
    return _condition(item, kind).get("status") == "True"


def _owned_by(item: Object, owner: Object) -> bool:
    uid = at(owner, "metadata", "uid")
    return any(ref.get("uid") == uid for ref in at(item, "metadata", "ownerReferences") or [])


def _secret_filled(api: Api, live: Object, deadline: Deadline) -> Object:
    """A service account's token is filled in by a controller."""
    if live.get("type") != "kubernetes.io/service-account-token":
        return live
    limit = Deadline(min(_SERVICE_ACCOUNT_TOKEN_TIMEOUT_S, deadline.left_s()), deadline.cancelled)
    path = api.resource(live).path(namespace_of(live))
    query = {"fieldSelector": f"metadata.name={name_of(live)}"}
    with _Watches(api, {"": (path, query)}) as watches:
        for _, event in watches.events(limit):
            if at(event, "object", "data"):
                return dict(event["object"])
    raise NotReadyError("timed out waiting for the condition", live, [])


def _watched(
    api: Api,
    live: Object,
    deadline: Deadline,
    state: PodState | DeploymentState,
    collections: tuple[str, ...],
) -> Object:
    namespace = namespace_of(live)
    groups = {"pods": ("", "Pod"), "deployments": ("apps", "Deployment")}
    groups["replicasets"] = ("apps", "ReplicaSet")
    paths = {}
    for collection in collections:
        group, name = groups[collection]
        kind = Kind(group, "v1", name)
        paths[collection] = (api.discovery.find(kind).path(namespace), dict[str, str]())
    with _Watches(api, paths) as watches:
        for collection, event in watches.events(deadline):
            item = event.get("object") or {}
            if event.get("type") == "DELETED":
                state.gone(collection, item)
            elif event.get("type") in ("ADDED", "MODIFIED"):
                state.see(collection, item)
            if state.ready:
                return state.live
    if deadline.cancelled.is_set():
        message = f'Resource operation was cancelled for "{name_of(live)}"'
    else:
        message = f"'{name_of(live)}' timed out waiting to be Ready"
    raise NotReadyError(message, state.live, state.reasons())


class _Watches:
    """Watches of several collections as one stream of events; each begins with what is there."""

    def __init__(self, api: Api, paths: dict[str, tuple[str, dict[str, str]]]) -> None:
        self._client = api.client
        self._stream = Stream()
        self._events: queue.SimpleQueue[tuple[str, Object]] = queue.SimpleQueue()
        for name, (path, query) in paths.items():
            threading.Thread(target=self._run, args=(name, path, query), daemon=True).start()

    def __enter__(self) -> "_Watches":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()

    def events(self, deadline: Deadline) -> Iterator[tuple[str, Object]]:
        """Yield each event with its collection's name, until the deadline."""
        while (left := deadline.left_s()) > 0:
            try:
                # Cancellation is noticed between two waits.
                yield self._events.get(timeout=min(left, 1.0))
            except queue.Empty:
                continue

    def _run(self, name: str, path: str, query: dict[str, str]) -> None:
        while not self._stream.closed:
            try:
                for event in self._client.watch(path, query, self._stream):
                    self._events.put((name, event))
            except KubernetesError:
                # Out of reach for a while, or the version is too old: begin anew.
                time.sleep(0.5)
            self._events.put((name, {"type": "ERROR"}))
            query = {key: value for key, value in query.items() if key != "resourceVersion"}
