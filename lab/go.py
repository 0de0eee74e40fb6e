"""A Go release that is new enough for the toolchain's modules.

Debian's Go is older, but it can download the release that we need: Go publishes its toolchains as
modules (https://go.dev/doc/toolchain), checked against the checksum database like any module.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.cache import Entry
from lab.errors import LabError
from lab.progress import step

RELEASE = "1.26.8"
NEEDED = (1, 26)
FLAGS = "-mod=readonly"
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
        "GOFLAGS": FLAGS,
        "GOOS": "linux",
        "GOARCH": "amd64",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    environ.setdefault("HOME", "/root")
    return environ


def caches(environ: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """Return where Go keeps what it has compiled, and the modules (`go help environment`)."""
    home = Path(environ.get("HOME") or "/root")
    compiled = Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "go-build"
    modules = Path(environ.get("GOPATH") or home / "go") / "pkg/mod"
    return (
        Path(environ.get("GOCACHE") or compiled),
        Path(environ.get("GOMODCACHE") or modules),
    )


def ensure_go(cache: Path) -> Path:
    """Return the path of a suitable `go`; downloads the release into the cache if it is needed.

    Raises:
        LabError: Go is not installed, so there is nothing to download the release with.
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
            # Outside any module, and without flags that an old Go does not know.
            source = download(found, MODULE, Path("/"), flags="")
            shutil.copytree(source, directory, dirs_exist_ok=True, symlinks=True)
            # Module archives keep no modes.
            for program in (*directory.glob("bin/*"), *directory.glob("pkg/tool/**/*")):
                program.chmod(0o755)
            directory.chmod(0o755)

    return entry.ensure(fetch, thorough=False) / "bin/go"


def download(go: str | Path, module: str, directory: Path, flags: str) -> Path:
    """Return the directory of a module's files; fetches them if necessary.

    Args:
        go: the compiler.
        module: its path; with a version, or with that of the go.mod in `directory`.
        directory: where `go` runs.
        flags: GOFLAGS.

    Raises:
        LabError: the module can't be fetched.
    """
    done = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=directory,
        env={**environment(), "GOFLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, str] = {}
    with contextlib.suppress(ValueError):
        answer = json.loads(done.stdout)
    if "Dir" in answer:
        return Path(answer["Dir"])
    said = answer.get("Error") or f"{done.stdout} {done.stderr}".strip()
    raise known_problem(said) or LabError(
        f"go mod download {module} failed: {said[-400:]}",
        f"check the network and GOPROXY, or install Go {NEEDED[0]}.{NEEDED[1]} or later",
    )


def known_problem(said: str) -> LabError | None:
    """Return what a user can do about what `go` printed, or None for any other failure.

    A proxy that has lost a module answers for each one that is missing; the first is named.
    """
    missing = re.search(r"([^\s\"]+)@(v[^\s/:]+): (.+)", said)
    if missing is None and "signal: killed" not in said:
        return None
    if missing is None:
        return LabError(
            "the kernel killed the compiler, most likely because memory ran out",
            "free memory or add swap, and run the same command again; it continues from there",
        )
    module, version, reason = missing.groups()
    gone = re.search(r"\b(?:403|404|410) [A-Z]", reason) or "unknown revision" in reason
    return LabError(
        f"the Go module {module} {version} "
        f"{'is no longer served' if gone else 'could not be fetched'}: {reason.strip()}",
        "choose a proxy that has it with GOPROXY=, or copy $(go env GOMODCACHE)/cache/download "
        "from a machine that has built the lab and set GOPROXY=file://THAT_COPY"
        if gone
        else "check the network and GOPROXY, then run the same command again",
    )
