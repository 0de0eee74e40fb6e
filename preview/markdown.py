"""Pieces of Markdown for a comment on GitHub. No quoted text can break out of them."""

import re
from collections.abc import Sequence, Sized
from dataclasses import dataclass

NUMBERED = re.compile(r"\A(.*?)(\d+)\Z")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A paragraph, and lines of a diff below it, which are dropped first if space runs out."""

    text: str
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text}\n\n{fence(self.lines)}\n" if self.lines else f"{self.text}\n"


def fence(lines: Sequence[str], language: str = "diff") -> str:
    """Return the lines as a block of code, in a fence longer than any run of backticks in them."""
    body = "\n".join(lines)
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return f"{ticks}{language}\n{body}\n{ticks}"


def names(listed: Sequence[str]) -> str:
    """Return names as a short list: `node-1` to `node-50`, `db-1`."""
    parts = []
    runs: list[list[str]] = []
    for name in listed:
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    for run in runs:
        if len(run) > 2:
            parts.append(f"`{run[0]}` to `{run[-1]}`")
        else:
            parts += [f"`{name}`" for name in run]
    return ", ".join(parts)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts node-10 after node-9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def count(number: int, noun: str, verb: str = "") -> str:
    """Return a number with its noun and verb: `1 node joins`, `2 nodes join`."""
    words = [str(number), noun if number == 1 else f"{noun}s"]
    if verb:
        words.append(f"{verb}s" if number == 1 else verb)
    return " ".join(words)


def are(listed: Sized) -> str:
    """Return the verb for so many."""
    return "is" if len(listed) == 1 else "are"


def cell(text: str) -> str:
    """Return text that can't break out of a table's cell."""
    return text.replace("\n", " ").replace("|", "\\|")


def fit(blocks: Sequence[Block], limit: int) -> str:
    """Return the blocks as a text of at most `limit` characters, the longest diffs left out."""
    kept = list(blocks)
    while len(text := "\n".join(map(str, kept))) > limit:
        diffs = [index for index, block in enumerate(kept) if block.lines]
        if not diffs:
            note = "\n\n(cut: the report is longer than a comment can be)\n"
            return text[: limit - len(note)].rpartition("\n")[0] + note
        longest = max(diffs, key=lambda index: len(str(kept[index])))
        block = kept[longest]
        left_out = count(len(block.lines), "line")
        note = f"({left_out} left out to save space; see `pulumi preview --diff`)"
        kept[longest] = Block(text=f"{block.text}\n\n{note}")
    return text


def _follows(first: str, second: str) -> bool:
    """Return whether a name's number follows another's, written the same way."""
    a, b = NUMBERED.match(first), NUMBERED.match(second)
    if a is None or b is None or a[1] != b[1]:
        return False
    return int(b[2]) == int(a[2]) + 1 and str(int(b[2])) == b[2] and str(int(a[2])) == a[2]
