"""The changed lines of two texts, split so that equal changes of several nodes compare equal."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

# A field of YAML up to its value, an argument or a variable up to its own.
KEY = re.compile(r"([^:=]*).*", re.DOTALL)


def hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the changed lines in groups that belong together, each after the place it is in.

    Without context and line numbers, which differ between nodes even if the change is the same.
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
    """Yield ranges of replaced lines: a line together with the one that has the same key."""
    a, b = ([KEY.sub(r"\1", line) for line in lines] for lines in (old, new))
    matcher = difflib.SequenceMatcher(a=a, b=b, autojunk=False)
    for tag, i, end_i, j, end_j in matcher.get_opcodes():
        if tag == "equal":
            yield from ((i + n, i + n + 1, j + n, j + n + 1) for n in range(end_i - i))
        else:
            yield from ((i + a, i + b, j, j) for a, b in _entries(old[i:end_i]))
            yield from ((end_i, end_i, j + a, j + b) for a, b in _entries(new[j:end_j]))


def _entries(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield ranges of lines, each from one that is as deep as the first, or less."""
    starts = [n for n, line in enumerate(lines) if _depth(line) <= _depth(lines[0])]
    yield from pairwise([*starts, len(lines)])


def joined(hunks: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the lines of all hunks, those at the top level first, each place named once."""
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
    """Return how deep a line of YAML is; a list's item is below the key it is aligned with."""
    indent = len(line) - len(line.lstrip(" "))
    return indent + 0.5 if line.lstrip(" ").startswith("- ") else indent
