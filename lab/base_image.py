"""The base of every machine's disk, which is an overlay: Debian 12, and the lab's settings.

It has two cache entries, each named after the hash of its recipe. `debian` takes a minute to make
and changes only with the package list. `settings`, over it, takes a second and holds the files of
`machines/base/` and what `machines/finish_base.sh` does.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab import container_image, mounts
from lab.cache import Entry, content_hash
from lab.layout import CHECKOUT
from lab.processes import last_lines, run_logged
from lab.progress import step

SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "iputils-ping",
    "acl",
    "acct",
    "procps",
    "iptables",
    "conntrack",
    "containerd",
    "crun",
    "containernetworking-plugins",
    "busybox-static",
    "ca-certificates",
    "kmod",
    "python3",  # for the benchmark's comparison: Ansible needs it on the machine
)
DEFAULT_MIRROR = "http://deb.debian.org/debian"
FILES = CHECKOUT / "lab/machines/base"
FINISH = CHECKOUT / "lab/machines/finish_base.sh"
# Files whose absence shows that a person or a full disk damaged the entry.
WITNESSES = (
    "root/usr/lib/systemd/systemd",
    "root/usr/bin/containerd",
    "root/usr/sbin/sshd",
    "root/usr/bin/crun",
)
SETTINGS_WITNESSES = (
    "root/etc/containerd/config.toml",
    "root/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
)
# In namespaces of its own, a tool that is killed leaves no mount and no process behind.
IN_NAMESPACES = (
    "unshare",
    *("--mount", "--propagation", "private", "--mount-proc"),
    *("--pid", "--fork", "--kill-child"),
)
RUN_FINISH = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=root,workdir=work" merged
cd merged
mount -t proc proc proc
mount -t tmpfs run run
exec chroot . sh -c "$0"
"""


def mirror(environ: Mapping[str, str] = os.environ) -> str:
    """Return the mirror of Debian's packages: `LAB_DEBIAN_MIRROR`, or else Debian's own."""
    return environ.get("LAB_DEBIAN_MIRROR") or DEFAULT_MIRROR


def debian(cache: Path) -> Entry:
    """Return the cache entry for Debian with the packages that machines need."""
    return Entry(cache, "debian", content_hash([SUITE, *PACKAGES]), WITNESSES)


def settings(cache: Path) -> Entry:
    """Return the cache entry for what the lab puts over Debian."""
    recipe: list[str | bytes] = [debian(cache).key, FINISH.read_bytes()]
    recipe += [container_image.NAME, *container_image.APPLETS]
    for path in _files():
        recipe += [str(path.relative_to(FILES)), path.read_bytes()]
    return Entry(cache, "settings", content_hash(recipe), SETTINGS_WITNESSES)


def _files() -> list[Path]:
    return sorted(path for path in FILES.rglob("*") if path.is_file())


def present(cache: Path) -> bool:
    """Return whether the image exists, without reading all of it."""
    return debian(cache).present() and settings(cache).present()


def ensure(cache: Path, log: Path, *, thorough: bool) -> tuple[Path, Path]:
    """Return the image's layers, top one first; makes what is missing or damaged."""

    def make_debian(directory: Path) -> None:
        log_file = log / "debootstrap.log"
        with step("base image: debootstrap", lambda: last_lines(log_file, 1)[:80]):
            include = f"--include={','.join(PACKAGES)}"
            target = str(directory / "root")
            command = ["debootstrap", "--variant=minbase", include, SUITE, target, mirror()]
            run_logged([*IN_NAMESPACES, *command], log_file)

    lower = debian(cache).ensure(make_debian, thorough=thorough) / "root"

    def make_settings(directory: Path) -> None:
        with step("base image: settings and container image"):
            _finish(directory, lower, log / "base-image.log")

    return settings(cache).ensure(make_settings, thorough=thorough) / "root", lower


def _finish(directory: Path, lower: Path, log_file: Path) -> None:
    root = directory / "root"
    for part in ("root", "work", "merged"):
        (directory / part).mkdir()
        (directory / part).chmod(0o755)
    for path in _files():
        target = root / path.relative_to(FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755 if target.parent.name.endswith("bin") else 0o644)
    (root / "image.tar").write_bytes(container_image.archive((lower / "bin/busybox").read_bytes()))
    command = [*IN_NAMESPACES, "sh", "-euc", RUN_FINISH, FINISH.read_text(), str(lower)]
    run_logged(command, log_file, cwd=directory)
    for part in ("work", "merged"):
        mounts.remove_tree(directory / part)
