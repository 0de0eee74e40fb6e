"""Builds `kubelet_judge` for a kubelet that the lab can build, and asks it."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import go, layout, toolchain

SOURCE = Path(__file__).parent / "kubelet_judge"
KUBELETS: Mapping[str, toolchain.ProgramSet] = {
    toolchain.minor_version(toolchain.KUBERNETES_VERSION): toolchain.KUBERNETES,
    **toolchain.KUBELETS,
}


def build(version: str, directory: Path) -> Path:
    """Return the judge for a minor version, built in a directory.

    Where the lab's programs were built on this machine it takes 20 s; elsewhere Go compiles what
    they share first, for some minutes.
    """
    programs = KUBELETS[version]
    for name in ("go.mod", "go.sum"):
        shutil.copy(toolchain.MODULES / programs.name / name, directory / name)
    for source in SOURCE.iterdir():
        shutil.copy(source, directory)
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
    done = subprocess.run(
        [program],
        input=json.dumps({"documents": documents, "flags": flags}),
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said
