"""Reads what a stack's state has of a bundle, for a report of changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node_files.scripts import MARKER
from node_files.systemd import NODE_IP, NODE_NAME

EXTRAS = ("acl ", "selinux ")
RUNNING = "running"  # a hash of what a kubelet that runs depends on: no word of the bundle


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

    digest: str  # of the whole, the script too
    words: tuple[str, ...]  # every line that belongs to no file, sorted
    files: Mapping[str, BundledFile]  # by path


def read_bundle(stdin: str, shared: str | None = None) -> BundleText:
    """Return the parts of what `known` and `shared` returned.

    Earlier releases had the whole bundle in a state, with the script before it.

    Raises:
        ValueError: the text is not a bundle, or what it shares is missing.
    """
    script, marker, data = stdin.partition(f"\n{MARKER}\n")
    if not marker:
        script, _, own = stdin.partition("\n")
        if not script.startswith("bundle ") or shared is None:
            raise ValueError("stdin is not a bundle")
        data = _own(shared, own)
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
            lines = None
            if not line.startswith(f"{RUNNING} "):
                words.append(line)
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
    return BundleText(digest=script, words=tuple(sorted(words)), files=files)


def values(lines: Iterable[str]) -> dict[str, str]:
    """Return what follows each word at the beginning of a line; of equal words the last counts."""
    return dict(line.partition(" ")[::2] for line in lines)


def _own(shared: str, own: str) -> str:
    """Return the bundle's data: what nodes have in common, made a node's own, and its lines."""
    found = values(own.split("\n"))
    named = shared.replace(NODE_NAME, found.get("node", ""))
    return named.replace(NODE_IP, ",".join(found.get("addresses", "").split())) + own
