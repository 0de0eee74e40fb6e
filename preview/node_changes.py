"""What a change of a node's resources means: the changed lines of each file, and the rest.

Equal changes of several nodes compare equal, so that each is reported once.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from node_files import Effect, without_registration
from node_files.bundle_text import BundledFile, BundleText, read_bundle, values
from preview.digest import Step
from preview.hunks import hunks

PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----", re.DOTALL)
RESTART = "the kubelet restarts"
NO_RESTART = "no restart"
EFFECTS = {
    Effect.NONE.value: "nothing restarts",
    Effect.RESTART.value: RESTART,
    Effect.UNIT.value: f"systemd reloads its units and {RESTART}",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that changes on a node; in a file, lines that belong together."""

    title: str  # Markdown
    effect: str = ""
    lines: tuple[str, ...] = ()  # of a diff: `@@ where @@`, `-old`, `+new`

    @property
    def restarts(self) -> bool:
        return self.effect.endswith(RESTART)


def changes(step: Step, before: str | None, after: str | None) -> Iterator[Change]:
    """Yield what changes on a node whose `files` resource is updated.

    What it shares with other nodes of its pool was `before` and is `after`; None: not known, as in
    a preview in which that does not change.
    """
    if before is None and after is None and not _is_whole(step.old):
        before = after = ""
    old, new = _bundle(step.old, before), _bundle(step.new, after)
    if old is not None and new is not None:
        differing = [*_differences(old, new)]
        yield from differing
        raised = [[w for w in b.words if w.startswith("generation ")] for b in (old, new)]
        if old.digest != new.digest and not differing and raised[0] == raised[1]:
            yield Change(
                title="The node script changed; it runs again",
                effect="nothing restarts unless a file differs",
            )
    elif step.old.get("stdin") != step.new.get("stdin"):
        yield Change(title="What is sent to the node changed")
    for path in step.changed:
        if path.partition(".")[0] == "connection":  # all of it is a secret to the engine
            yield Change(title="The SSH connection changed; the files are compared again")
        elif path != "stdin" and not path.startswith(("create", "delete")):
            yield Change(title=f"`{path}` changed; the files are compared again")


def _differences(old: BundleText, new: BundleText) -> Iterator[Change]:
    for path in sorted({*old.files, *new.files}):
        yield from _of_file(path, old.files.get(path), new.files.get(path))
    yield from _of_words(old.words, new.words)


def attribute_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what changes on a Node: its labels, annotations and taints."""
    for key in ("labels", "annotations"):
        before, after = (sorted((found.get(key) or {}).items()) for found in (old, new))
        yield from _of_node(key, [_line(*one) for one in before], [_line(*one) for one in after])
    taints = [sorted(found.get("taints") or ()) for found in (old, new)]
    yield from _of_node("taints", *taints)


def _of_node(key: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    for lines in hunks(old, new):
        evicts = any(line.startswith("+") and line.endswith(":NoExecute") for line in lines)
        effect = NO_RESTART + "; pods that do not tolerate it are evicted" * evicts
        yield Change(title=f"{key.capitalize()} of the Node", effect=effect, lines=lines)


def _line(name: str, value: str) -> str:
    return f"{name}={value}".replace("\n", "\\n")


def member_changes() -> Iterator[Change]:
    """Yield what an update of a node's `member` resource means: it acts only on leaving."""
    yield Change(title="The node's leave command changed", effect="nothing happens now")


def _is_whole(inputs: Mapping[str, object]) -> bool:
    """Return whether a state holds a whole bundle, as those of earlier releases do."""
    return not str(inputs.get("stdin", "")).startswith("bundle ")


def _bundle(inputs: object, shared: str | None) -> BundleText | None:
    stdin = inputs.get("stdin") if isinstance(inputs, dict) else None
    try:
        return read_bundle(stdin, shared) if isinstance(stdin, str) else None
    except ValueError:
        return None


def _of_file(path: str, old: BundledFile | None, new: BundledFile | None) -> Iterator[Change]:
    if old is None or new is None:
        present = new or old
        assert present is not None  # noqa: S101 - the path is of one of them
        sign, what = ("+", "is new") if old is None else ("-", "is removed")
        listed = (f"{sign}{line}" for line in _readable(present.content))
        # The script restarts the kubelet whenever it removes a file.
        effect = EFFECTS[present.effect if new else Effect.UNIT.value]
        yield Change(title=f"`{path}` {what}", effect=effect, lines=tuple(listed))
        return
    # What the Node gets, and when, is reported by itself.
    before, after = (
        _readable("\n".join(without_registration(file.content))) for file in (old, new)
    )
    if before != after:
        for lines in hunks(before, after):
            yield Change(title=f"`{path}`", effect=EFFECTS[new.effect], lines=lines)
    elif old.content != new.content:
        yield Change(
            title=f"`{path}`: the labels and taints for the next registration",
            effect=EFFECTS[Effect.NONE.value],
        )
    looks = [
        " ".join((file.mode, f"{file.owner}:{file.group}", *file.extras)) for file in (old, new)
    ]
    if looks[0] != looks[1]:
        title = f"`{path}`: `{looks[0]}` becomes `{looks[1]}`"
        yield Change(title=title, effect=EFFECTS[Effect.NONE.value])


def _of_words(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    repairs = [values(words).get("repair", "0") for words in (old, new)]
    if repairs[0] != repairs[1]:
        yield Change(
            title=f"Files that were changed by hand are written again (`repair` {repairs[1]})",
            effect=f"where one was changed, {RESTART}",
        )
    # The first two are reported by themselves. The other is no setting.
    elsewhere = ("repair ", "generation ", "stack ")
    before, after = (
        [line for line in words if not line.startswith(elsewhere)] for words in (old, new)
    )
    title = "Directories, and other input of the node script"
    for lines in hunks(before, after):
        yield Change(title=title, effect=EFFECTS[Effect.NONE.value], lines=lines)


def _readable(content: str) -> list[str]:
    """Return the lines of a file, each certificate replaced by what it says."""
    return PEM.sub(lambda match: _certificate(match.group(0)), content).split("\n")[:-1]


def _certificate(pem: str) -> str:
    digest = hashlib.sha256(pem.encode()).hexdigest()[:16]
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return f"(PEM that is not a certificate, SHA-256 {digest}...)"
    subject = certificate.subject.rfc4514_string()
    serial = f"{certificate.serial_number:x}"
    end = certificate.not_valid_after_utc.date()
    return f"(certificate of {subject}, serial {serial}, until {end})"
