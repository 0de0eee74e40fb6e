"""Labels, annotations and taints of a Node: what makes them follow the settings.

A record on the Node says what the settings have set. It is taken back when it leaves the settings,
unless somebody has changed it since; whatever else a Node has is somebody else's and stays.

A kubelet may write annotations of its own Node, so it could write that record too. But it may not
change its taints, nor labels below node-restriction.kubernetes.io (the admission plugin
NodeRestriction). So one of those labels seals the record: a kubelet can lose it, and what was set
then stays, but it can't have a taint of somebody else removed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

RECORD = "kubelet-tls-bootstrap/settings"  # an annotation
SEAL = "kubelet-tls-bootstrap.node-restriction.kubernetes.io/settings"  # a label
# Kubelets set these themselves, and pods and volumes are bound to them: they are never removed.
KUBELETS_OWN = frozenset({"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"})

Texts = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """Labels, annotations and taints, each by what identifies it."""

    labels: Texts = field(default_factory=dict)
    annotations: Texts = field(default_factory=dict)
    taints: Texts = field(default_factory=dict)  # values by key:effect

    def __bool__(self) -> bool:
        return bool(self.labels or self.annotations or self.taints)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A JSON merge patch, empty if there is nothing to do, and what to say of it."""

    patch: Mapping[str, Any]
    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def read_attributes(entry: Mapping[str, Any]) -> Attributes:
    """Return the labels, annotations and taints (as key=value:effect) of a document.

    Raises:
        ValueError, TypeError, AttributeError: it is malformed.
    """
    return Attributes(
        labels=dict(entry.get("labels", {})),
        annotations=dict(entry.get("annotations", {})),
        taints=dict(map(_read_taint, entry.get("taints", ()))),
    )


def change(node: Mapping[str, Any], wanted: Attributes, registered: Texts) -> Change:
    """Return what makes a Node follow the settings.

    A label or an annotation of the settings gets its value, whoever has given it another one. A
    taint is set once: one that somebody has removed since stays away, as those do that a controller
    removes when a node is ready for pods.

    `registered` are taints that its kubelet has registered the Node with, if it has no record yet.
    """
    metadata = node["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    listed = (node.get("spec") or {}).get("taints") or []
    taints = {_name(taint): str(taint.get("value") or "") for taint in listed}
    found = _recorded(labels, annotations)
    recorded = found or Attributes()

    new_labels = _differing(labels, wanted.labels)
    new_annotations = _differing(annotations, wanted.annotations)
    set_before = recorded.taints if found is not None else registered
    new_taints = {
        name: value
        for name, value in _differing(taints, wanted.taints).items()
        if set_before.get(name) != value
    }
    ends = (
        ("label", *_ended(labels, wanted.labels, recorded.labels, KUBELETS_OWN)),
        ("annotation", *_ended(_hashes(annotations), wanted.annotations, recorded.annotations)),
        ("taint", *_ended(taints, wanted.taints, recorded.taints)),
    )
    (_, old_labels, _), (_, old_annotations, _), (_, old_taints, _) = ends

    patch: dict[str, Any] = {}
    about = _record(wanted)
    of_labels = {**new_labels, **dict.fromkeys(old_labels), **_noted(labels, SEAL, _seal(about))}
    of_annotations = {
        **new_annotations,
        **dict.fromkeys(old_annotations),
        **_noted(annotations, RECORD, about),
    }
    if of_labels or of_annotations or new_taints or old_taints:
        # So that nothing is lost that somebody else changes meanwhile: taints are one list.
        patch["metadata"] = {"resourceVersion": metadata["resourceVersion"]}
        patch["metadata"] |= {"labels": of_labels} if of_labels else {}
        patch["metadata"] |= {"annotations": of_annotations} if of_annotations else {}
    if new_taints or old_taints:
        kept = [taint for taint in listed if _name(taint) not in {*new_taints, *old_taints}]
        patch["spec"] = {"taints": [*kept, *map(_taint, new_taints.items())]}
    done = [f"label {name}={value}" for name, value in new_labels.items()]
    done += [f"annotation {name}" for name in new_annotations]
    done += [f"taint {_text(*taint)}" for taint in new_taints.items()]
    done = [f"{text} set" for text in done]
    done += [f"{kind} {name} removed" for kind, removed, _ in ends for name in removed]
    left = [
        f"its {kind} {name} left the settings, but somebody has changed it since: it stays"
        for kind, _, changed in ends
        for name in changed
    ]
    left += _missing(taints, wanted.taints, new_taints)
    if found is None and RECORD in annotations:
        left.append(
            "the record of what the settings have set on it was changed by somebody else: what"
            " has left the settings since stays on it"
        )
    return Change(patch=patch, done=tuple(done), left=tuple(left))


def _differing(live: Texts, wanted: Texts) -> Texts:
    return {name: value for name, value in wanted.items() if live.get(name) != value}


def _ended(
    live: Texts, wanted: Texts, recorded: Texts, kept: frozenset[str] = frozenset()
) -> tuple[list[str], list[str]]:
    """Return what was set and has left the settings: as it was set, and as somebody changed it."""
    gone = [name for name in recorded if name in live and name not in {*wanted, *kept}]
    ours = [name for name in gone if live[name] == recorded[name]]
    return ours, [name for name in gone if name not in ours]


def _missing(live: Texts, wanted: Texts, new: Texts) -> Iterator[str]:
    """Say which taints are not as the settings have them, and are not set either."""
    for name, value in _differing(live, wanted).items():
        if name not in new:
            yield (
                f"its taint {_text(name, value)} was removed or changed by somebody else since it"
                " was set: it stays so"
            )


def _recorded(labels: Texts, annotations: Texts) -> Attributes | None:
    """Return what the settings have set; None: there is no record, or not the one that we wrote."""
    text = annotations.get(RECORD)
    if text is None or labels.get(SEAL) != _seal(text):
        return None
    return read_attributes(json.loads(text))


def _record(wanted: Attributes) -> str | None:
    """Return the record: values that tell whether somebody has changed something since."""
    if not wanted:
        return None
    texts = {
        "labels": wanted.labels,
        "annotations": _hashes(wanted.annotations),
        "taints": [_text(*taint) for taint in sorted(wanted.taints.items())],
    }
    given = {key: value for key, value in texts.items() if value}
    return json.dumps(given, separators=(",", ":"), sort_keys=True)


def _seal(record: str | None) -> str | None:
    return None if record is None else hashlib.sha256(record.encode()).hexdigest()[:32]


def _noted(live: Texts, name: str, value: str | None) -> Mapping[str, str | None]:
    """Return the change of something of our own; None removes it."""
    return {} if live.get(name) == value else {name: value}


def _hashes(annotations: Texts) -> Texts:
    """Return a short hash of each value: it may be long."""
    return {
        name: hashlib.sha256(value.encode()).hexdigest()[:12] for name, value in annotations.items()
    }


def _read_taint(text: str) -> tuple[str, str]:
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    return f"{key}:{effect}", value


def _text(name: str, value: str) -> str:
    key, _, effect = name.rpartition(":")
    return f"{key}={value}:{effect}" if value else name


def _taint(named: tuple[str, str]) -> Mapping[str, str]:
    name, value = named
    key, _, effect = name.rpartition(":")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def _name(taint: Mapping[str, Any]) -> str:
    return f"{taint.get('key')}:{taint.get('effect')}"
