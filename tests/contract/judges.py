"""Builds what judges kubelets' settings, kubeconfigs and keys by upstream code, and asks it."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import go, layout, toolchain
from node_files import versions
from tests.contract import kubelet_modules

SOURCE = Path(__file__).parent / "kubelet_judge"
CREDENTIALS = Path(__file__).parent / "credentials_judge"
KUBELETS: Mapping[str, toolchain.ProgramSet] = {
    toolchain.minor_version(toolchain.KUBERNETES_VERSION): toolchain.KUBERNETES,
    **toolchain.KUBELETS,
}


def build(version: str, directory: Path) -> Path:
    """Return the judge for a minor version, built in a directory.

    Where the lab's programs were built on this machine it takes 20 s for one of their versions;
    for another, and elsewhere, Go compiles what they share first, for some minutes.
    """
    tags = _reached(version)
    if version in KUBELETS:
        return _build(SOURCE, KUBELETS[version], directory, f"-tags={','.join(tags)}")
    kubelet_modules.write(version, directory, _compiler())
    ldflags = toolchain.kubernetes_ldflags(kubelet_modules.RELEASES[version])
    # Nothing else uses what is compiled, so it is compiled fast, and without cloud providers.
    options = (f"-tags={','.join([*tags, 'providerless'])}", "-gcflags=all=-N -l -dwarf=false")
    return _compile(SOURCE, directory, ldflags, options, flags="-mod=mod")


def _reached(version: str) -> list[str]:
    """Return build tags such as k1.28: that version, and all later ones."""
    all_of_them = versions.SUPPORTED_VERSIONS
    return [f"k{each}" for each in all_of_them[: all_of_them.index(version) + 1]]


def _build(source: Path, programs: toolchain.ProgramSet, directory: Path, *options: str) -> Path:
    for name in ("go.mod", "go.sum"):
        shutil.copy(toolchain.MODULES / programs.name / name, directory / name)
    return _compile(source, directory, programs.ldflags, options, flags=go.FLAGS)


def _compile(
    source: Path, directory: Path, ldflags: str, options: Sequence[str], *, flags: str
) -> Path:
    for each in source.iterdir():
        shutil.copy(each, directory)
    program = directory / "judge"
    command = [_compiler(), "build", "-trimpath", "-buildvcs=false", *options]
    subprocess.run(
        [*command, "-ldflags", ldflags, "-o", program],
        cwd=directory,
        env={**go.environment(), "GOFLAGS": flags},
        check=True,
    )
    return program


def _compiler() -> Path:
    return go.ensure_go(layout.Layout.find().cache)


def ask(
    program: Path, documents: Mapping[str, str], flags: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what the judge says of configurations and of arguments, by their names."""
    return ask_about(program, {"documents": documents, "flags": flags})


def build_credentials(directory: Path) -> Path:
    """Return the judge of kubeconfigs and keys, built in a directory with the lab's client-go."""
    return _build(CREDENTIALS, toolchain.KUBERNETES, directory)


def ask_about(
    program: Path, question: Mapping[str, Any], directory: Path | None = None
) -> dict[str, Any]:
    """Return what a judge says; it runs in a directory."""
    done = subprocess.run(
        [program],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
        cwd=directory,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said
