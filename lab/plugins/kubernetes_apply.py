"""Objects made, changed, read and deleted through the API server.

An object is created by POST, so that one that exists already is an error and never taken over,
and changed by server-side apply. The creation's field manager is a fixed name; the first apply
takes its fields over, and everybody else's fields stay theirs.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.plugins.kubernetes_client import APPLY, JSON_PATCH, Client
from lab.plugins.kubernetes_diff import parse_path
from lab.plugins.kubernetes_discovery import Discovery, Kind, Resource
from lab.plugins.kubernetes_errors import KubernetesError, NoMatchError, StatusError
from lab.plugins.kubernetes_objects import annotation, name_of, namespace_of
from lab.plugins.kubernetes_values import Object, at

CREATOR = "pulumi-kubernetes"
"""The field manager of every POST, as the official provider names it."""

PATCH_FORCE = "pulumi.com/patchForce"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"

# Who may have written fields before us that are ours now, by what their names begin with:
# kubectl, and this provider's POST under the names that it has had.
_FORMER_MANAGERS = {
    "Apply": ("kubectl",),
    "Update": ("kubectl", "before-first-apply", CREATOR, "pulumi-resource-kubernetes"),
}
_RETRIES = 5
_CONFLICT_HELP = (
    "server-side apply field conflict detected, see "
    "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/"
    "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources "
    "for troubleshooting help"
)
_EXISTS_HELP = """

The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""


class NamespaceMissingError(KubernetesError):
    """A preview cannot ask the server, because the namespace is still to be made."""


