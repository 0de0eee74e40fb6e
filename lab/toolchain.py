"""The programs that the lab runs, built from the Go modules in `toolchain/`.

Each program set is one cache entry, named after the hash of its module files and flags, with
    bin/             what goes on the PATH of a user's shell
    node/            a file tree that a node gets beneath its disk
    control-plane/   the same for the control-plane machine
The names in one set are one file on disk.
"""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import go
from lab.cache import Entry, content_hash, copy_program
from lab.layout import CHECKOUT
from lab.processes import last_lines, run_logged
from lab.progress import step

KUBERNETES_VERSION = "1.37.2"
OLDER_KUBELETS = ("1.35.8",)
PULUMI_VERSION = "3.259.0"
MODULES = CHECKOUT / "lab/toolchain"


def _set_variables(variables: Mapping[str, str]) -> str:
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in variables.items())])


def minor_version(version: str) -> str:
    """Return `1.37` for `1.37.2`."""
    return version.rpartition(".")[0]


def _kubernetes_variables(version: str) -> dict[str, str]:
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    # The servers read the first, kubectl and every client's User-Agent the second.
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": values[name] for package in packages for name in values}


@dataclass(frozen=True)
class ProgramSet:
    """One module of `toolchain/`, and the programs that its binary is.

    Attributes:
        package: what `go build` is given.
        ldflags: the linker's flags; the version is in them.
        bin, node, control_plane: the names under which each place gets the binary.
    """

    name: str
    package: str
    ldflags: str
    bin: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    control_plane: tuple[str, ...] = ()

    def entry(self, cache: Path) -> Entry:
        """Return the cache entry for the module files and flags as they are now."""
        module = MODULES / self.name
        sources = sorted(path for path in module.iterdir() if path.is_file())
        recipe: list[str | bytes] = [self.package, self.ldflags, *self.files()]
        for source in sources:
            recipe += [source.name, source.read_bytes()]
        return Entry(cache, self.name, content_hash(recipe), tuple(self.files()))

    def files(self) -> list[str]:
        return [
            *(f"bin/{name}" for name in self.bin),
            *(f"node/usr/bin/{name}" for name in self.node),
            *(f"control-plane/usr/bin/{name}" for name in self.control_plane),
        ]


KUBERNETES = ProgramSet(
    name="kubernetes",
    package=".",
    ldflags=_set_variables(_kubernetes_variables(KUBERNETES_VERSION)),
    bin=("kubectl",),
    node=("kubelet",),
    control_plane=("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
)
ETCD = ProgramSet(name="etcd", package=".", ldflags=_set_variables({}), control_plane=("etcd",))
# By minor version: kubelets that a node can have instead of the one in KUBERNETES.
KUBELETS = {
    minor_version(version): ProgramSet(
        name=f"kubelet-{minor_version(version)}",
        package=".",
        ldflags=_set_variables(_kubernetes_variables(version)),
        node=("kubelet",),
    )
    for version in OLDER_KUBELETS
}
PULUMI = ProgramSet(
    name="pulumi",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    ldflags=_set_variables(
        {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{PULUMI_VERSION}"}
    ),
    bin=("pulumi",),
)


def pulumi_fits(version: str) -> bool:
    """Tell whether an engine that calls itself `version` does what ours does, or more."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    needed = tuple(int(part) for part in PULUMI_VERSION.split("."))
    found = tuple(int(part) for part in match.groups()) if match else (0,)
    return found[0] == needed[0] and found >= needed


def pulumi_on_path() -> Path | None:
    """Return the directory of a fitting `pulumi` on PATH, or None."""
    found = shutil.which("pulumi")
    if found is None:
        return None
    said = subprocess.run(
        [found, "version"],
        env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return Path(found).parent if pulumi_fits(said.strip()) else None


@dataclass(frozen=True)
class Toolchain:
    """The built programs: directories for PATH, and file trees for the machines."""

    path: tuple[Path, ...]
    node: tuple[Path, ...]
    control_plane: tuple[Path, ...]


def program_sets() -> tuple[ProgramSet, ...]:
    """Return the sets that this machine has to build: no engine where a fitting one is."""
    return (KUBERNETES, ETCD) if pulumi_on_path() else (KUBERNETES, ETCD, PULUMI)


def builders(cache: Path, log: Path, *, thorough: bool) -> list[Callable[[], Path]]:
    """Return a function for each set that finds or builds it; they may run side by side."""
    return [
        functools.partial(ensure, programs, cache, log, thorough=thorough)
        for programs in program_sets()
    ]


def ensure_kubelets(versions: Iterable[str], cache: Path, log: Path, *, thorough: bool) -> None:
    """Build the older kubelets of these minor versions, where they are missing, one by one.

    Not beside other builds: one takes up to 1.5 GB of memory, and all cores by itself.
    """
    for version in sorted(versions):
        ensure(KUBELETS[version], cache, log, thorough=thorough)


def ensure(programs: ProgramSet, cache: Path, log: Path, *, thorough: bool) -> Path:
    """Return the directory of a program set; builds it where it is missing or damaged.

    Args:
        programs: which.
        cache: the cache's directory.
        log: a directory for the build's log.
        thorough: compare checksums, not only sizes.
    """

    def build(directory: Path) -> None:
        log_file = log / f"build-{programs.name}.log"
        binary = directory / programs.name
        compiler = go.ensure_go(cache)
        with step(
            f"building {programs.name} from Go modules", lambda: last_lines(log_file, 1)[:80]
        ):
            flags = ["-v", "-trimpath", "-buildvcs=false", "-ldflags", programs.ldflags]
            run_logged(
                [compiler, "build", *flags, "-o", binary, programs.package],
                log_file,
                env=go.environment(),
                cwd=MODULES / programs.name,
            )
        for file in programs.files():
            copy_program(binary, directory / file)
        binary.unlink()

    return programs.entry(cache).ensure(build, thorough=thorough)


def find(cache: Path) -> Toolchain | None:
    """Return the toolchain if all of it is there, without building or running much."""
    pulumi = pulumi_on_path()
    kubernetes, etcd = KUBERNETES.entry(cache), ETCD.entry(cache)
    wanted = [kubernetes, etcd] if pulumi else [kubernetes, etcd, PULUMI.entry(cache)]
    if not all(entry.present() for entry in wanted):
        return None
    return Toolchain(
        path=(kubernetes.path / "bin", pulumi or wanted[-1].path / "bin"),
        node=(kubernetes.path / "node",),
        control_plane=(kubernetes.path / "control-plane", etcd.path / "control-plane"),
    )
