"""Makes kubelet.json from published Go modules: `python -m node_files.versions.generate`.

Types: k8s.io/kubelet/config/v1beta1/types.go and the types that it uses from k8s.io/api and
k8s.io/component-base. Defaults: SetDefaults_KubeletConfiguration in k8s.io/kubernetes
pkg/kubelet/apis/config/v1beta1/defaults.go. Flags: cmd/kubelet/app/options. Gates: pkg/features,
and the packages of libraries whose gates a kubelet has too.
It reads the first release of each minor version: patch releases change none of these, but for the
defaults of a few gates.

It needs `go` (1.18 or later) and the module proxy, and writes only the table.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MINORS = range(24, 38)
MODULES = {
    "k8s.io/api": "v0",
    "k8s.io/apiextensions-apiserver": "v0",
    "k8s.io/apiserver": "v0",
    "k8s.io/client-go": "v0",
    "k8s.io/component-base": "v0",
    "k8s.io/kubelet": "v0",
    "k8s.io/kubernetes": "v1",
}
EXTRACT = Path(__file__).parent / "extract"
TABLE = Path(__file__).parent / "kubelet.json"


class GenerateError(Exception):
    """The table can't be made; the message says what is missing."""


def generate() -> str:
    """Return the table as text.

    Raises:
        GenerateError: Go is not installed, a module can't be downloaded, or the extractor does not
            understand its source.
    """
    wanted = {
        f"1.{minor}": [f"{path}@{major}.{minor}.0" for path, major in MODULES.items()]
        for minor in MINORS
    }
    directories = _download([module for modules in wanted.values() for module in modules])
    request = {
        version: {module.partition("@")[0]: directories[module] for module in modules}
        for version, modules in wanted.items()
    }
    read = json.loads(_go(["run", "."], EXTRACT, json.dumps(request)))
    return table_text({version: read[version] for version in wanted})


def table_text(read: Mapping[str, Any]) -> str:
    """Return the table made from each version: one line per entry, with its changes."""
    versions = list(read)
    parts = [f'"versions": {json.dumps(versions)}']
    for part in ("fields", "flags", "gates"):
        by_version = {version: read[version][part] for version in versions}
        names = sorted({name for entries in by_version.values() for name in entries})
        lines = [f"{json.dumps(name)}: {_line(name, by_version)}" for name in names]
        parts.append(f'"{part}": {{\n  ' + ",\n  ".join(lines) + "\n }")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def _line(name: str, by_version: Mapping[str, Mapping[str, Any]]) -> str:
    versions = list(by_version)
    there = [version for version in versions if name in by_version[version]]
    if there != versions[versions.index(there[0]) : versions.index(there[-1]) + 1]:
        raise GenerateError(f"{name} was removed and came back, which the table can't express")
    entry: dict[str, Any] = {}
    if there[0] != versions[0]:
        entry["since"] = there[0]
    if there[-1] != versions[-1]:
        entry["until"] = there[-1]
    for key in sorted({key for version in there for key in by_version[version][name]}):
        values = [(version, by_version[version][name].get(key)) for version in there]
        changes = list(_changes(values))
        entry[key] = changes[0][1] if len(changes) == 1 else {"from": dict(changes)}
    return json.dumps(entry)


def _changes(values: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for index, (version, value) in enumerate(values):
        if index == 0 or value != values[index - 1][1]:
            yield version, value


def _download(modules: Sequence[str]) -> dict[str, str]:
    """Return the directory of each module, checked against Go's checksum database."""
    printed = _go(["mod", "download", "-json", *modules], Path("/"))
    decoder = json.JSONDecoder()
    directories: dict[str, str] = {}
    while printed := printed.lstrip():
        module, end = decoder.raw_decode(printed)
        printed = printed[end:]
        directories[f"{module['Path']}@{module['Version']}"] = module["Dir"]
    return directories


def _go(arguments: Sequence[str], directory: Path, stdin: str = "") -> str:
    if shutil.which("go") is None:
        raise GenerateError("go is not installed; install Go 1.18 or later")
    environ = {**os.environ, "GOFLAGS": "", "GOWORK": "off", "GO111MODULE": "on"}
    done = subprocess.run(
        ["go", *arguments],
        cwd=directory,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"{done.stderr} {done.stdout}".strip()[-600:]
        raise GenerateError(f"go {' '.join(arguments[:2])} failed: {said}")
    return done.stdout


if __name__ == "__main__":
    try:
        TABLE.write_text(generate())
    except GenerateError as error:
        sys.exit(str(error))
