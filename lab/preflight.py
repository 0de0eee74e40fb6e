"""What the lab needs of its machine, checked before anything is made.

Gathering facts and judging them are apart, so that tests can judge any machine.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, go, memory
from lab.errors import LabError
from lab.layout import Layout
from lab.memory import GIB

# Measured. In the lab's cache: the image 0.5 GiB, the programs 0.45, and a build under way 4.
BUILD_SPACE = 5 * GIB
# What Go's caches keep of the builds and of their modules, if they have none yet.
GO_BUILD_SPACE = 10 * GIB
GO_MODULE_SPACE = 3 * GIB
# An older kubelet: 0.1 GiB, and Go's caches grow by 2.1.
KUBELET_SPACE = 3 * GIB
RUN_SPACE = 1 * GIB
# Measured on two cores: all processes of the builds at once hold 3.2 GiB, one compiler 2.6 of it.
BUILD_MEMORY = 4 * GIB
PACKAGES = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "mount": "mount",
}
NAMESPACES = ("mnt", "net", "pid", "uts", "ipc", "cgroup")
BRIDGE_PROBE = "ip link add probe type bridge && ip link add probe0 type veth peer name probe1"
OVERLAY_PROBE = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found on this machine; `missing_*` are names, empty where all is well."""

    uid: int
    system: str
    architecture: str
    missing_programs: tuple[str, ...] = ()
    missing_namespaces: tuple[str, ...] = ()
    bridges: bool = True
    overlays: bool = True
    systemd_cgroups: bool = True
    bridged_traffic_dropped: bool = False
    free: tuple[tuple[str, int, int], ...] = ()
    """For each disk: a directory on it, free bytes, needed bytes."""
    memory: tuple[int, int] = (0, 0)
    """Available bytes, needed bytes."""


def gather(layout: Layout, *, build: bool, kubelets: int = 0) -> Facts:
    """Look at this machine.

    Args:
        layout: where the lab is.
        build: whether the toolchain or the image must still be made.
        kubelets: how many older kubelets must still be built.
    """
    root = os.geteuid() == 0
    programs = set(PACKAGES) if build else set(PACKAGES) - {"debootstrap"}
    needs = [(layout.directory, RUN_SPACE)]
    if build or kubelets:
        needs.append((layout.cache, kubelets * KUBELET_SPACE + (BUILD_SPACE if build else 0)))
    if build:
        for directory, most in zip(go.caches(), (GO_BUILD_SPACE, GO_MODULE_SPACE), strict=True):
            needs.append((directory, max(0, most - _size(directory))))
    return Facts(
        uid=os.geteuid(),
        system=platform.system(),
        architecture=platform.machine(),
        missing_programs=tuple(sorted(name for name in programs if shutil.which(name) is None)),
        missing_namespaces=tuple(
            name for name in NAMESPACES if not Path("/proc/self/ns", name).exists()
        ),
        bridges=not root or _works(["unshare", "--net", "sh", "-c", BRIDGE_PROBE], Path("/")),
        overlays=not root or _overlays_work(layout.directory),
        systemd_cgroups=bool(cgroups.hierarchies()),
        bridged_traffic_dropped=root and _bridged_traffic_dropped(),
        free=tuple(_by_disk(needs)),
        memory=(memory.available(), BUILD_MEMORY if build or kubelets else 0),
    )


def _works(command: list[str], directory: Path) -> bool:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _overlays_work(directory: Path) -> bool:
    existing = next(path for path in (directory, *directory.parents) if path.is_dir())
    with tempfile.TemporaryDirectory(dir=existing, prefix=".overlay-probe-") as probe:
        for part in ("lower", "upper", "work", "root"):
            Path(probe, part).mkdir()
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", OVERLAY_PROBE]
        return _works(command, Path(probe))


