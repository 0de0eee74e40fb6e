"""The mounts of this host, and a removal that never crosses one.

The lab mounts only in namespaces that end with the process that needs them, so its mounts don't
show here. A mount below a directory that is to be removed is somebody else's.
"""

import re
import shutil
from pathlib import Path

from lab.errors import LabError

MOUNTINFO = Path("/proc/self/mountinfo")


def below(path: Path, mountinfo: str | None = None) -> tuple[Path, ...]:
    """Return the mount points at or below `path`."""
    text = MOUNTINFO.read_text() if mountinfo is None else mountinfo
    # proc(5): the fifth field is the mount point, with blanks and backslashes in octal.
    points = (
        Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split()[4]))
        for line in text.splitlines()
    )
    real = path.resolve()
    return tuple(point for point in points if point == real or real in point.parents)


def remove_tree(path: Path) -> None:
    """Remove a file or a directory with its content, if it exists.

    Raises:
        LabError: something is mounted in it.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.exists():
        return
    if mounted := below(path):
        raise LabError(
            f"{path} is to be removed, but {mounted[0]} is mounted in it",
            f"unmount it (umount {mounted[0]}) and run the command again",
        )
    shutil.rmtree(path)
