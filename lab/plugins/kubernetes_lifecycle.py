"""The life of one object in Pulumi: check, diff, create, read, update, delete.

Inputs and states are plain values with the marks of `kubernetes_values`; the engine's messages
are the provider module's. The behaviour is that of pulumi-kubernetes 4.34 with server-side apply.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.plugins import kubernetes_await as waiting
from lab.plugins import kubernetes_objects as objects
from lab.plugins.kubernetes_apply import Api, NamespaceMissingError
from lab.plugins.kubernetes_connection import Connection
from lab.plugins.kubernetes_diff import Change, Path, changes, covers, parse_path
from lab.plugins.kubernetes_discovery import Kind, known_scope
from lab.plugins.kubernetes_errors import (
    KubernetesError,
    NoMatchError,
    NotReadyError,
    StatusError,
)
from lab.plugins.kubernetes_fixed import fixed_fields
from lab.plugins.kubernetes_values import Object, at, has_unknown
from lab.plugins.kubernetes_watch import Deadline

REPLACE_UNREADY = "pulumi.com/replaceUnready"

Log = Callable[..., None]


class PartialError(Exception):
    """The object is there, but not as it should be; its state goes with the error."""

    def __init__(self, message: str, identity: str, state: Object, reasons: Sequence[str]) -> None:
        super().__init__(message)
        self.identity = identity
        self.state = state
        self.reasons = list(reasons)


@dataclass(frozen=True)
class Plan:
    """What a diff found."""

    changes: dict[Path, Change]
    replaces: list[Path]
    delete_first: bool


@dataclass(frozen=True)
class Read:
    """What a refresh or an import found."""

    identity: str
    state: Object
    inputs: Object


@dataclass(frozen=True)
class Naming:
    """How the engine wants names made."""

    seed: bytes = b""
    proposed: str = ""
    disabled: bool = False


class Resource:
    """One resource of a program, known by its URN."""

    def __init__(self, connection: Connection, urn: str, token: str, log: Log) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._urn = urn
        self._kind = Kind.of_token(token)
        self._log = log

    def check(self, old: Object, new: Object, naming: Naming) -> Object:
        """Return the inputs with a name, a namespace, and a Secret's texts as data."""
        if self._settings.skip_update_unreachable and self._connection.unreachable:
            self._log(
                "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping...",
                severity="WARNING",
            )
            return old
        if self._kind.name.endswith("List") and self._kind.built_in:
            raise KubernetesError(
                "list resources exist for compatibility with YAML manifests and Helm charts, "
                "and cannot be created directly. Use the underlying resource type instead"
            )
        inputs = self._normalized(new)
        if objects.annotation(inputs, waiting.WAIT_FOR):
            raise KubernetesError(
                f"the annotation {waiting.WAIT_FOR} is not supported by the lab's own kubernetes "
                f"provider; leave it out, or set {waiting.SKIP_AWAIT}"
            )
        if any(key.startswith(objects.AUTONAMED) for key in _annotations(inputs)):
            self._log(
                f'ignoring user-specified value for internal annotation "{objects.AUTONAMED}"',
                severity="WARNING",
            )
        inputs.setdefault("apiVersion", self._kind.api_version)
        inputs.setdefault("kind", self._kind.name)
        self._name(inputs, objects.manifest(old), naming)
        # A namespace that is not known yet counts as given.
        given = at(inputs, "metadata", "namespace")
        if self._connection.namespace and not given and self._namespaced(self._kind):
            inputs.setdefault("metadata", {})["namespace"] = self._connection.namespace
        return objects.mark(inputs, new)

    def diff(self, state: Object, new: Object, ignored: Sequence[str]) -> Plan:
        """Compare the live object, as last seen, with new inputs."""
        old_inputs, live = objects.open_checkpoint(state)
        old_inputs, inputs = objects.normalized(old_inputs), self._normalized(new)
        old = objects.pruned(live, old_inputs)
        if Kind.of(inputs).built_in:
            old = objects.with_dropped(old, old_inputs)
        self._align(old, inputs, live)
        fixed = self._fixed(inputs)
        found = changes(old, inputs, fixed)
        paths = [parse_path(path) for path in ignored]
        found = {
            path: change
            for path, change in found.items()
            if not any(covers(ignoring, path) for ignoring in paths)
        }
        replaces = [
            path
            for path, change in found.items()
            if change.replaces or (path == ("metadata",) and change.effect == "DELETE")
        ]
        if objects.annotation(inputs, REPLACE_UNREADY) == "true":
            self._log(
                "replaceUnready annotation is not supported for this resource", severity="WARNING"
            )
        delete_first = bool(
            replaces
            and objects.named(inputs)
            and objects.annotation(inputs, objects.AUTONAMED) != "true"
            and objects.name_of(inputs) == objects.name_of(live)
            and objects.namespace_of(inputs) == objects.namespace_of(live)
        )
        return Plan(found, replaces, delete_first)

    def create(self, new: Object, *, preview: bool, timeout: float) -> tuple[str, Object]:
        """Make the object; return its id and state. In a preview there is no id.

        Raises:
            PartialError: it was made but did not become ready.
            KubernetesError: it was not made.
        """
        inputs = objects.manifest(new)
        if preview and self._unasked(inputs, new_object=True):
            return "", new
        api = self._connection.reach()
        manager = objects.annotation(inputs, objects.PATCH_FIELD_MANAGER)
        manager = manager or objects.unique_name("pulumi-kubernetes-")
        version = str(inputs.get("apiVersion"))
        try:
            live = api.create(
                inputs,
                manager=manager,
                preview=preview,
                upsert=self._settings.upsert or self._patches(inputs),
                force=self._settings.patch_force,
                cancelled=self._pause,
            )
        except NamespaceMissingError:
            return "", new
        except NoMatchError as error:
            raise KubernetesError(
                f'creation of resource "{self._urn}" with kind '
                f"{self._kind.api_version}/{self._kind.name} failed because the Kubernetes API "
                "server reported that the apiVersion for this resource does not exist. "
                f"Verify that any required CRDs have been created: {error}"
            ) from None
        except KubernetesError as error:
            if preview and isinstance(error, StatusError) and _unforeseeable(error):
                return "", new
            raise KubernetesError(
                f'resource "{self._urn}" was not successfully created by the Kubernetes '
                f"API server: {error}"
            ) from None
        if preview:
            live.pop("status", None)
            return "", objects.checkpoint(inputs, live, new, manager, version)
        try:
            live = self._ready(api, inputs, live, timeout)
        except NotReadyError as error:
            state = objects.checkpoint(inputs, error.live, new, manager, version)
            raise PartialError(
                f'resource "{self._urn}" was successfully created, but the Kubernetes API server '
                f"reported that it failed to fully initialize or become live: {error}",
                objects.identity(error.live),
                state,
                error.reasons,
            ) from None
        return objects.identity(live), objects.checkpoint(inputs, live, new, manager, version)

    def read(self, identity: str, state: Object, inputs: Object) -> Read | None:
        """Return the object as it is now, or None if it is gone.

        Raises:
            PartialError: it is there but not ready.
            KubernetesError: it could not be read.
        """
        if reason := self._connection.unreachable:
            return self._read_nothing(reason, identity, state, inputs)
        api = self._connection.reach()
        namespace, _, name = identity.rpartition("/")
        if not name:
            raise KubernetesError(
                "failed to read resource because of a failure to parse resource name "
                f"from request ID: {identity}"
            )
        old = objects.normalized(objects.manifest(inputs))
        _, last = objects.open_checkpoint(state)
        imported = not old.get("apiVersion") and not last.get("apiVersion")
        if not old.get("apiVersion"):
            old["apiVersion"] = last.get("apiVersion") or self._kind.api_version
            old["kind"] = last.get("kind") or self._kind.name
            metadata = old.setdefault("metadata", {})
            metadata.setdefault("name", name)
            if namespace:
                metadata.setdefault("namespace", namespace)
        version = state.get(objects.INITIAL_API_VERSION) or old["apiVersion"]
        manager = self._manager(state, old)
        try:
            live = api.get(old | {"metadata": {**old["metadata"], "name": name}})
        except NoMatchError:
            return None
        except StatusError as error:
            if error.code == 404:
                return None
            raise
        found = _importable(live) if imported else objects.pruned(live, old)
        new_state = objects.checkpoint(found, live, inputs, manager, version)
        problems = (
            [] if imported or self._skips(old) else waiting.read_state(live, api, self._status)
        )
        if problems:
            message = f"Resource '{objects.name_of(live)}' was created but failed to initialize"
            raise PartialError(message, identity, new_state, problems)
        return Read(identity or objects.identity(live), new_state, objects.mark(found, inputs))

    def update(
        self, state: Object, new: Object, *, preview: bool, timeout: float, ignored: Sequence[str]
    ) -> Object:
        """Change the object; return its state.

        Raises:
            PartialError: it is not as it should be, and how it is goes into the state.
            KubernetesError: nothing is known of it.
        """
        inputs = self._normalized(new)
        if preview and self._unasked(inputs, new_object=False):
            return new
        api = self._connection.reach()
        old_inputs, last = objects.open_checkpoint(state)
        version = state.get(objects.INITIAL_API_VERSION) or old_inputs.get("apiVersion") or ""
        former = self._manager(state, old_inputs)
        manager = self._manager(state, inputs)
        failure: KubernetesError | None = None
        try:
            live = api.update(
                inputs,
                manager=manager,
                preview=preview,
                force=self._settings.patch_force,
                ignored=ignored,
                owns=not self._patches(inputs),
            )
            if not preview:
                live = self._ready(api, inputs, live, timeout)
        except NoMatchError as error:
            raise KubernetesError(
                f'update of resource "{self._urn}" failed because the Kubernetes API server '
                "reported that the apiVersion for this resource does not exist. "
                f"Verify that any required CRDs have been created: {error}"
            ) from None
        except KubernetesError as error:
            if preview and isinstance(error, StatusError) and error.code == 403:
                return new
            failure = error
            live = self._after_failure(api, last, failure)
        result = objects.checkpoint(inputs, live, new, manager, version)
        if failure is not None:
            identity = objects.identity(live)
            raise PartialError(
                f'the Kubernetes API server reported that "{identity}" failed to fully '
                f"initialize or become live: {failure}",
                identity,
                result,
                failure.reasons if isinstance(failure, NotReadyError) else [],
            )
        if not preview and former != manager:
            api.relinquish(live, former)
        return result

    def delete(self, state: Object, timeout: float) -> None:
        """Delete the object and wait until it is gone.

        Raises:
            PartialError: it is still there at the end.
            KubernetesError: the API server refused or is out of reach.
        """
        if reason := self._connection.unreachable:
            self._warn_unreachable(reason)
            if self._settings.delete_unreachable:
                self._note_removal()
                return
            raise KubernetesError(
                "configured Kubernetes cluster is unreachable. If the cluster was deleted, "
                "you can remove this resource from Pulumi state by rerunning the operation with "
                'the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
            )
        api = self._connection.reach()
        inputs, live = objects.open_checkpoint(state)
        manager = self._manager(state, inputs)
        if self._patches(inputs):
            api.relinquish(live, manager)
            return
        if not api.delete(live, inputs):
            return
        try:
            waiting.until_gone(api, live, inputs, self._deadline(inputs, timeout), self._status)
        except NotReadyError as error:
            version = str(state.get(objects.INITIAL_API_VERSION) or "")
            left = objects.checkpoint(live, error.live, state, manager, version)
            raise PartialError(str(error), objects.identity(error.live), left, []) from None

    def _name(self, inputs: Object, old: Object, naming: Naming) -> None:
        if self._patches(inputs) and not objects.named(inputs):
            raise KubernetesError("patch resources require the `.metadata.name` field to be set")
        generated = at(inputs, "metadata", "generateName")
        if objects.named(inputs):
            return
        if objects.annotation(old, objects.AUTONAMED) == "true":
            objects.assign_name(inputs, objects.name_of(old))
        elif generated:
            raise KubernetesError(
                "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
            )
        elif not old:
            if naming.disabled:
                raise KubernetesError(
                    "autonaming is disabled, resource requires the .metadata.name field to be set"
                )
            prefix = f"{self._urn.rpartition('::')[2]}-"
            objects.assign_name(inputs, naming.proposed or objects.unique_name(prefix, naming.seed))

    def _normalized(self, properties: Object) -> Object:
        return objects.normalized(objects.manifest(properties))

    def _align(self, old: Object, inputs: Object, live: Object) -> None:
        """Make what is no difference equal: default namespaces, and a name left out."""
        namespaced = self._namespaced(Kind.of(inputs))
        for item in (old, inputs):
            metadata = item.setdefault("metadata", {})
            if not isinstance(metadata, dict):
                continue
            metadata.pop("resourceVersion", None) if item is old else None
            if namespaced:
                metadata["namespace"] = metadata.get("namespace") or "default"
            else:
                metadata.pop("namespace", None)
        if objects.name_of(inputs):
            old["metadata"]["name"] = objects.name_of(live)
        if not old.get("kind"):
            old |= {key: inputs[key] for key in ("apiVersion", "kind") if key in inputs}

    def _fixed(self, inputs: Object) -> list[str]:
        if self._patches(inputs):
            return [".metadata.name", ".metadata.namespace"]
        return fixed_fields(
            inputs,
            secrets_mutable=self._settings.secrets_mutable,
            config_maps_mutable=self._settings.config_maps_mutable,
        )

    def _namespaced(self, kind: Kind) -> bool:
        scope = known_scope(kind)
        if scope is None and not self._connection.unreachable:
            try:
                return self._connection.reach().discovery.find(kind).namespaced
            except NoMatchError:
                pass
        # A kind that is still to be defined most likely is.
        return scope is not False

    def _patches(self, inputs: Object) -> bool:
        return self._kind.name == f"{inputs.get('kind')}Patch"

    def _unasked(self, inputs: Object, *, new_object: bool) -> bool:
        """Tell whether a preview cannot ask the server what would come of it."""
        if has_unknown(inputs) or self._connection.unreachable:
            return True
        if new_object and self._patches(inputs):
            return True
        return not self._connection.reach().discovery.serves(Kind.of(inputs))

    def _manager(self, state: Object, inputs: Object) -> str:
        named = objects.annotation(inputs, objects.PATCH_FIELD_MANAGER)
        kept = state.get(objects.FIELD_MANAGER)
        return named or str(kept or objects.unique_name("pulumi-kubernetes-"))

    def _ready(self, api: Api, inputs: Object, live: Object, timeout: float) -> Object:
        deadline = self._deadline(inputs, timeout)
        return waiting.until_ready(api, inputs, live, deadline=deadline, log=self._status)

    def _deadline(self, inputs: Object, timeout: float) -> Deadline:
        return Deadline(waiting.timeout_s(timeout, inputs), self._connection.cancelled)

    def _after_failure(self, api: Api, last: Object, failure: KubernetesError) -> Object:
        try:
            return api.get(last)
        except KubernetesError as error:
            raise KubernetesError(
                f'update of resource "{self._urn}" failed: {failure}\n'
                f"unable to get cluster state: {error}"
            ) from None

    def _read_nothing(
        self, reason: str, identity: str, state: Object, inputs: Object
    ) -> Read | None:
        self._warn_unreachable(reason)
        if self._settings.delete_unreachable:
            self._note_removal()
            return None
        if self._settings.skip_update_unreachable:
            self._log(
                "configured Kubernetes cluster is unreachable and the `skipUnreachable` option "
                "is enabled. Returned data could not reflect the actual cluster configuration."
            )
            return Read(identity, state, inputs)
        raise KubernetesError(
            "failed to read resource state due to unreachable cluster. If the cluster was "
            "deleted, you can remove this resource from Pulumi state by rerunning the operation "
            'with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
        )

    def _warn_unreachable(self, reason: str) -> None:
        self._log(f"configured Kubernetes cluster is unreachable: {reason}", severity="WARNING")

    def _note_removal(self) -> None:
        self._log(
            "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is "
            "enabled. Deleting the unreachable resource from Pulumi state"
        )

    def _skips(self, inputs: Object) -> bool:
        return objects.annotation(inputs, waiting.SKIP_AWAIT) == "true"

    def _status(self, line: str) -> None:
        self._log(line, status=True)

    def _pause(self, seconds: float) -> bool:
        return self._connection.cancelled.wait(seconds)


def _annotations(item: Object) -> Object:
    found = at(item, "metadata", "annotations")
    return found if isinstance(found, dict) else {}


def _unforeseeable(error: StatusError) -> bool:
    """Tell whether a refused preview says nothing of the real thing."""
    return (
        error.code == 403
        or error.reason == "AlreadyExists"
        or (error.code == 400 and "dry run" in str(error))
    )


def _importable(live: Object) -> Object:
    """Return a live object's inputs, as a program would write them."""
    inputs: Any = {key: value for key, value in live.items() if key != "status"}
    inputs = objects.normalized(inputs)
    annotations = at(inputs, "metadata", "annotations")
    if annotations:
        annotations.pop("deployment.kubernetes.io/revision", None)
        annotations.pop(objects.LAST_APPLIED, None)
    return dict(inputs)