@dataclass(frozen=True)
class Api:
    """An API server's objects."""

    client: Client
    discovery: Discovery

    def path(self, item: Object) -> str:
        """Return an object's path.

        Raises:
            NoMatchError: the API server does not serve its kind.
        """
        return self.resource(item).path(namespace_of(item), name_of(item))

    def resource(self, item: Object) -> Resource:
        """Return where objects of this one's kind are."""
        return self.discovery.find(Kind.of(item))

    def get(self, item: Object) -> Object:
        """Return the live object of this kind, namespace and name."""
        return self.client.request("GET", self.path(item))

    def create(
        self,
        inputs: Object,
        *,
        manager: str,
        preview: bool,
        upsert: bool,
        force: bool,
        cancelled: Callable[[float], bool],
    ) -> Object:
        """Make an object; with `upsert` take over one that exists.

        What is not there yet (a namespace, a CustomResourceDefinition) is waited for, some
        31 seconds in all.

        Args:
            inputs: the manifest.
            manager: the field manager, used with `upsert` only.
            preview: ask the server what it would make.
            upsert: apply instead of create.
            force: take over fields of other managers.
            cancelled: sleeps so many seconds; true if the operation is to end.

        Raises:
            NamespaceMissingError: in a preview, the namespace does not exist.
            KubernetesError: the API server refused or is out of reach.
        """
        for attempt in range(_RETRIES + 1):
            try:
                if upsert:
                    forced = force or preview or _forced(inputs)
                    return self._apply(inputs, manager=manager, preview=preview, force=forced)
                return self._post(inputs, preview=preview)
            except (StatusError, NoMatchError) as error:
                if preview and isinstance(error, StatusError) and error.namespace_missing:
                    raise NamespaceMissingError(str(error)) from None
                missing = isinstance(error, NoMatchError) or error.code == 404
                if not missing or attempt == _RETRIES or cancelled(2.0**attempt):
                    raise _explained(error) from None
        raise AssertionError("unreachable")

    def update(
        self,
        inputs: Object,
        *,
        manager: str,
        preview: bool,
        force: bool,
        ignored: Sequence[str],
        owns: bool = True,
    ) -> Object:
        """Change an object to its new inputs; return it.

        Args:
            inputs: the manifest.
            manager: the field manager.
            preview: ask the server what it would become.
            force: take over fields of other managers.
            ignored: property paths that keep their live values.
            owns: whether fields from before the first apply become this manager's; not so
                where the program manages some fields of somebody else's object.

        Raises:
            KubernetesError: the API server refused or is out of reach.
        """
        live = self.get(inputs)
        if Kind.of(inputs).name == "CustomResourceDefinition":
            return self._put(inputs, live, manager=manager, preview=preview)
        force = force or _forced(inputs) or not at(live, "metadata", "managedFields")
        if preview:
            force = force or _created_here(live)
        elif owns:
            live = self._take_over(live, manager)
        applied = copy.deepcopy(inputs)
        for path in ignored:
            _keep_live(applied, live, path, manager)
        return self._apply(applied, manager=manager, preview=preview, force=force)

    def relinquish(self, item: Object, manager: str) -> None:
        """Give up every field that a manager has of an object."""
        empty = {key: item[key] for key in ("apiVersion", "kind")}
        names = {key: at(item, "metadata", key) for key in ("name", "namespace")}
        empty["metadata"] = {key: value for key, value in names.items() if value}
        self._apply(empty, manager=manager, preview=False, force=False)

    def delete(self, item: Object, inputs: Object) -> bool:
        """Ask for an object's deletion; tell whether there is anything to wait for."""
        policies = {"orphan": "Orphan", "background": "Background"}
        policy = policies.get(annotation(inputs, DELETION_PROPAGATION).lower(), "Foreground")
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        try:
            self.client.request("DELETE", self.path(item), options)
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        except NoMatchError:
            return False  # with its CustomResourceDefinition, all of its objects have gone
        return True

    def _post(self, inputs: Object, *, preview: bool) -> Object:
        path = self.resource(inputs).path(namespace_of(inputs))
        query = {"fieldManager": CREATOR} | ({"dryRun": "All"} if preview else {})
        return self.client.request("POST", path, inputs, query=query)

    def _put(self, inputs: Object, live: Object, *, manager: str, preview: bool) -> Object:
        item = copy.deepcopy(inputs)
        item["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        query = {"fieldManager": manager} | ({"dryRun": "All"} if preview else {})
        return self.client.request("PUT", self.path(item), item, query=query)

    def _apply(self, item: Object, *, manager: str, preview: bool, force: bool) -> Object:
        query = {"fieldManager": manager, "force": str(force).lower()}
        query |= {"dryRun": "All"} if preview else {}
        try:
            return self.client.request(
                "PATCH", self.path(item), item, query=query, content_type=APPLY
            )
        except StatusError as error:
            if error.code == 409:
                message = f'The resource managed by field manager "{manager}" had an apply conflict'
                raise KubernetesError(f"{_CONFLICT_HELP}\n{message}: {error}") from None
            raise

    def _take_over(self, live: Object, manager: str) -> Object:
        entries = _owned(at(live, "metadata", "managedFields") or [], manager)
        if entries is None:
            return live
        patch = [{"op": "replace", "path": "/metadata/managedFields", "value": entries}]
        return self.client.request("PATCH", self.path(live), patch, content_type=JSON_PATCH)


def _owned(entries: list[Object], manager: str) -> list[Object] | None:
    """Return managed fields in which former managers' entries are this one's; None if none is."""

    def ours(entry: Object) -> bool:
        return entry.get("manager") == manager and entry.get("operation") == "Apply"

    def former(entry: Object) -> bool:
        names = _FORMER_MANAGERS.get(str(entry.get("operation")), ())
        return str(entry.get("manager")).startswith(names) and not entry.get("subresource")

    taken = [entry for entry in entries if former(entry) and not ours(entry)]
    if not taken:
        return None
    kept = [entry for entry in entries if not former(entry) and not ours(entry)]
    base = next((entry for entry in entries if ours(entry)), taken[0])
    fields: Object = {}
    for entry in [base, *taken]:
        fields = _union(fields, entry.get("fieldsV1") or {})
    return [*kept, {**base, "manager": manager, "operation": "Apply", "fieldsV1": fields}]


def _union(one: Object, other: Object) -> Object:
    merged = dict(one)
    for key, value in other.items():
        merged[key] = _union(merged[key], value) if key in merged else value
    return merged


def _created_here(live: Object) -> bool:
    """Tell whether a real update would take fields over first, so that a preview may force."""
    names = {CREATOR, "pulumi-kubernetes.exe", "pulumi-resource-kubernetes"}
    return any(
        entry.get("manager") in names and entry.get("operation") == "Update"
        for entry in at(live, "metadata", "managedFields") or []
    )


def _forced(inputs: Object) -> bool:
    return annotation(inputs, PATCH_FORCE) == "true"


def _keep_live(inputs: Object, live: Object, path: str, manager: str) -> None:
    """Put the live value at an ignored path, or leave the path to another manager that has it."""
    steps = [str(step) for step in parse_path(path)]
    theirs = ours = False
    for entry in at(live, "metadata", "managedFields") or []:
        if _manages(entry.get("fieldsV1"), steps):
            ours = ours or entry.get("manager") == manager
            theirs = theirs or entry.get("manager") != manager
    parent = at(inputs, *steps[:-1])
    if theirs and not ours:
        if isinstance(parent, dict):
            parent.pop(steps[-1], None)
        return
    value = at(live, *steps)
    if value is None:
        return
    for step in steps[:-1]:
        inputs = inputs.setdefault(step, {})
    inputs[steps[-1]] = copy.deepcopy(value)


def _manages(fields: Any, steps: Sequence[str]) -> bool:
    return at(fields, *(f"f:{step}" for step in steps)) is not None


def _explained(error: StatusError | NoMatchError) -> KubernetesError:
    if isinstance(error, StatusError) and error.reason == "AlreadyExists":
        status = {"code": error.code, "reason": error.reason, "message": f"{error}{_EXISTS_HELP}"}
        return StatusError(status)
    return error
