"""What a change of a node's `files` resource means: the changed lines of each file, and the rest.

Equal changes of several nodes compare equal, so that they can be told once.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509

from node_files import Effect
from node_files.bundle_text import BundledFile, BundleText, read_bundle
from preview.digest import Step

# A field of YAML up to its value, an argument or a variable up to its own.
KEY = re.compile(r"([^:=]*).*", re.DOTALL)
PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----", re.DOTALL)
RESTART = "the kubelet restarts"
EFFECTS = {
    Effect.NONE.value: "nothing restarts",
    Effect.RESTART.value: RESTART,
    Effect.UNIT.value: f"systemd reloads its units and {RESTART}",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that changes on a node: of a file, lines that belong together."""

    title: str  # Markdown
    effect: str = ""
    lines: tuple[str, ...] = ()  # of a diff: `@@ where @@`, `-old`, `+new`

    @property
    def restarts(self) -> bool:
        return self.effect.endswith(RESTART)


def changes(step: Step) -> Iterator[Change]:
    """Yield what changes on a node whose `files` resource is updated."""
    old, new = _bundle(step.old), _bundle(step.new)
    if old is not None and new is not None:
        for path in sorted({*old.files, *new.files}):
            yield from _of_file(path, old.files.get(path), new.files.get(path))
        yield from _of_words(old.words, new.words)
        if old.script != new.script:
            yield Change(
                title="The node script changed; it runs again",
                effect="nothing restarts unless a file differs",
            )
    elif step.old.get("stdin") != step.new.get("stdin"):
        yield Change(title="What is sent to the node changed")
    for path in step.changed:
        if path.partition(".")[0] == "connection":  # all of it is a secret to the engine
            yield Change(title="How the machine is reached changed; its files are compared again")
        elif path != "stdin":
            yield Change(title=f"`{path}` changed; the files are compared again")


def join_changes(_step: Step) -> Iterator[Change]:
    """Yield what it means that a node's `join` resource is updated: its script runs again."""
    yield Change(title="The join is looked at again", effect="nothing is done where it has joined")


def member_changes(_step: Step) -> Iterator[Change]:
    """Yield what it means that a node's `member` resource is updated: it works on leaving only."""
    yield Change(title="How it leaves one day changed", effect="nothing is done now")


def _bundle(inputs: object) -> BundleText | None:
    stdin = inputs.get("stdin") if isinstance(inputs, dict) else None
    try:
        return read_bundle(stdin) if isinstance(stdin, str) else None
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
    if old.content != new.content:
        for lines in hunks(_readable(old.content), _readable(new.content)):
            yield Change(title=f"`{path}`", effect=EFFECTS[new.effect], lines=lines)
    before, after = (
        " ".join((file.mode, f"{file.owner}:{file.group}", *file.extras)) for file in (old, new)
    )
    if before != after:
        title = f"`{path}`: `{before}` becomes `{after}`"
        yield Change(title=title, effect=EFFECTS[Effect.NONE.value])


def _of_words(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    values = [dict(line.partition(" ")[::2] for line in words) for words in (old, new)]
    if values[0].get("repair", "0") != values[1].get("repair", "0"):
        yield Change(
            title="Files that were changed by hand are written again"
            f" (`repair` {values[1].get('repair', '0')})",
            effect=f"where one was changed, {RESTART}",
        )
    told = ("repair ", "generation ")
    before, after = ([line for line in words if not line.startswith(told)] for words in (old, new))
    title = "Directories, and what else the node script is told"
    for lines in hunks(before, after):
        yield Change(title=title, effect=EFFECTS[Effect.NONE.value], lines=lines)


def hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the changed lines alone, those that belong together at a time, and where they stand.

    Without lines around and line numbers, which differ from node to node where the change does not.
    """
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, i, end_i, j, end_j in matcher.get_opcodes():
        if tag == "equal":
            continue
        for a, end_a, b, end_b in _paired(old[i:end_i], new[j:end_j]):
            where = enclosing(new, j + b) if end_b > b else enclosing(old, i + a)
            yield (
                *([f"@@ {where} @@"] if where else []),
                *(f"-{line}" for line in old[i + a : i + end_a]),
                *(f"+{line}" for line in new[j + b : j + end_b]),
            )


def _paired(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of a replaced run of lines: a line and the one that has its key come by themselves."""
    a, b = ([KEY.sub(r"\1", line) for line in lines] for lines in (old, new))
    matcher = difflib.SequenceMatcher(a=a, b=b, autojunk=False)
    for tag, i, end_i, j, end_j in matcher.get_opcodes():
        if tag == "equal":
            yield from ((i + n, i + n + 1, j + n, j + n + 1) for n in range(end_i - i))
        else:
            yield from ((i + a, i + b, j, j) for a, b in _entries(old[i:end_i]))
            yield from ((end_i, end_i, j + a, j + b) for a, b in _entries(new[j:end_j]))


def _entries(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of a run of lines: each begins with one as deep as the first, or less deep."""
    starts = [n for n, line in enumerate(lines) if _depth(line) <= _depth(lines[0])]
    yield from pairwise([*starts, len(lines)])


def joined(hunks: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the lines of hunks, those first that stand in nothing, each place named once."""
    lines: list[str] = []
    where = ""
    for hunk in sorted(hunks, key=lambda hunk: hunk[0].startswith("@@ ")):
        head = hunk[0] if hunk[0].startswith("@@ ") else ""
        lines += hunk[1:] if head and head == where else hunk
        where = head
    return tuple(lines)


def enclosing(lines: Sequence[str], index: int) -> str:
    """Return what a line is part of: the keys above it in YAML, the section of a unit."""
    depth = _depth(lines[index])
    found: list[str] = []
    for line in reversed(lines[:index]):
        if line.startswith("[") and line.endswith("]"):
            found.append(line)
            break
        if line.endswith(":") and _depth(line) < depth:
            depth = _depth(line)
            found.append(line.strip(" -:"))
    return ", ".join(reversed(found))


def _depth(line: str) -> float:
    """How deep a line of YAML is; an item of a list is below the key that it is aligned with."""
    indent = len(line) - len(line.lstrip(" "))
    return indent + 0.5 if line.lstrip(" ").startswith("- ") else indent


def _readable(content: str) -> list[str]:
    """The lines of a file, with what each certificate says in its place."""
    return PEM.sub(lambda match: _certificate(match.group(0)), content).split("\n")[:-1]


def _certificate(pem: str) -> str:
    digest = hashlib.sha256(pem.encode()).hexdigest()[:16]
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return f"(PEM that is no certificate, SHA-256 {digest}...)"
    subject = certificate.subject.rfc4514_string()
    serial = f"{certificate.serial_number:x}"
    end = certificate.not_valid_after_utc.date()
    return f"(certificate of {subject}, serial {serial}, until {end})"
