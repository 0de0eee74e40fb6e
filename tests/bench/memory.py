"""`python -m tests.bench.memory`: how much memory others can make the program take.

A real API server is filled with requests and Nodes, and each program that reads them is measured in
a process of its own: what it takes in an empty cluster, and the most that it ever took beside the
flood. The resident approver is measured twice: one that starts then and lists everything, and one
that has been watching while it came. If one takes more than 64 MiB over what it takes idle, the
benchmark ends with status 1.
"""

import argparse
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.flood import ADDRESS, FLOODED, FLOODS, Flood, fill, prepare
from tests.contract.kubernetes_provider.cluster import Cluster, running

MEBIBYTE = 1024 * 1024
MOST_MORE = 64 * MEBIBYTE  # than in an empty cluster
PORTS = (22300, 22400)
POLL_S = 0.02
READY_S, SETTLE_S = 120, 8
FLAGS = ("--max-requests-inflight=800",)
# The control plane here is none that a kubelet could join. `signer` reads all requests.
SKIPPED = (
    "version", "rights", "clock", "token", "client-approval", "token-cleaner",
    "kubelet-verification", "kubelet-ca",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What a program took beside a flood, in bytes."""

    flood: str
    program: str
    idle: int
    peak: int

    @property
    def more(self) -> int:
        return self.peak - self.idle

    def __str__(self) -> str:
        sizes = (f"{size / MEBIBYTE:.0f}" for size in (self.idle, self.peak, self.more))
        return f"| {self.flood} | {self.program} | {' | '.join(sizes)} |"


class Measured:
    """A process, and what /proc says of its memory."""

    def __init__(self, command: list[str], log: Path, stdin: str = "") -> None:
        given = log.with_suffix(".stdin")
        given.write_text(stdin)
        with given.open() as text, log.open("w") as told:
            arguments = [sys.executable, "-m", *command]
            self.process = subprocess.Popen(arguments, stdin=text, stdout=told, stderr=told)
        self.log = log
        self.resident = self.peak = 0

    def poll(self) -> bool:
        """Read the numbers, and return whether the process still runs."""
        with contextlib.suppress(OSError, KeyError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            values = dict(line.split(":", 1) for line in status.splitlines())
            self.resident, self.peak = (
                int(values[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM")
            )
        return self.process.poll() is None

    def until_its_end(self) -> None:
        while self.poll():
            time.sleep(POLL_S)

    def settle(self, port: int) -> None:
        """Wait until the approver has listed everything, and some seconds more."""
        end = time.monotonic() + READY_S
        while not _is_ready(port):
            if not self.poll() or time.monotonic() > end:
                raise SystemExit(f"the approver did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.2)
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end and self.poll():
            time.sleep(0.2)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of objects")
    parser.add_argument("--only", choices=FLOODS, action="append", help="measure beside this one")
    arguments = parser.parse_args()
    most = 0
    print("| beside | program | idle MiB | peak MiB | more MiB |\n|---|---|---|---|---|")
    for name in arguments.only or FLOODS:
        flood = FLOODS[name].scaled(arguments.scale)
        with tempfile.TemporaryDirectory() as made:
            for row in measure(flood, Path(made)):
                print(row, flush=True)
                most = max(most, row.more)
    if most > MOST_MORE:
        print(f"error: more than {MOST_MORE // MEBIBYTE} MiB", file=sys.stderr)
        return 1
    return 0


def measure(flood: Flood, directory: Path) -> Iterator[Row]:
    """Yield what each program took."""
    with running(directory, *FLAGS) as cluster:
        prepare(cluster)
        idle = {
            name: _run(command, cluster, directory).resident for name, command in PROGRAMS.items()
        }
        watching, port = _approver(cluster, directory)
        with contextlib.closing(watching):
            watching.settle(port)
            idle[SERVE] = watching.resident
            fill(cluster, directory, flood)
            watching.settle(port)
        yield Row(flood.title, "`serve`, which was watching", idle[SERVE], watching.peak)
        listing, port = _approver(cluster, directory)
        with contextlib.closing(listing):
            listing.settle(port)
        yield Row(flood.title, "`serve`, which starts", idle[SERVE], listing.peak)
        for name, command in PROGRAMS.items():
            yield Row(flood.title, name, idle[name], _run(command, cluster, directory).peak)


SERVE = "serve"
PROGRAMS = {
    "gate": ["admission", "gate"],
    "`not_ready` of a wave": ["tests.bench.flood"],
    "`status`": ["command_line", "status"],
}


def _run(command: list[str], cluster: Cluster, directory: Path) -> Measured:
    is_status = command[-1] == "status"
    more = ["--json", "--kubeconfig", str(cluster.kubeconfig)] if is_status else []
    log = directory / f"{command[-1]}-{time.monotonic_ns()}.log"
    started = Measured([*command, *more], log, "" if is_status else _orders(cluster))
    started.until_its_end()
    # A gate in which nobody joins ends with 1.
    if started.process.returncode not in ((0, 1) if command[-1] == "gate" else (0,)):
        raise SystemExit(f"{command}: {log.read_text()[-2000:]}")
    return started


def _approver(cluster: Cluster, directory: Path) -> tuple[Measured, int]:
    port = _free_port()
    command = ["admission", "serve", "--kubeconfig", str(cluster.kubeconfig), "--port", str(port)]
    return Measured(command, directory / f"serve-{port}.log"), port


def _free_port() -> int:
    """Return a port that no connection takes meanwhile: below those that the kernel gives out."""
    for port in range(*PORTS):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("", port))
            return port
    raise SystemExit("no port is free")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _orders(cluster: Cluster) -> str:
    token = {"id": "abc123", "secretUid": "uid", "node": FLOODED, "group": "system:bootstrappers"}
    node = {"name": FLOODED, "addresses": [ADDRESS], "dnsNames": [FLOODED]}
    return json.dumps(
        {
            "kubeconfig": {"path": str(cluster.kubeconfig)},
            "pool": "workers",
            "nodes": [{**node, "kubeletVersion": "1.37"}],
            "tokens": [token],
            "afterJoin": "keep",
            "approval": {"client": "gate", "serving": "gate"},
            "skipClusterChecks": SKIPPED,
            "denied": {"addresses": [], "cidrs": []},
            "stallSeconds": SETTLE_S,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