def _bridged_traffic_dropped() -> bool:
    """Return whether the firewall sees bridged packets and lets none through, as with Docker."""
    setting = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not setting.exists() or setting.read_text().strip() != "1":
        return False
    if shutil.which("iptables") is None:
        return False
    rules = subprocess.run(
        ["iptables", "-S", "FORWARD"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return "-P FORWARD DROP" in rules and not any("ktb0" in rule for rule in rules)


def _by_disk(needs: Iterable[tuple[Path, int]]) -> Iterable[tuple[str, int, int]]:
    """Add up what is needed on one disk, and name it by the first directory that needs it."""
    disks: dict[int, tuple[Path, int]] = {}
    for path, needed in needs:
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        disk = existing.stat().st_dev
        first, already = disks.get(disk, (existing, 0))
        disks[disk] = (first, already + needed)
    return [(str(path), shutil.disk_usage(path).free, needed) for path, needed in disks.values()]


def _size(directory: Path) -> int:
    """Return the bytes of the files in a directory, 0 if there is none."""
    return sum(
        (Path(root) / name).lstat().st_size
        for root, _, names in os.walk(directory)
        for name in names
    )


def problems(facts: Facts) -> list[LabError]:
    """Return what is wrong with this machine, most basic first."""
    return list(_problems(facts))


def _problems(facts: Facts) -> Iterable[LabError]:
    if (facts.system, facts.architecture) != ("Linux", "x86_64"):
        yield LabError(
            f"this is {facts.system} on {facts.architecture}; the lab's programs and its image "
            "are for Linux on x86_64",
            "run the lab on such a machine, real or virtual",
        )
        return
    if facts.uid != 0:
        yield LabError(
            f"the lab runs as user {facts.uid}; machines, mounts and links need root",
            "run the command with sudo",
        )
        return
    if facts.missing_programs:
        packages = " ".join(sorted({PACKAGES[name] for name in facts.missing_programs}))
        yield LabError(
            f"not installed: {', '.join(facts.missing_programs)}",
            f"run: apt-get update && apt-get install --yes --no-install-recommends {packages}",
        )
    if facts.missing_namespaces:
        yield LabError(
            f"the kernel has no {', '.join(facts.missing_namespaces)} namespaces",
            "use a kernel with CONFIG_NAMESPACES and its parts, as Debian's is",
        )
    if not facts.bridges and not {"ip", "unshare"} & set(facts.missing_programs):
        yield LabError(
            "the kernel can't make a bridge with a veth pair",
            "load them (modprobe bridge veth), or allow network namespaces where this is "
            "a container",
        )
    if not facts.overlays and "unshare" not in facts.missing_programs:
        yield LabError(
            "no overlay can be mounted in the lab's directory",
            "load it (modprobe overlay), or choose a disk that is not an overlay itself with "
            "LAB_DIR=",
        )
    if not facts.systemd_cgroups:
        yield LabError(
            "no cgroup hierarchy that systemd could use is mounted",
            "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        )
    if facts.bridged_traffic_dropped:
        yield LabError(
            "this machine's firewall drops bridged traffic, so the lab's machines would not "
            "reach each other",
            "allow it on the lab's bridge: iptables -I FORWARD -i ktb0 -o ktb0 -j ACCEPT",
        )
    for directory, free, needed in facts.free:
        if free < needed:
            yield LabError(
                f"{directory} has {free / GIB:.1f} GiB free, but {needed / GIB:.0f} are needed",
                "free some space, or choose another disk with LAB_DIR=, LAB_CACHE=, GOCACHE= and "
                "GOMODCACHE=",
            )
    available, needed = facts.memory
    if available < needed:
        yield LabError(
            f"{available / GIB:.1f} GiB of memory are available, but building the programs takes "
            f"{needed / GIB:.0f}",
            "stop other programs, add swap, or build where there is more memory and copy the "
            "cache (LAB_CACHE=)",
        )


def check(layout: Layout, *, build: bool, kubelets: int = 0) -> None:
    """Raise the first problem of this machine, with the others after it."""
    found = problems(gather(layout, build=build, kubelets=kubelets))
    if found:
        raise LabError(
            "; also: ".join(problem.problem for problem in found),
            " and ".join(problem.remedy for problem in found),
        )
