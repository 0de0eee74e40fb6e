"""Waiting: until an object is ready after it was written, and until it is gone after a delete."""

from lab.plugins.kubernetes_apply import Api
from lab.plugins.kubernetes_discovery import Kind
from lab.plugins.kubernetes_errors import NotReadyError, StatusError
from lab.plugins.kubernetes_objects import annotation, name_of, namespace_of
from lab.plugins.kubernetes_pods import Log
from lab.plugins.kubernetes_readiness import State, state_of
from lab.plugins.kubernetes_values import Object, at
from lab.plugins.kubernetes_watch import Deadline, Watches

SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT = "pulumi.com/timeoutSeconds"

DEFAULT_TIMEOUT_S = 600
_SERVICE_ACCOUNT_TOKEN_TIMEOUT_S = 5

# Kinds that the official provider waits for and this one does not.
_NOT_AWAITED = {
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("", "ReplicationController"),
    ("", "ResourceQuota"),
    ("", "Service"),
    ("networking.k8s.io", "Ingress"),
}
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
    deadline: Deadline,
    log: Log,
) -> Object:
    """Wait until an object that was just written is ready; return it as it is then.

    Args:
        api: where the object is.
        inputs: what was written; its annotations say whether and how long to wait.
        live: the server's answer to that.
        deadline: when to give up.
        log: gets one line of status at each step.

    Raises:
        NotReadyError: it did not become ready in time; why is in the reasons.
    """
    if annotation(inputs, SKIP_AWAIT) == "true":
        return live
    kind = Kind.of(live)
    if kind == Kind("", "v1", "Secret"):
        return _secret_filled(api, live, deadline)
    if (kind.group, kind.name) in _NOT_AWAITED:
        log(f"the lab's own kubernetes provider does not wait for a {kind.name}")
    state = state_of(live, log)
    return live if state is None else _watched(api, live, deadline, state)


def read_state(live: Object, api: Api, log: Log) -> list[str]:
    """Return why an object that a refresh has read is not ready; nothing if it is."""
    state = state_of(live, log)
    if state is None:
        return []
    for collection, kind in state.collections.items():
        if kind == Kind.of(live):
            state.see(collection, live)
            continue
        where = api.discovery.find(kind).path(namespace_of(live))
        for item in api.client.request("GET", where).get("items") or []:
            state.see(collection, item)
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
        collection = api.resource(item).path(namespace_of(item))
        with Watches(api.client, {"": (collection, query)}) as watches:
            for _, event in watches.events(deadline):
                if event.get("type") in ("DELETED", "ERROR"):
                    break
    finalizers = ", ".join(at(live, "metadata", "finalizers") or [])
    log(f"finalizers might be preventing deletion ({finalizers})")
    raise NotReadyError("timed out waiting for the condition", live, [])


def _secret_filled(api: Api, live: Object, deadline: Deadline) -> Object:
    """A service account's token is filled in by a controller."""
    if live.get("type") != "kubernetes.io/service-account-token":
        return live
    limit = Deadline(min(_SERVICE_ACCOUNT_TOKEN_TIMEOUT_S, deadline.left_s()), deadline.cancelled)
    path = api.resource(live).path(namespace_of(live))
    query = {"fieldSelector": f"metadata.name={name_of(live)}"}
    with Watches(api.client, {"": (path, query)}) as watches:
        for _, event in watches.events(limit):
            if at(event, "object", "data"):
                return dict(event["object"])
    raise NotReadyError("timed out waiting for the condition", live, [])


def _watched(api: Api, live: Object, deadline: Deadline, state: State) -> Object:
    namespace = namespace_of(live)
    paths = {
        collection: (api.discovery.find(kind).path(namespace), dict[str, str]())
        for collection, kind in state.collections.items()
    }
    with Watches(api.client, paths) as watches:
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
