"""Objects between a program, Pulumi's state and the cluster.

State keeps the live object, the inputs beside it under `__inputs`, and who applied them. What a
program wrote is compared with the live object only where the program said something.
"""

import base64
import copy
import hashlib
import secrets
from typing import Any

from lab.plugins.kubernetes_discovery import Kind
from lab.plugins.kubernetes_values import (
    Object,
    Secret,
    Unknown,
    at,
    has_secret,
    has_unknown,
    plain,
)

INPUTS = "__inputs"
FIELD_MANAGER = "__fieldManager"
INITIAL_API_VERSION = "__initialApiVersion"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

AUTONAMED = "pulumi.com/autonamed"
PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager"

_SERVER_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
# What the API's own types leave out when it is empty.
_DROPPED = ("binaryData", "data", "imagePullSecrets", "secrets", "stringData", "subjects")
_DROPPED_METADATA = ("annotations", "finalizers", "labels", "ownerReferences")
# A property's name cannot hold a dash in every language that Pulumi has.
_DASHED = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
_UNDERSCORED = {dashed: name for name, dashed in _DASHED.items()}


def manifest(properties: Object) -> Object:
    """Return properties as a manifest: no secret marks, the API's own field names."""
    return dict(_rename(plain(properties), _DASHED))


def name_of(item: Object) -> str:
    """Return an object's name, or nothing if it has none or an unknown one."""
    name = at(item, "metadata", "name")
    return name if isinstance(name, str) else ""


def namespace_of(item: Object) -> str:
    """Return an object's namespace, or nothing."""
    namespace = at(item, "metadata", "namespace")
    return namespace if isinstance(namespace, str) else ""


def annotation(item: Object, key: str) -> str:
    """Return an annotation's value, or nothing."""
    value = at(item, "metadata", "annotations", key)
    return value if isinstance(value, str) else ""


def identity(item: Object) -> str:
    """Return an object's id in Pulumi's state: `namespace/name`, or its name alone."""
    return "/".join(filter(None, (namespace_of(item), name_of(item))))


def named(inputs: Object) -> bool:
    """Tell whether a program gave a name, known or not yet."""
    return bool(at(inputs, "metadata", "name"))


def assign_name(inputs: Object, name: str) -> None:
    """Give a name to inputs without one, and mark it as not the program's."""
    metadata = inputs.setdefault("metadata", {})
    metadata["name"] = name
    annotations = metadata.setdefault("annotations", {})
    if not isinstance(annotations, Unknown):
        annotations[AUTONAMED] = "true"


def unique_name(prefix: str, seed: bytes = b"") -> str:
    """Return the prefix with eight random hexadecimal digits, the same ones for the same seed."""
    if not seed:
        return f"{prefix}{secrets.token_hex(4)}"
    return prefix + hashlib.blake2b(prefix.encode(), key=seed[:64], digest_size=4).hexdigest()


def normalized(item: Object) -> Object:
    """Return inputs without what only the server sets or drops, and a Secret's texts as data.

    The API server keeps `stringData` as base64 under `data`; so both ways to say the same are
    made equal before they are compared.
    """
    item = copy.deepcopy(item)
    if Kind.of(item).built_in and not has_unknown(item):
        _drop_empty(item, _DROPPED)
        _drop_empty(item.get("metadata"), _DROPPED_METADATA)
        if is_secret(item):
            _encode(item)
        elif item.get("kind") == "CustomResourceDefinition":
            item.pop("status", None)
            if at(item, "spec", "preserveUnknownFields") is False:
                del item["spec"]["preserveUnknownFields"]
    metadata = item.get("metadata")
    if isinstance(metadata, dict):
        for key in _SERVER_METADATA:
            metadata.pop(key, None)
    return item


def is_secret(item: Object) -> bool:
    """Tell whether an object is a core Secret."""
    kind = Kind.of(item)
    return kind.group == "" and kind.name == "Secret"


