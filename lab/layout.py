"""Where the lab keeps its files: only the paths, not their content.

There are two directories: the lab's own (`LAB_DIR`, or `.lab` in the checkout), which belongs to
one checkout, and the cache (`LAB_CACHE`), which all labs of a machine share.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_CACHE = "/var/cache/kubelet-tls-bootstrap"


@dataclass(frozen=True)
class Layout:
    """The lab's directory, the cache, and the paths of everything in them."""

    directory: Path
    cache: Path

    @classmethod
    def find(
        cls, directory: Path | None = None, environ: Mapping[str, str] = os.environ
    ) -> "Layout":
        """Return the layout for `directory`, or else `LAB_DIR`, or else `.lab` in the checkout.

        Raises:
            LabError: a path has a character with a special meaning in overlay mount options.
        """
        chosen = directory or Path(environ.get("LAB_DIR") or CHECKOUT / ".lab")
        cache = Path(environ.get("LAB_CACHE") or DEFAULT_CACHE)
        for name, path in (("LAB_DIR", chosen), ("LAB_CACHE", cache)):
            if set(str(path.absolute())) & set(":,\\ \n\t\"'"):
                raise LabError(
                    f"{name} {str(path)!r} has a colon, comma, quote, backslash or white space, "
                    "which overlay mounts can't take",
                    f"choose another path with {name}=",
                )
        return cls(chosen.absolute(), cache.absolute())

    @property
    def machines(self) -> Path:
        return self.directory / "machines"

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def ssh_key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def pulumi(self) -> Path:
        return self.directory / "pulumi"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def everything(self) -> tuple[Path, ...]:
        """Everything that the lab writes in its directory: what `down --disks` may remove."""
        return (
            self.machines,
            self.pki,
            self.ca,
            self.kubeconfig,
            self.ssh_key,
            self.ssh_key.with_suffix(".pub"),
            self.known_hosts,
            self.pulumi,
            self.log,
            self.lock,
        )
