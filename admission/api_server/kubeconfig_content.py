"""What a kubeconfig holds or names as a file, and why it can't be used."""

from dataclasses import dataclass, field
from pathlib import Path

# What to do where one file is needed.
MERGE = "give one with all in it: kubectl config view --flatten --minify >FILE"


class Unusable(ValueError):
    """A kubeconfig can't be used; the message says why and what to do, and quotes no secret."""


class Absent(Unusable):
    """It names a file that can't be read here."""


@dataclass(frozen=True)
class Content:
    """What stands in a kubeconfig, or in a file that it names.

    Nothing of it is ever quoted: who mixes the two up has a key where a path should be.
    """

    name: str = ""
    data: bytes | None = field(default=None, repr=False)
    path: str | None = None

    def read(self, directory: Path) -> bytes:
        """Return it; paths are relative to the directory.

        Raises:
            Absent: the file can't be read.
        """
        if self.path is None:
            return self.data or b""
        try:
            return Path(directory, self.path).read_bytes()
        except OSError as error:
            raise Absent(
                f"names a file as {self.name} that can't be read: {error.strerror}; correct that"
            ) from None

    def __bool__(self) -> bool:
        return bool(self.data or self.path)
