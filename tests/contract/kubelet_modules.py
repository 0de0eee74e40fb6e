"""The Go modules of kubelets that the lab does not build, for the judges of their settings."""

import re
import shutil
from pathlib import Path

from lab import go

# The newest release of each minor version of which the Go module proxy has all modules.
RELEASES = {
    "1.24": "1.24.17",
    "1.25": "1.25.16",
    "1.26": "1.26.15",
    "1.27": "1.27.16",
    "1.28": "1.28.15",
    "1.29": "1.29.15",
    "1.30": "1.30.14",
    "1.31": "1.31.13",
    "1.32": "1.32.13",
    "1.33": "1.33.13",
    "1.34": "1.34.11",
    "1.36": "1.36.4",
}
# Modules of which a kubelet has nothing, and of some releases the proxy has nothing either.
UNUSED = ("kube-proxy", "sample-apiserver", "sample-cli-plugin", "sample-controller")
# In place of one that the checksum database does not have.
OTHERS = {"k8s.io/legacy-cloud-providers v0.27.16": "k8s.io/legacy-cloud-providers v0.26.15"}
LEAST_GO = 22  # the judge's own code


def write(version: str, directory: Path, compiler: Path) -> None:
    """Write the go.mod and go.sum with which a minor version's release was built.

    They are those of k8s.io/kubernetes. What stands beside it in its repository, in staging, comes
    from the proxy; Go adds the sums of that, which it checks with the checksum database.
    """
    release = RELEASES[version]
    source = go.download(compiler, f"k8s.io/kubernetes@v{release}", Path("/"), flags="")
    (directory / "go.mod").write_text(_go_mod((source / "go.mod").read_text(), release))
    shutil.copyfile(source / "go.sum", directory / "go.sum")
    for name in UNUSED:
        (directory / name).mkdir()
        (directory / name / "go.mod").write_text(f"module k8s.io/{name}\n")


def _go_mod(text: str, release: str) -> str:
    text = re.sub(r"(?m)^module .*", "module kubelet_judge", text)
    text = re.sub(r"\./staging/src/(\S+)", rf"\1 v0{release.removeprefix('1')}", text)
    text = re.sub(rf"(k8s\.io/({'|'.join(UNUSED)}) =>) .*", r"\1 ./\2", text)
    for missing, other in OTHERS.items():
        text = text.replace(missing, other)
    least = re.compile(r"(?m)^go 1\.(\d+).*")
    text = least.sub(lambda line: line[0] if int(line[1]) >= LEAST_GO else f"go 1.{LEAST_GO}", text)
    return f"{text}\nrequire k8s.io/kubernetes v{release}\n"
