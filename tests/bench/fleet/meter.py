"""What a run of `pulumi` takes: seconds, CPU and memory by the role of each process.

It samples every process that it sees in /proc: in the benchmark's own process namespace those are
the control plane, the simulator, and all that the engine starts. The CPU of a process between its
last sample and its end is lost, at most the pause between two samples.
"""

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath

PAUSE_S = 0.1
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ROLES = ("engine", "program", "providers", "gate and leave", "cluster")
ENGINE, PROGRAM, PROVIDERS, COMMANDS, CLUSTER = ROLES
CLUSTER_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "simulator")
# The lab's own plugins are Python, known by their modules.
OWN_PROVIDERS = ("command_provider", "random_provider")
OWN_LANGUAGE_HOST = ("language_host", "language_run.py")


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process at one moment."""

    identity: tuple[int, int]
    """Its id and when it started: ids are used again."""
    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What all processes of one role took together."""

    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run that has ended."""

    status: int
    wall_s: float
    usage: dict[str, Usage]
    written_bytes: int
    """What the engine wrote to files."""


def role(command_line: Sequence[str]) -> str | None:
    """Return the role of a process that is not the engine itself, by its command line.

    None: it is about to become another program.
    """
    names = [PurePath(word).name for word in command_line]
    if not names:
        return None
    if names[0] in CLUSTER_PROGRAMS:
        return CLUSTER
    # These read the settings with `pulumi`, and drain nodes with `kubectl`.
    if names[0] in ("pulumi", "kubectl") or any(
        "-m admission" in text for text in _adjacent(command_line)
    ):
        return COMMANDS
    for name in names:
        if name.startswith("pulumi-language-python") or name in OWN_LANGUAGE_HOST:
            return PROGRAM
        if name.startswith("pulumi-resource-") or name in OWN_PROVIDERS:
            return PROVIDERS
    return None


def _adjacent(command_line: Sequence[str]) -> Iterator[str]:
    """Yield each word, for a shell's line, and each two words that follow one another."""
    yield from command_line
    yield from map(" ".join, pairwise(command_line))


def read_stat(text: str) -> Process:
    """Return what a /proc/PID/stat says (proc(5))."""
    # The name may have spaces and parentheses: count from the last one.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(
        identity=(int(head.split()[0]), int(fields[19])),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_A_SECOND,
        memory_bytes=int(fields[21]) * PAGE_BYTES,
    )


class Meter:
    """Adds up what processes take, from one sample to the next."""

    def __init__(self) -> None:
        self._roles: dict[tuple[int, int], str] = {}
        self._last: dict[tuple[int, int], Process] = {}
        self._peaks: dict[str, int] = defaultdict(int)
        self.engine: int | None = None
        self.sample()
        # Those of the cluster run already.
        self._before = dict(self._last)

    def sample(self) -> None:
        """Look at all processes once."""
        memory: dict[str, int] = defaultdict(int)
        for process in _processes():
            name = self._roles.get(process.identity) or self._role(process.identity[0])
            if name is not None:
                self._roles[process.identity] = name
                self._last[process.identity] = process
                memory[name] += process.memory_bytes
        for name, total in memory.items():
            self._peaks[name] = max(self._peaks[name], total)

    def _role(self, pid: int) -> str | None:
        return ENGINE if pid == self.engine else role(_command_line(pid))

    def usage(self) -> dict[str, Usage]:
        """Return what each role has taken since the first sample."""
        cpu: dict[str, float] = defaultdict(float)
        for identity, process in self._last.items():
            before = self._before.get(identity)
            cpu[self._roles[identity]] += process.cpu_s - (before.cpu_s if before else 0)
        return {
            name: Usage(cpu_s=cpu[name], peak_bytes=self._peaks[name])
            for name in ROLES
            if name in self._peaks
        }


def measure(start: Callable[[], "subprocess.Popen[bytes]"]) -> Measured:
    """Start an engine, wait until it has ended, and return what it took."""
    meter, began = Meter(), time.monotonic()
    engine = start()
    meter.engine = engine.pid
    # It stays a zombie, with its figures, until they have been read.
    exited = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while os.waitid(os.P_PID, engine.pid, exited) is None:
        meter.sample()
        time.sleep(PAUSE_S)
    wall_s = time.monotonic() - began
    meter.sample()
    written_bytes = _written_bytes(engine.pid)
    return Measured(
        status=engine.wait(), wall_s=wall_s, usage=meter.usage(), written_bytes=written_bytes
    )


def _processes() -> Iterator[Process]:
    for entry in os.listdir("/proc"):  # noqa: PTH208 - ten times a second
        if entry.isdigit() and (text := _read(f"/proc/{entry}/stat")):
            yield read_stat(text)


def _command_line(pid: int) -> list[str]:
    return _read(f"/proc/{pid}/cmdline").rstrip("\0").split("\0")


def _written_bytes(pid: int) -> int:
    lines = dict(line.split(": ") for line in _read(f"/proc/{pid}/io").splitlines())
    return int(lines["write_bytes"])


def _read(path: str) -> str:
    """Return a file's text; empty if its process has just ended."""
    try:
        return Path(path).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
