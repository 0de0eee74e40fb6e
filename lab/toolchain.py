"""The programs that the lab runs, and what each is built from; `lab/builds.py` builds them.

Each program set is one cache entry, named after the hash of its module files and flags, with
    bin/             what goes on the PATH of a user's shell
    node/            a file tree that a node gets beneath its disk
    control-plane/   the same for the control-plane machine
The names in one set are one file on disk.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.cache import Entry, content_hash
from lab.layout import CHECKOUT
from lab.plugin_choice import own_plugins

KUBERNETES_VERSION = "1.37.2"
OLDER_KUBELETS = ("1.35.8",)
PULUMI_VERSION = "3.259.0"
# The module's version names commit f47bc2d6f199 of pulumi/pulumi-kubernetes, whose tag is v4.25.0.
KUBERNETES_PROVIDER_VERSION = "4.25.0"
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


def kubernetes_ldflags(version: str) -> str:
    """Return the linker's flags with which a program of Kubernetes knows its version."""
    return _set_variables(_kubernetes_variables(version))


@dataclass(frozen=True)
class ProgramSet:
    """One module of `toolchain/`, and the programs that its binary is.

    Attributes:
        package: what `go build` is given.
        ldflags: the linker's flags; the version is in them.
        bin, node, control_plane: the names under which each place gets the binary.
        embeds: a module, and the files of it that the main package embeds by their names.
        last: built after the others, by itself.
    """

    name: str
    package: str
    ldflags: str
    bin: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    control_plane: tuple[str, ...] = ()
    embeds: tuple[str, tuple[str, ...]] | None = None
    last: bool = False

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
    ldflags=kubernetes_ldflags(KUBERNETES_VERSION),
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
        ldflags=kubernetes_ldflags(version),
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
_PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
KUBERNETES_PROVIDER = ProgramSet(
    name="pulumi-kubernetes",
    package=".",
    ldflags=_set_variables(
        {f"{_PROVIDER_MODULE}/pkg/version.Version": KUBERNETES_PROVIDER_VERSION}
    ),
    bin=("pulumi-resource-kubernetes",),
    embeds=(
        _PROVIDER_MODULE,
        tuple(
            f"cmd/pulumi-resource-kubernetes/{name}"
            for name in ("schema.json", "terraform-mapping.json")
        ),
    ),
    # It takes the most memory, and a quarter of its packages are already compiled for the engine.
    last=True,
)


def pulumi_fits(version: str) -> bool:
    """Return whether an engine that calls itself `version` does what ours does, or more."""
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
    """Return the sets that this machine has to build: nothing that is installed and fits."""
    engine = () if pulumi_on_path() else (PULUMI,)
    provider = (KUBERNETES_PROVIDER,) if own_plugins(os.environ) else ()
    return (KUBERNETES, ETCD, *engine, *provider)


def find(cache: Path) -> Toolchain | None:
    """Return the toolchain if it is complete; builds nothing."""
    found = [(programs, programs.entry(cache)) for programs in program_sets()]
    if not all(entry.present() for _, entry in found):
        return None
    pulumi = pulumi_on_path()
    path = [entry.path / "bin" for programs, entry in found if programs.bin]
    return Toolchain(
        path=(*path, *([pulumi] if pulumi else [])),
        node=tuple(entry.path / "node" for programs, entry in found if programs.node),
        control_plane=tuple(
            entry.path / "control-plane" for programs, entry in found if programs.control_plane
        ),
    )
