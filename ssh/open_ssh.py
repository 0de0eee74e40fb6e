"""Runs commands on hosts with OpenSSH, each host's key pinned.

The user's own ssh configuration is ignored, as pulumi-command ignores it: a host that can be
reached by one of them can be reached by the other.
"""

import asyncio
import contextlib
import os
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from credentials.host_key import HostKeys
from node_files import SUDO
from settings.layer import Bastion
from settings.model import Machine

TIME_LIMIT_S = 90
# As often and as long as the engine tries.
CONNECT_TIMEOUT_S, CONNECTION_ATTEMPTS = 5, 3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a host's command printed, or why it printed nothing."""

    host: str
    output: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class OpenSsh:
    """How to run `ssh`: with which keys, and a private directory for the files that it needs."""

    host_keys: HostKeys
    directory: Path
    private_key: Path | None = None  # the stack's secret key; None: the SSH agent has it

    def command(self, machine: Machine, command: str) -> list[str]:
        """Return the command line that runs a command on the machine."""
        host, ssh = machine.host, machine.ssh
        key = _key_path(ssh.private_key_path) or self.private_key
        options = self._options(host.name, self.host_keys.hosts[host.name], ssh.port, key)
        words = ["ssh", *options]
        if ssh.bastion is not None:
            bastion_key = _key_path(ssh.bastion.private_key_path) or key
            words += ["-o", f"ProxyCommand={self._through(ssh.bastion, bastion_key)}"]
        sudo = SUDO if ssh.sudo else ""
        return [*words, "-T", f"{ssh.user}@{host.address}", f"{sudo}{command}"]

    def _options(self, alias: str, host_key: str, port: int, key: Path | None) -> Iterator[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_TIMEOUT_S),
            "ConnectionAttempts": str(CONNECTION_ATTEMPTS),
            "ServerAliveInterval": "10",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "LogLevel": "ERROR",
            "Port": str(port),
            "HostKeyAlias": alias,
            "UserKnownHostsFile": str(self._known_hosts(alias, host_key)),
            "GlobalKnownHostsFile": "/dev/null",
        }
        if key is not None:
            options |= {"IdentityFile": str(key), "IdentitiesOnly": "yes"}
        yield from ("-F", "none")
        for name, value in options.items():
            yield from ("-o", f"{name}={value}")

    def _known_hosts(self, alias: str, host_key: str) -> Path:
        path = self.directory / f"known_hosts.{alias}"
        write_private(path, f"{alias} {host_key}\n")
        return path

    def _through(self, bastion: Bastion, key: Path | None) -> str:
        host_key = self.host_keys.bastions[bastion.destination]
        # Each bastion has a known_hosts file of its own.
        alias = f"bastion-{bastion.address.replace(':', '-')}-{bastion.port}"
        options = self._options(alias, host_key, bastion.port, key)
        words = ["ssh", *options, f"{bastion.user}@{bastion.address}"]
        # In a ProxyCommand, % begins a token of ssh's own.
        return f"{shlex.join(words).replace('%', '%%')} -W '[%h]:%p'"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


@contextlib.asynccontextmanager
async def open_ssh(
    host_keys: HostKeys, *, secret_key_of: str | None = None
) -> AsyncIterator[OpenSsh]:
    """Yield how to reach the hosts; its private files are removed afterwards.

    Args:
        host_keys: the pinned keys.
        secret_key_of: the stack whose secret key sshPrivateKey logs in if no file is named.

    Raises:
        ValueError: that secret key can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="kubelet-tls-bootstrap-") as name:  # mode 0700
        key = None if secret_key_of is None else await _secret_key(secret_key_of)
        yield within(Path(name), host_keys, key)


def within(directory: Path, host_keys: HostKeys, key: str | None) -> OpenSsh:
    """Return how to reach the hosts with the files of a private directory.

    `key` is a private key in OpenSSH's form, if the stack has a secret one.
    """
    path = None
    if key is not None:
        path = directory / "key"
        write_private(path, key.rstrip("\n") + "\n")
    return OpenSsh(host_keys=host_keys, directory=directory, private_key=path)


def _key_path(path: str | None) -> Path | None:
    return Path(path).expanduser() if path else None


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
            return await run(machine.host.name, ssh.command(machine, command), stdin)

    return list(await asyncio.gather(*(one(machine, stdin) for machine, stdin in machines)))


async def run(name: str, words: Sequence[str], stdin: str) -> Answer:
    """Run a program on this computer for a host, with this text on its stdin."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError:
        return Answer(host=name, problem=f"{words[0]} is not on PATH; install it")
    try:
        output, errors = await asyncio.wait_for(process.communicate(stdin.encode()), TIME_LIMIT_S)
    except TimeoutError:
        return Answer(host=name, problem=f"no answer within {TIME_LIMIT_S} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        message = lines[-1] if lines else f"exit status {process.returncode}"
        return Answer(host=name, problem=message.removeprefix("error: "))
    return Answer(host=name, output=output.decode(errors="replace"))
