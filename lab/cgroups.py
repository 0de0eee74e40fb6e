"""The cgroups that systemd uses on this host, in which the lab's machines have their own."""

import contextlib
from pathlib import Path

from lab import mounts


def hierarchies(mountinfo: str | None = None) -> list[Path]:
    """Return the mount points of systemd's cgroups: version 2, and version 1's own hierarchy."""
    text = mounts.MOUNTINFO.read_text() if mountinfo is None else mountinfo
    found = []
    for line in text.splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(mount.split()[4]))
    return found


def remove(cgroup: Path) -> None:
    """Remove a cgroup that has no processes, with those below it."""
    for directory in sorted(cgroup.rglob("*"), reverse=True):
        if directory.is_dir():
            with contextlib.suppress(OSError):
                directory.rmdir()
    with contextlib.suppress(OSError):
        cgroup.rmdir()