def pruned(live: Any, shape: Any) -> Any:
    """Return the parts of a live value that lie where `shape` has something too."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: pruned(value, shape[key]) for key, value in live.items() if key in shape}
    if isinstance(live, list) and isinstance(shape, list):
        if live and shape and type(live[0]) is not type(shape[0]):
            return copy.deepcopy(live)
        return [pruned(item, other) for item, other in zip(live, shape, strict=False)]
    return copy.deepcopy(live)


def with_dropped(live: Any, inputs: Any) -> Any:
    """Return a pruned live value with the empty values of its inputs that the server drops.

    A server keeps neither `labels: {}` nor `hostNetwork: false`; that is no change to come.
    """
    if isinstance(live, dict) and isinstance(inputs, dict):
        dropped = {key: value for key, value in inputs.items() if key not in live and not value}
        kept = {key: with_dropped(value, inputs.get(key)) for key, value in live.items()}
        return kept | dropped
    if isinstance(live, list) and isinstance(inputs, list) and len(live) == len(inputs):
        return [with_dropped(item, other) for item, other in zip(live, inputs, strict=True)]
    return live


def checkpoint(inputs: Object, live: Object, marked: Object, manager: str, version: str) -> Object:
    """Return what Pulumi's state keeps of an object.

    Args:
        inputs: the manifest that was sent.
        live: the object as the server has it.
        marked: the program's properties; what is secret there becomes secret here.
        manager: the field manager of the object's applies.
        version: the apiVersion by which it was made.
    """
    state = mark(_rename(live, _UNDERSCORED), marked)
    if is_secret(live):
        texts, data = marked.get("stringData"), state.get("data")
        if isinstance(data, dict) and texts is not None:
            state["data"] = Secret(data)
    state[INPUTS] = mark(_rename(inputs, _UNDERSCORED), marked)
    state[INITIAL_API_VERSION] = version
    state[FIELD_MANAGER] = manager
    return state


def open_checkpoint(state: Object) -> tuple[Object, Object]:
    """Return the inputs and the live object out of a state, both as manifests."""
    live = manifest(state)
    inputs = live.pop(INPUTS, None) or {}
    return inputs, live


def mark(values: Object, like: Object) -> Object:
    """Return values with the secret marks of `like`; a Secret's content is always secret.

    A list with one secret item is secret as a whole, because a server may reorder it.
    """
    if values.get("kind") == "Secret":
        hidden: Object = _hide_last_applied(values)
        for key in ("data", "stringData"):
            if key in values:
                hidden[key] = Secret(plain(values[key]))
        return values | hidden
    return {key: _mark_value(value, like.get(key)) for key, value in values.items()}


def _mark_value(value: Any, like: Any) -> Any:
    if isinstance(value, dict) and isinstance(like, dict):
        return mark(value, like)
    if not isinstance(value, Secret) and has_secret(like):
        return Secret(plain(value))
    return value


def _hide_last_applied(values: Object) -> Object:
    """kubectl's annotation repeats the whole Secret, so that it is as secret as the data."""
    applied = at(values, "metadata", "annotations", LAST_APPLIED)
    if applied is None:
        return {}
    annotations = {**values["metadata"]["annotations"], LAST_APPLIED: Secret(plain(applied))}
    return {"metadata": {**values["metadata"], "annotations": annotations}}


def _drop_empty(fields: Any, names: tuple[str, ...]) -> None:
    for name in names if isinstance(fields, dict) else ():
        if name in fields and not fields[name]:
            del fields[name]


def _encode(item: Object) -> None:
    data = item.get("data")
    data = dict(data) if isinstance(data, dict) else {}
    texts = item.get("stringData")
    if isinstance(texts, dict) and texts and all(isinstance(t, str) for t in texts.values()):
        # The server lets stringData win over data.
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        item["data"] = data | encoded
        del item["stringData"]
    elif data:
        item["data"] = {key: _trimmed(value) for key, value in data.items()}


def _trimmed(value: Any) -> Any:
    try:
        # Go's decoder skips line ends, and what it writes again has none.
        compact = value.replace("\n", "").replace("\r", "")
        return base64.b64encode(base64.b64decode(compact, validate=True)).decode()
    except (AttributeError, ValueError):
        return value  # the server will say what is wrong with it


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _rename(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, names) for item in value]
    return value
