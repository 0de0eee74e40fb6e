"""The simulated machines: their addresses, their keys, and the program that plays them all."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from lab import go
from lab.cache import Entry, content_hash
from lab.processes import run_logged
from lab.progress import step

SOURCE = Path(__file__).parent / "simulator"
NETWORK = "10.99.0.0/16"
PER_SUBNET = 200
MOST = PER_SUBNET * 255
# The kube-apiserver advertises it. No machine has it.
CONTROL_PLANE_ADDRESS = "10.99.255.1"


def address(number: int) -> str:
    """Return the address of a machine; they are counted from 0."""
    subnet, host = divmod(number, PER_SUBNET)
    return f"10.99.{subnet}.{host + 1}"


def build(cache: Path) -> Path:
    """Return the path of the simulator, built once for its source.

    Raises:
        LabError: Go is not installed, or the build failed.
    """
    sources = sorted(SOURCE.iterdir())
    key = content_hash(part for path in sources for part in (path.name, path.read_bytes()))
    entry = Entry(cache, "fleet-simulator", key, ("simulator",))

    def make(directory: Path) -> None:
        command = (go.ensure_go(cache), "build", "-trimpath", "-o", directory / "simulator", ".")
        with step("building the simulator of machines"):
            run_logged(command, directory / "build.log", env=go.environment(), cwd=SOURCE)

    return entry.ensure(make, thorough=False) / "simulator"


@dataclass(frozen=True)
class Counts:
    """What all machines together were asked for so far."""

    connections: int
    """SSH connections with a login."""
    commands: dict[str, int]
    """Runs of node scripts by their action: install, join, remove."""
    most_at_once: int
    """How many machines restarted their kubelets at the same time."""


@dataclass(frozen=True)
class Machines:
    """The running simulator."""

    ssh_key: Path
    """A private key that every machine accepts."""
    host_key: str
    """The public host key of every machine."""
    stdin: IO[str]
    stdout: IO[str]

    def counts(self) -> Counts:
        self.stdin.write("counts\n")
        self.stdin.flush()
        return Counts(**json.loads(self.stdout.readline()))


@contextlib.contextmanager
def running(program: Path, directory: Path) -> Iterator[Machines]:
    """Start the simulator with its files in a directory; end it with the block."""
    ssh_key, _ = _write_key(directory / "ssh")
    host_key, public = _write_key(directory / "host")
    with (
        (directory / "simulator.log").open("wb") as log,
        subprocess.Popen(
            [program, "--host-key", host_key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"the simulator did not start: {Path(log.name).read_text()}")
        # It ends with its stdin, which the end of the block closes.
        yield Machines(ssh_key, public, process.stdin, process.stdout)


def _write_key(path: Path) -> tuple[Path, str]:
    """Write a new private key; return its path and the public key."""
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return path, public.decode()
