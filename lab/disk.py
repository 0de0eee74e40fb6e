"""The files that a machine finds on its disk at its first boot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import ssh


@dataclass(frozen=True)
class File:
    """A file that a machine finds on its disk at its first boot."""

    content: str | bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link that a machine finds on its disk at its first boot."""

    target: str


def write(upper: Path, path: str, file: File | Link, layers: Sequence[Path]) -> None:
    """Write a file to a disk; directories get the modes that they have in the layers."""
    target = upper
    parts = Path(path).parts
    for depth, part in enumerate(parts[:-1], 1):
        target = target / part
        if not target.exists():
            below = [layer.joinpath(*parts[:depth]) for layer in layers]
            modes = [directory.stat().st_mode & 0o7777 for directory in below if directory.is_dir()]
            target.mkdir()
            target.chmod(modes[-1] if modes else 0o755)
    if isinstance(file, Link):
        (target / parts[-1]).symlink_to(file.target)
        return
    ssh.write_private(target / parts[-1], file.content)
    (target / parts[-1]).chmod(file.mode)
