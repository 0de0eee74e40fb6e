"""The resident approver's image, with the content of the Containerfile, made without a registry.

Python and its libraries come from the machines' Debian, and what `admission` needs comes from PyPI,
once. The format is that of `docker save`, as for the lab's other image.
"""

import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lab import base_image, container_image, mounts
from lab.cache import Entry, content_hash
from lab.errors import LabError
from lab.layout import CHECKOUT
from lab.processes import run_logged
from lab.progress import step
from lab.waiting import side_by_side

NAME = "docker.io/lab/approver:1"
PYTHON = "3.11"  # of the base image's Debian
SOURCES = CHECKOUT / "admission"
REQUIREMENTS = SOURCES / "requirements.txt"
DIRECTORIES = (f"usr/lib/python{PYTHON}", "usr/share/zoneinfo/UTC", "etc/ssl/openssl.cnf")
# Debian's packages with the libraries that Python and the wheels need.
LIBRARIES = (
    *("libc6", "libgcc-s1", "libssl3", "libexpat1", "zlib1g", "libffi8", "libbz2-1.0"),
    *("liblzma5", "libuuid1", "libcrypt1"),
)
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
CONFIG: dict[str, object] = {
    "Entrypoint": [f"/usr/bin/python{PYTHON}", "-m", "admission"],
    "Cmd": ["serve"],
    "Env": ["PATH=/usr/bin", "PYTHONPATH=/packages", "PYTHONUNBUFFERED=1"],
    "User": "65532:65532",
    "WorkingDir": "/app",
}


def _packages(cache: Path) -> Entry:
    recipe: list[str | bytes] = [REQUIREMENTS.read_bytes(), PYTHON, *PLATFORMS]
    return Entry(cache, "approver-packages", content_hash(recipe), ("packages/aiohttp/web.py",))


def _image(cache: Path) -> Entry:
    recipe: list[str | bytes] = [base_image.debian(cache).key, _packages(cache).key, NAME]
    recipe += [Path(__file__).read_bytes()]
    for path in _sources():
        recipe += [str(path.relative_to(SOURCES)), path.read_bytes()]
    return Entry(cache, "approver-image", content_hash(recipe), ("image.tar",))


def _sources() -> list[Path]:
    return sorted(SOURCES.rglob("*.py"))


def ensure(cache: Path, log: Path) -> Path:
    """Return the path of the image's tar; makes it if it is missing."""

    def install(directory: Path) -> None:
        with step("approver's image: packages"):
            target = directory / "packages"
            options = [f"--platform={platform}" for platform in PLATFORMS]
            command = [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
                *("--disable-pip-version-check", "--only-binary=:all:", "--implementation=cp"),
                *(f"--python-version={PYTHON}", *options, f"--target={target}"),
                *("-r", str(REQUIREMENTS)),
            ]
            run_logged(command, log / "approver-packages.log")

    def pack(directory: Path) -> None:
        debian = base_image.debian(cache).path / "root"
        packages = _packages(cache).ensure(install, thorough=False) / "packages"
        with step("approver's image: archive"):
            archive = container_image.pack(NAME, _layer(debian, packages), CONFIG)
            (directory / "image.tar").write_bytes(archive)

    image = _image(cache).ensure(pack, thorough=False)
    for other in cache.glob("approver-image-*"):
        if other != image:  # made from an older `admission`
            mounts.remove_tree(other)
    return image / "image.tar"


def _layer(debian: Path, packages: Path) -> bytes:
    """Return the only layer: Debian's Python, the packages, and `admission`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("lib", "lib64"):
            tar.add(debian / name, name, filter=_plain)  # links into usr
        tar.add(debian / f"usr/bin/python{PYTHON}", f"usr/bin/python{PYTHON}", filter=_plain)
        for name in (*DIRECTORIES, *_library_files(debian)):
            tar.add(debian / name, name, filter=_plain)
        tar.add(packages, "packages", filter=_plain)
        for path in _sources():
            tar.add(path, f"app/admission/{path.relative_to(SOURCES)}", filter=_plain)
    return stream.getvalue()


def _library_files(debian: Path) -> list[str]:
    """Return the shared libraries of the packages, and the links to them, below `usr`."""
    found = set()
    for package in LIBRARIES:
        lists = [*(debian / "var/lib/dpkg/info").glob(f"{package}*.list")]
        for name in (name for path in lists for name in path.read_text().splitlines()):
            below = name.lstrip("/")
            below = below if below.startswith("usr/") else f"usr/{below}"
            is_library = ".so" in Path(below).name and "/gconv/" not in below
            if is_library and (debian / below).is_file():
                found.add(below)
    return sorted(found)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Remove what would differ from one build to the next."""
    if member.isdir() and member.name.endswith("/test"):
        return None
    member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
    return member


def load(image: Path, commands: Mapping[str, Sequence[str]]) -> None:
    """Import the image on nodes.

    Args:
        image: its archive.
        commands: by the node's name, the start of an `ssh` command line to it.

    Raises:
        LabError: a node can't import it.
    """
    side_by_side([partial(_import, image, name, command) for name, command in commands.items()])


def _import(image: Path, name: str, ssh_command: Sequence[str]) -> None:
    command = "ctr --namespace k8s.io images import --snapshotter native -"
    with image.open("rb") as stream:
        done = subprocess.run(
            [*ssh_command, "--", command], stdin=stream, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise LabError(
            f"{name} can't import {image}: {done.stderr.strip()[-300:]}",
            f"look at it: python -m lab logs {name} containerd",
        )
