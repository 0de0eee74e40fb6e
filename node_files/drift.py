"""How the files on a host differ from those that the settings render, as text for people.

LOOK runs with `look_bundle` on stdin, and `read_facts` reads its answer. Kubeconfigs and keys are
never read.
"""

import base64
import binascii
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from node_files.acl import shown_entries, shown_mode
from node_files.bundle import directories, files
from node_files.model import Cluster, Directory, File, Node
from node_files.scripts import command, script

LOOK = command(60, "look")  # with look_bundle() on stdin

# Whoever owns a machine writes what they like there. To compare takes the product of the lines.
LONGEST_COMPARED = 2000  # lines
MOST_TOLD = 300  # lines of one file
MOST_PLACES = 10
BEGIN = "begin"  # our script's first line
CUT = "the host's answer is incomplete or not from our script; run again"
STRANGE = {
    "none": "does not exist",
    "link": "is a symbolic link",
    "other": "is of another type",
    "long": "is larger than 1 MiB",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is at a path: a file or a directory with its mode and owner, or something else."""

    kind: str  # file, dir, or a key of STRANGE
    meta: tuple[str, str, str] = ("", "", "")  # mode, owner, group
    acl: tuple[str, ...] = ()  # the entries of named users and groups
    selinux_type: str = ""  # empty on a host without SELinux
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A host's answer: what is at each path, and which files our manifest there lists."""

    found: Mapping[str, Found]
    ours: tuple[str, ...]

    def at(self, path: str) -> Found:
        """Return what is at one of the paths in `look_bundle`.

        Raises:
            ValueError: the host's answer does not have it.
        """
        if path not in self.found:
            raise ValueError(CUT)
        return self.found[path]


def look_bundle(cluster: Cluster, node: Node) -> str:
    """Return what stdin holds for LOOK."""
    lines = [
        f"state {node.paths.state}",
        *(f"dir {directory.path}" for directory in directories(node)),
        *(f"file {file.path}" for file in files(cluster, node)),
        "end\n",
    ]
    return script("node_files", "look.sh") + "\n".join(lines)


def read_facts(text: str) -> Facts:
    """Return what LOOK printed.

    Raises:
        ValueError: it is incomplete, or not what LOOK prints.
    """
    found: dict[str, Found] = {}
    ours: list[str] = []
    path = ""
    lines = text.split("\n")
    # What comes before is of a login shell's profile.
    for line in lines[lines.index(BEGIN) + 1 :] if BEGIN in lines else lines:
        word, _, rest = line.partition(" ")
        if word == "end":
            return Facts(found=found, ours=tuple(ours))
        if word == "ours":
            ours.append(rest)
        elif word in STRANGE:
            found[rest] = Found(kind=word)
        elif word in ("file", "dir") and rest.count(" ") >= 3:
            mode, owner, group, path = rest.split(" ", 3)
            found[path] = Found(kind=word, meta=(mode, owner, group))
        elif word in ("acl", "selinux", "=") and path:
            found[path] = _with(found[path], word, rest)
        else:
            break
    raise ValueError(CUT)


def _with(found: Found, word: str, value: str) -> Found:
    """Return what was found, with the next line of the host's answer added."""
    if word == "acl":
        return replace(found, acl=tuple(sorted((*found.acl, value))))
    if word == "selinux":
        return replace(found, selinux_type=value)
    try:
        content = base64.b64decode(value, validate=True).decode(errors="backslashreplace")
    except binascii.Error:
        raise ValueError(CUT) from None
    return replace(found, content=content)


def differences(cluster: Cluster, node: Node, facts: Facts) -> str:
    """Return what differs from the settings, as a unified diff with notes; empty if nothing does.

    Raises:
        ValueError: the host's answer lacks a path.
    """
    wanted = files(cluster, node)
    told = [line for entry in directories(node) for line in _of_directory(node, entry, facts)]
    for file in wanted:
        told += _of_file(node, file, facts)
    told += _some(
        f"{node.name}: {path} is not in the settings; the next pulumi up removes it"
        for path in sorted(set(facts.ours) - {file.path for file in wanted})
    )
    return "".join(f"{line}\n" for line in told)


def _of_directory(node: Node, directory: Directory, facts: Facts) -> Iterator[str]:
    found = facts.at(directory.path)
    if found.kind != "dir":
        yield f"{node.name}: the directory {directory.path} {STRANGE[found.kind]}"
    else:
        yield from _of_meta(node, directory, found)


def _of_file(node: Node, file: File, facts: Facts) -> Iterator[str]:
    found = facts.at(file.path)
    if found.kind != "file":
        yield f"{node.name}: {file.path} {STRANGE[found.kind]}"
        return
    yield from _of_meta(node, file, found)
    if found.content == file.content:
        return
    old, new = _lines(found.content), _lines(file.content)
    if max(len(old), len(new)) > LONGEST_COMPARED:
        yield (
            f"{node.name}: {file.path} differs: it has {len(old)} lines on the host,"
            f" and {len(new)} in the settings"
        )
        return
    changed = difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes()
    places = [_range(i, j) for tag, i, j, _, _ in changed if tag != "equal"]
    if len(places) > MOST_PLACES:
        places[MOST_PLACES:] = [f"{len(places) - MOST_PLACES} more places"]
    yield f"{node.name}: {file.path} differs at line {', '.join(places)}"
    name = f"{node.name}:{file.path}"
    yield from _some(
        difflib.unified_diff(
            old, new, f"{name} on the host", f"{name} in the settings", lineterm=""
        )
    )


def _some(lines: Iterable[str]) -> Iterator[str]:
    """Yield the first lines, and how many more there are."""
    rest = iter(lines)
    yield from islice(rest, MOST_TOLD)
    if more := sum(1 for _ in rest):
        yield f"... {more} more lines"


def _of_meta(node: Node, wanted: File | Directory, found: Found) -> Iterator[str]:
    path = f"{node.name}: {wanted.path}"
    mode, owner, group = found.meta
    acl = wanted.acl if isinstance(wanted, File) else ()
    if int(mode, 8) != (shown := shown_mode(wanted.mode, acl)):
        yield f"{path} has the mode {int(mode, 8):04o}, not {shown:04o}"
    if (owner, group) != (wanted.owner, wanted.group):
        yield f"{path} belongs to {owner}:{group}, not {wanted.owner}:{wanted.group}"
    if found.acl != (entries := shown_entries(acl)):
        listed = (", ".join(each) or "none" for each in (found.acl, entries))
        yield "{} has the ACL entries {}, not {}".format(path, *listed)
    if wanted.selinux_type and found.selinux_type not in ("", wanted.selinux_type):
        yield f"{path} has the SELinux type {found.selinux_type}, not {wanted.selinux_type}"


def _range(start: int, end: int) -> str:
    """Return line numbers of the host's file, from one; before missing lines, the last one."""
    if end <= start:
        return str(max(start, 1))
    return str(end) if end == start + 1 else f"{start + 1}-{end}"


def _lines(text: str) -> list[str]:
    """Return the lines of a file; a last one without a line feed is marked, as by diff(1)."""
    lines = text.split("\n")
    last = lines.pop()
    return [*lines, f"{last}\\ No newline at end of file"] if last else lines
