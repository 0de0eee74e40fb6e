"""Which kubelet a node has: the toolchain's, or an older one, which is built on request."""

import re
from collections.abc import Iterable
from pathlib import Path

from lab import network, toolchain
from lab.errors import LabError
from lab.machine import Machine

DEFAULT = toolchain.minor_version(toolchain.KUBERNETES_VERSION)
VERSIONS = (DEFAULT, *toolchain.KUBELETS)


def asked_for(options: Iterable[str]) -> dict[int, str]:
    """Return minor versions by the node's number, from options such as `node-3=1.35`.

    Raises:
        LabError: an option is malformed, or names a version that the lab can't build.
    """
    versions: dict[int, str] = {}
    for option in options:
        match = re.fullmatch(r"node-([1-9][0-9]{0,2})=(.*)", option)
        if not match or int(match[1]) > network.MOST_NODES:
            raise LabError(
                f"--kubelet {option!r} does not start with node-1= to node-{network.MOST_NODES}=",
                f"give a node and a version, for example node-3={VERSIONS[-1]}",
            )
        if match[2] not in VERSIONS:
            raise LabError(
                f"--kubelet {option!r}: the lab has no kubelet {match[2]!r}",
                f"give one of {', '.join(VERSIONS)}, or pin another in lab/toolchain/",
            )
        versions[int(match[1])] = match[2]
    return versions


def check(node: Machine, version: str) -> None:
    """Raise LabError if the node exists with a kubelet of another version."""
    found = (node.kubelet() or DEFAULT) if node.exists() else version
    if found != version:
        raise LabError(
            f"{node.name} already exists with kubelet {found}, not {version}; a machine keeps the"
            " programs that it was made with",
            "choose another node, or remove the machines first: python -m lab down --disks",
        )


def find(cache: Path, version: str) -> tuple[Path, ...] | None:
    """Return the file trees with a node's programs of that version, or None if not built yet."""
    if version in toolchain.KUBELETS:
        entry = toolchain.KUBELETS[version].entry(cache)
        return (entry.path / "node",) if entry.present() else None
    programs = toolchain.find(cache)
    return programs.node if programs else None
