"""A Go release that is new enough for the toolchain's modules.

Debian's Go is older, but it can download the release that we need: Go publishes its toolchains as
modules (https://go.dev/doc/toolchain), checked against the checksum database like any module.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.cache import Entry
from lab.errors import LabError
from lab.progress import step

RELEASE = "1.26.8"
NEEDED = (1, 26)
MODULE = f"golang.org/toolchain@v0.0.1-go{RELEASE}.linux-amd64"


def version_of(text: str) -> tuple[int, int]:
    """Return major and minor from the output of `go version`; (0, 0) if it is not a release."""
    match = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def environment() -> dict[str, str]:
    """Return the environment for `go`: reproducible, and independent of the user's settings.

    Without cgo the programs are static, so they run on every machine that uses the cache.
    """
    environ = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOOS": "linux",
        "GOARCH": "amd64",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    environ.setdefault("HOME", "/root")
    return environ


def ensure_go(cache: Path) -> Path:
    """Return the path of a suitable `go`; downloads the release into the cache if there is none.

    Raises:
        LabError: there is no Go at all to download one with.
    """
    found = shutil.which("go")
    if found is None:
        raise LabError(
            "go is not installed, and the lab builds its programs from Go modules",
            "run: apt-get install --yes --no-install-recommends golang-go (any version will do)",
        )
    said = subprocess.run(
        [found, "version"], env=environment(), capture_output=True, text=True, check=False
    ).stdout
    if version_of(said) >= NEEDED:
        return Path(found)
    entry = Entry(cache, "go", RELEASE, ("bin/go", "pkg/tool/linux_amd64/compile"))

    def fetch(directory: Path) -> None:
        with step(f"fetching Go {RELEASE}: {said.split()[2] if said else found} is too old"):
            shutil.copytree(_download(found), directory, dirs_exist_ok=True, symlinks=True)
            # Module archives keep no modes.
            for program in (*directory.glob("bin/*"), *directory.glob("pkg/tool/**/*")):
                program.chmod(0o755)
            directory.chmod(0o755)

    return entry.ensure(fetch, thorough=False) / "bin/go"


def _download(go: str) -> Path:
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        # Outside any module, and without a flag that an old Go does not know.
        cwd="/",
        env={**environment(), "GOFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return Path(json.loads(done.stdout)["Dir"])
    except (ValueError, KeyError) as error:
        said = f"{done.stdout} {done.stderr}".strip()[-400:]
        raise LabError(
            f"go mod download {MODULE} failed: {said}",
            f"check the network and GOPROXY, or install Go {NEEDED[0]}.{NEEDED[1]} or later",
        ) from error
