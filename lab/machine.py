"""One machine of the lab: a disk, which is an overlay, and the systemd-nspawn that runs it.

Each machine has cgroups of its own, by which it finds its processes, so it never stops others.
"""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import cgroups, mounts, network, ssh
from lab.disk import File, Link, write
from lab.errors import LabError
from lab.layout import CHECKOUT, Layout
from lab.processes import Process, last_lines
from lab.waiting import until

BOOT = CHECKOUT / "lab/machines/boot.sh"
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
BOOT_LIMIT_S = 90.0
POWER_OFF_LIMIT_S = 30.0
KILL_LIMIT_S = 10.0

NETWORK_FILE = """\
[Match]
Name=host0

[Network]
Address={address}/{length}
Gateway={gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


@dataclass(frozen=True)
class Machine:
    """A machine by name; its disk and its process may or may not exist."""

    name: str
    address: str
    layout: Layout

    @property
    def directory(self) -> Path:
        return self.layout.machines / self.name

    @property
    def upper(self) -> Path:
        """What was written on its disk."""
        return self.directory / "upper"

    @property
    def console(self) -> Path:
        return self.layout.log / f"{self.name}.console"

    def exists(self) -> bool:
        """Return whether the machine has a disk."""
        return (self.directory / "machine.json").is_file()

    def create(
        self, layers: Sequence[Path], files: Mapping[str, File | Link], *, kubelet: str = ""
    ) -> None:
        """Make the machine's disk.

        Args:
            layers: the directories below it, top one first.
            files: the files on it, by path.
            kubelet: the minor version of the kubelet in `layers`, which the machine records.
        """
        partial = self.directory.with_name(f"{self.name}.partial")
        mounts.remove_tree(partial)
        for part in ("upper", "work", "root"):
            (partial / part).mkdir(parents=True)
            (partial / part).chmod(0o755)
        host_key, public = ssh.key_pair(f"root@{self.name}")
        own: dict[str, File | Link] = {
            "etc/hostname": File(f"{self.name}\n"),
            "etc/hosts": File(
                f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{self.address} {self.name}\n"
            ),
            "etc/machine-id": File(f"{secrets.token_hex(16)}\n", 0o444),
            HOST_KEY: File(host_key, 0o600),
            f"{HOST_KEY}.pub": File(f"{public}\n"),
            "root/.ssh/authorized_keys": File(
                self.layout.ssh_key.with_suffix(".pub").read_text(), 0o600
            ),
            "etc/systemd/network/10-host0.network": File(
                NETWORK_FILE.format(
                    address=self.address,
                    length=network.SUBNET.prefixlen,
                    gateway=network.HOST_ADDRESS,
                )
            ),
        }
        for path, file in {**own, **files}.items():
            write(partial / "upper", path, file, layers)
        record = {
            "address": self.address,
            "layers": [str(layer) for layer in layers],
            "kubelet": kubelet,
        }
        (partial / "machine.json").write_text(json.dumps(record, indent=1) + "\n")
        partial.rename(self.directory)

    def layers(self) -> list[Path]:
        """Return the directories below the machine's disk, top one first."""
        return [Path(layer) for layer in self._record()["layers"]]

    def kubelet(self) -> str:
        """Return the minor version of the machine's kubelet; empty if none was recorded."""
        return str(self._record().get("kubelet", ""))

    def _record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.directory / "machine.json").read_text())
        return record

    def host_key(self) -> str:
        """Return the machine's public host key as `type key`."""
        return " ".join((self.upper / f"{HOST_KEY}.pub").read_text().split()[:2])

    def supervisor(self) -> Process | None:
        """Return the systemd-nspawn of the machine, or None if it does not run."""
        try:
            record = json.loads((self.directory / "process.json").read_text())
            process = Process(record["pid"], record["start_ticks"], record["boot"])
        except (OSError, ValueError, KeyError):
            return None
        return process if process.alive() else None

    def cgroups(self) -> list[Path]:
        """Return the machine's cgroup in each hierarchy that systemd uses on this host."""
        own = f"ktb-{hashlib.sha256(str(self.layout.directory).encode()).hexdigest()[:8]}"
        return [hierarchy / own / self.name for hierarchy in cgroups.hierarchies()]

    def processes(self) -> set[int]:
        """Return the host's process ids of all processes of the machine."""
        lists = (list_ for cgroup in self.cgroups() for list_ in cgroup.rglob("cgroup.procs"))
        pids: set[int] = set()
        for list_ in lists:
            with contextlib.suppress(OSError):
                pids.update(int(pid) for pid in list_.read_text().split())
        return pids

    def start(self) -> None:
        """Boot the machine; `wait` returns when it is up.

        Raises:
            LabError: a directory below its disk is gone, or its supervisor does not start.
        """
        for layer in self.layers():
            if not layer.is_dir():
                raise LabError(
                    f"{self.name} needs {layer}, which is no longer in the cache",
                    "make the machines again: python -m lab down --disks && python -m lab up",
                )
        self.stop()
        (self.directory / "process.json").unlink(missing_ok=True)
        self.layout.log.mkdir(parents=True, exist_ok=True)
        with self.console.open("wb") as console:
            layers = ":".join(str(layer) for layer in self.layers())
            subprocess.run(
                ["setsid", "--fork", BOOT, self.name, layers, network.BRIDGE, *self.cgroups()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                check=True,
            )
        if not until((self.directory / "process.json").exists, 10):
            raise self._silent("its supervisor did not start")

    def wait(self) -> None:
        """Wait until the machine's SSH server answers.

        Raises:
            LabError: the machine ended, or did not answer within the limit.
        """

        def answers_or_ended() -> bool:
            return self.supervisor() is None or ssh.answers(self.address)

        if not until(answers_or_ended, BOOT_LIMIT_S):
            raise self._silent(f"no SSH server on {self.address}:22 after {BOOT_LIMIT_S:.0f} s")
        if self.supervisor() is None:
            raise self._silent("it stopped while it booted")

    def _silent(self, why: str) -> LabError:
        said = last_lines(self.console, 3)
        return LabError(
            f"machine {self.name} does not answer: {why}" + (f" ({said})" if said else ""),
            f"read {self.console}, then run `python -m lab up` again",
        )

    def stop(self) -> None:
        """Power the machine off, after a limit by force; does nothing if it is off."""
        supervisor = self.supervisor()
        if supervisor:
            # systemd-nspawn makes this an orderly shutdown: the services stop first.
            supervisor.send(signal.SIGTERM)
            until(lambda: not supervisor.alive(), POWER_OFF_LIMIT_S)
        if not until(self._kill, KILL_LIMIT_S):
            left = sorted(self.processes())
            raise LabError(
                f"the processes {left} of machine {self.name} do not end",
                "see what they are waiting for (cat /proc/<pid>/stack) and run the command again",
            )
        for cgroup in self.cgroups():
            cgroups.remove(cgroup)
            with contextlib.suppress(OSError):
                cgroup.parent.rmdir()

    def _kill(self) -> bool:
        """Kill what still runs in the machine; return whether nothing does."""
        pids = self.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids
