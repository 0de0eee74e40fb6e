"""Pods: whether one is ready, and what keeps it from being so."""

from collections.abc import Callable, Iterator, Mapping

from lab.plugins.kubernetes_discovery import Kind
from lab.plugins.kubernetes_objects import name_of, namespace_of
from lab.plugins.kubernetes_values import Object, at

Log = Callable[[str], None]


class PodState:
    """What is known of one pod."""

    def __init__(self, live: Object, log: Log) -> None:
        self.live = live
        self.collections: Mapping[str, Kind] = {"pods": Kind("", "v1", "Pod")}
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
                if not holds(item, kind) and not self.ready:
                    self._log(f'Waiting for Pod "{name}" to be {what}')
                    break

    def gone(self, _collection: str, _item: Object) -> None:
        """Take in that an object was deleted."""

    @property
    def ready(self) -> bool:
        """Whether the pod runs with all its containers ready, or has succeeded."""
        reached = holds(self.live, "PodScheduled") and holds(self.live, "Initialized")
        succeeded = at(self.live, "status", "phase") == "Succeeded"
        return reached and (succeeded or holds(self.live, "Ready"))

    def reasons(self) -> list[str]:
        """Say why it is not."""
        return pod_problems(self.live)


def pod_problems(pod: Object) -> list[str]:
    """Say what keeps a pod from being ready, from its conditions and containers."""
    for kind in ("PodScheduled", "Initialized", "Ready"):
        found = condition(pod, kind)
        if found.get("status") == "True":
            continue
        message = found.get("message") or "" if found.get("reason") else ""
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


def condition(item: Object, kind: str) -> Object:
    """Return a condition of an object's status; empty if it has none of this kind."""
    for found in at(item, "status", "conditions") or []:
        if found.get("type") == kind:
            return dict(found)
    return {}


def holds(item: Object, kind: str) -> bool:
    """Tell whether a condition is true."""
    return condition(item, kind).get("status") == "True"


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
