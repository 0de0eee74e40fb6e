"""Runs a process to its end with a log, and recognizes a process later.

A process id alone means nothing once its process has ended, because the kernel may reuse it.
Together with the start time and the boot it is unique.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError


@dataclass(frozen=True)
class Process:
    """One process, never another one that got the same id later."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def find(cls, pid: int) -> "Process | None":
        """Return the process that has this id now, or None if there is none."""
        ticks = _start_ticks(pid)
        return None if ticks is None else cls(pid, ticks, boot_id())

    def alive(self) -> bool:
        """Return whether this process still runs (a zombie does not)."""
        return self.boot == boot_id() and _start_ticks(self.pid) == self.start_ticks

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may have spaces and parentheses: count from the last one. proc(5), fields 3 and 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


_running: set["subprocess.Popen[bytes]"] = set()
_running_lock = threading.Lock()


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> None:
    """Run a long command, with its output in `log`.

    The command gets its own session, so that `stop_all` also ends its children.

    Raises:
        LabError: its exit status was not 0; the message has the last lines of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        with _running_lock:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
            _running.add(process)
        try:
            process.communicate(stdin.encode())
        finally:
            _running.discard(process)
    if process.returncode:
        raise LabError(
            f"{Path(command[0]).name} exited with {process.returncode}: {last_lines(log, 5)}",
            f"read {log}, then run `python -m lab up` again",
        )


def stop_all() -> None:
    """End every command that `run_logged` is running, with its children."""
    with _running_lock:
        for process in tuple(_running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, joined by ` | `; empty if there is none yet."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 8192))
            lines = stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return " | ".join([line.strip() for line in lines if line.strip()][-count:])
