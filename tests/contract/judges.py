"""Builds what judges kubelets' settings, kubeconfigs and keys by upstream code, and asks it."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import go, layout, toolchain

SOURCE = Path(__file__).parent / "kubelet_judge"
CREDENTIALS = Path(__file__).parent / "credentials_judge"
KUBELETS: Mapping[str, toolchain.ProgramSet] = {
    toolchain.minor_version(toolchain.KUBERNETES_VERSION): toolchain.KUBERNETES,
    **toolchain.KUBELETS,
}


def build(version: str, directory: Path) -> Path:
    """Return the judge for a minor version, built in a directory.

    Where the lab's programs were built on this machine it takes 20 s; elsewhere Go compiles what
    they share first, for some minutes.
    """
    return _build(SOURCE, KUBELETS[version], directory)


def _build(source: Path, programs: toolchain.ProgramSet, directory: Path) -> Path:
    for name in ("go.mod", "go.sum"):
        shutil.copy(toolchain.MODULES / programs.name / name, directory / name)
    for each in source.iterdir():
        shutil.copy(each, directory)
    program = directory / "judge"
    command = [go.ensure_go(layout.Layout.find().cache), "build", "-trimpath", "-buildvcs=false"]
    subprocess.run(
        [*command, "-ldflags", programs.ldflags, "-o", program],
        cwd=directory,
        env=go.environment(),
        check=True,
    )
    return program


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
