"""Reads what `bundle` has written, for a report of changes."""

from collections.abc import Mapping
from dataclasses import dataclass

from node_files.bundle import MARKER

EXTRAS = ("acl ", "selinux ")


@dataclass(frozen=True, kw_only=True)
class BundledFile:
    """A file of a bundle; its content ends with a line feed."""

    mode: str
    owner: str
    group: str
    effect: str
    content: str
    extras: tuple[str, ...] = ()  # its ACL entries and SELinux type


@dataclass(frozen=True, kw_only=True)
class BundleText:
    """The parts of a bundle."""

    script: str
    words: tuple[str, ...]  # every line that belongs to no file, in order
    files: Mapping[str, BundledFile]  # by path


def read_bundle(stdin: str) -> BundleText:
    """Return the parts of what `bundle` returned.

    Raises:
        ValueError: the text is not a bundle.
    """
    script, marker, data = stdin.partition(f"\n{MARKER}\n")
    if not marker:
        raise ValueError("stdin is not a bundle: it has no marker")
    words: list[str] = []
    heads: dict[str, tuple[str, str, str, str]] = {}
    contents: dict[str, list[str]] = {}
    extras: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in data.split("\n"):
        if line == "|" or line.startswith("| "):
            if lines is None:
                raise ValueError("stdin is not a bundle: a line of content belongs to no file")
            lines.append(line[2:])
        elif line.startswith("file "):
            _, mode, owner, group, effect, path = line.split(" ", 5)
            heads[path] = (mode, owner, group, effect)
            lines = contents[path] = []
            extras[path] = []
        elif lines is not None and line.startswith(EXTRAS):
            extras[path].append(line)
        elif line not in ("end", ""):
            words.append(line)
            lines = None
    files = {
        path: BundledFile(
            mode=mode,
            owner=owner,
            group=group,
            effect=effect,
            content="".join(f"{text}\n" for text in contents[path]),
            extras=tuple(extras[path]),
        )
        for path, (mode, owner, group, effect) in heads.items()
    }
    return BundleText(script=script, words=tuple(words), files=files)
