"""How to reach hosts with OpenSSH, each host's key pinned.

The user's own ssh configuration is ignored, as pulumi-command ignores it: a host that can be
reached by one of them can be reached by the other.
"""

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from credentials.host_key import HostKeys
from credentials.private_key import for_openssh
from node_files import SUDO
from settings.layer import Bastion
from settings.model import Machine
from ssh.run import TIME_LIMIT_S, Answer, cleaning_up, run

# As often and as long as the engine tries.
ATTEMPTS, CONNECT_TIMEOUT_S, PAUSE_S = 3, 5, 2.0
SSH_FAILED = 255  # ssh(1), EXIT STATUS
PREFIX = "kubelet-tls-bootstrap-"


@dataclass(frozen=True, kw_only=True)
class OpenSsh:
    """How to run `ssh`: with which keys."""

    host_keys: HostKeys
    private_keys: Mapping[str | None, str] = field(default_factory=dict, repr=False)
    """By the paths in the settings, the stack's own secret key by None; others are the agent's."""

    async def reach(
        self, machine: Machine, command: str, stdin: str, *, limit_s: float = TIME_LIMIT_S
    ) -> Answer:
        """Run a command on the machine with this text on its stdin, for at most `limit_s` seconds.

        Where `ssh` itself fails it is tried again: a busy server drops connections.
        """
        for attempt in range(1, ATTEMPTS + 1):
            answer = await self._try(machine, command, stdin, limit_s)
            if answer.status != SSH_FAILED or answer.hopeless or attempt == ATTEMPTS:
                break
            await asyncio.sleep(PAUSE_S * attempt)
        return answer

    async def _try(self, machine: Machine, command: str, stdin: str, limit_s: float) -> Answer:
        name = machine.host.name
        if shutil.which("ssh") is None:
            return Answer(host=name, problem="ssh is not on PATH; install it")
        with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as path:  # 0700
            directory = Path(path)
            words = cleaning_up(directory, self.command(machine, command, directory))
            return await run(name, words, stdin, limit_s=limit_s, directory=directory)

    def command(self, machine: Machine, command: str, directory: Path) -> list[str]:
        """Return the command line that runs a command on the machine, from a private directory.

        The files that it reads are written there, and named as they are seen from there: so the
        directory's own name may hold anything.
        """
        host, ssh = machine.host, machine.ssh
        options = [
            *self._options(directory, host.name, self.host_keys.hosts[host.name], ssh.port),
            *self._identity(directory, "key", ssh.private_key_path),
        ]
        words = ["ssh", *options]
        if (bastion := ssh.bastion) is not None:
            key_path = bastion.private_key_path or ssh.private_key_path
            words += ["-o", f"ProxyCommand={self._through(directory, bastion, key_path)}"]
        sudo = SUDO if ssh.sudo else ""
        return [*words, "-T", f"{ssh.user}@{host.reached_at}", f"{sudo}{command}"]

    def _options(self, directory: Path, alias: str, host_key: str, port: int) -> Iterator[str]:
        known_hosts = f"known_hosts.{alias}"
        write_private(directory / known_hosts, f"{alias} {host_key}\n")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_TIMEOUT_S,
            "ServerAliveInterval": 10,
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "LogLevel": "ERROR",
            "Port": port,
            "HostKeyAlias": alias,
            "UserKnownHostsFile": known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
        }
        yield from ("-F", "none")
        for name, value in options.items():
            yield from ("-o", f"{name}={value}")

    def _identity(self, directory: Path, name: str, key_path: str | None) -> Iterator[str]:
        key = self.private_keys.get(key_path or None)
        if key is not None:
            write_private(directory / name, for_openssh(key).rstrip("\n") + "\n")
            yield from ("-o", f"IdentityFile={name}", "-o", "IdentitiesOnly=yes")

    def _through(self, directory: Path, bastion: Bastion, key_path: str | None) -> str:
        host_key = self.host_keys.bastions[bastion.destination]
        options = [
            *self._options(directory, "bastion", host_key, bastion.port),
            *self._identity(directory, "key.bastion", key_path),
        ]
        words = ["ssh", *options, f"{bastion.user}@{bastion.address}"]
        # In a ProxyCommand, % begins a token of ssh's own.
        return f"{shlex.join(words).replace('%', '%%')} -W '[%h]:%p'"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


async def open_ssh(
    host_keys: HostKeys, machines: Sequence[Machine], *, secret_key_of: str | None = None
) -> OpenSsh:
    """Return how to reach the machines.

    Args:
        host_keys: the pinned keys.
        machines: whose keys are read from the files that their settings name.
        secret_key_of: the stack whose secret key sshPrivateKey logs in where no file is named.

    Raises:
        ValueError: a key can't be read.
    """
    keys: dict[str | None, str] = {}
    if secret_key_of is not None:
        keys[None] = await _secret_key(secret_key_of)
    for machine in machines:
        for path in machine.ssh.private_key_paths:
            keys[path] = keys[path] if path in keys else _read(path)
    return OpenSsh(host_keys=host_keys, private_keys=keys)


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(errors="replace")  # of a comment
    except (OSError, RuntimeError):
        raise ValueError(f"the SSH key {path} can't be read; correct privateKeyPath") from None


async def _secret_key(stack: str) -> str:
    words = ["pulumi", "config", "get", "sshPrivateKey", "--stack", stack, "--non-interactive"]
    answer = await run("pulumi", words, "")
    if answer.problem:
        raise ValueError(f"the secret key sshPrivateKey cannot be read: {answer.problem}")
    return answer.output


async def ask(
    ssh: OpenSsh, machines: Sequence[tuple[Machine, str]], command: str, *, parallel: int
) -> list[Answer]:
    """Run the command on each machine with its text on stdin; return the answers in order."""
    limit = asyncio.Semaphore(parallel)

    async def one(machine: Machine, stdin: str) -> Answer:
        async with limit:
            return await ssh.reach(machine, command, stdin)

    return list(await asyncio.gather(*(one(machine, stdin) for machine, stdin in machines)))
