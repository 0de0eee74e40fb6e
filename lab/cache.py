"""Cache entries: directories named after the hash of what they are made from.

An entry is made under another name and then renamed, so it is complete or does not exist. A record
of every file's size and checksum shows whether an entry is damaged; it is then made again.
"""

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import mounts
from lab.progress import say

RECORD = "checksums.json"


def content_hash(parts: Iterable[str | bytes]) -> str:
    """Return a short hash of the parts and of the borders between them."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Entry:
    """One entry of the cache: its name, the hash of its recipe, and the files that it must have."""

    cache: Path
    name: str
    key: str
    files: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.cache / f"{self.name}-{self.key}"

    def present(self) -> bool:
        """Return whether the entry exists with files of the right sizes (fast)."""
        record = self._record()
        return record is not None and all(
            (self.path / file).is_file() and (self.path / file).stat().st_size == size
            for file, (size, _) in record.items()
        )

    def intact(self) -> bool:
        """Return whether the entry's files still have their checksums (reads them all)."""
        record = self._record()
        return self.present() and all(
            checksum(self.path / file) == sha256 for file, (_, sha256) in (record or {}).items()
        )

    def ensure(self, make: Callable[[Path], None], *, thorough: bool) -> Path:
        """Return the entry's path; `make(directory)` fills it if it is missing or damaged."""
        whole = self.intact if thorough else self.present
        if whole():
            return self.path
        with self._locked():
            if whole():
                return self.path
            if self.path.exists():
                say(f"  the cached {self.name} in {self.path} is damaged; making it again")
            # Resolved, because mounts are listed by their real paths.
            partial = self.path.resolve().with_name(f"{self.path.name}.partial")
            mounts.remove_tree(partial)
            partial.mkdir(parents=True)
            make(partial)
            sums = {
                file: [(partial / file).stat().st_size, checksum(partial / file)]
                for file in self.files
            }
            (partial / RECORD).write_text(json.dumps(sums, indent=1) + "\n")
            mounts.remove_tree(self.path)
            partial.rename(self.path)
        return self.path

    def _record(self) -> dict[str, tuple[int, str]] | None:
        try:
            record = json.loads((self.path / RECORD).read_text())
            return {file: (int(record[file][0]), str(record[file][1])) for file in self.files}
        except (OSError, ValueError, LookupError, TypeError):
            return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let only one process make this entry; the others wait and then find it."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_program(source: Path, target: Path) -> None:
    """Make `target` the same program, without a second copy on disk if possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
