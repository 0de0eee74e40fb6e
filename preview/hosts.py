"""Runs a command on many hosts at once by OpenSSH, each host's key pinned.

Nothing of the user's own ssh configuration counts, as it does not for pulumi-command: what reaches
a host here reaches it in `pulumi up`.
"""

import asyncio
import contextlib
import os
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.commands import SUDO
from components.layers import Bastion, Ssh
from components.settings import Host

TIME_LIMIT_S = 90
CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a host's command printed, or else why there is nothing."""

    host: str
    output: str = ""
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How hosts are reached, and the private directory that holds what `ssh` needs for it."""

    ssh: Ssh
    host_keys: dict[str, str]  # by the host's name: "TYPE KEY"
    directory: Path
    private_key: Path | None  # None: the SSH agent has it
    own: Mapping[str, Ssh] = field(default_factory=dict)  # by the host's name, where it differs
    bastion_keys: Mapping[str, str] = field(default_factory=dict)  # by ADDRESS:PORT

    def command(self, host: Host, command: str) -> list[str]:
        """Return the command line that runs a command on the host."""
        ssh = self.own.get(host.name, self.ssh)
        key = _key_path(ssh.private_key_path) or self.private_key
        words = ["ssh", *self._options(host.name, self.host_keys[host.name], ssh.port, key)]
        if ssh.bastion is not None:
            own_key = _key_path(ssh.bastion.private_key_path) or key
            words += ["-o", f"ProxyCommand={self._through(ssh.bastion, own_key)}"]
        sudo = SUDO if ssh.sudo else ""
        return [*words, "-T", f"{ssh.user}@{host.address}", f"{sudo}{command}"]

    def _options(
        self, alias: str, host_key: str | None, port: int, key: Path | None
    ) -> Iterator[str]:
        """The options of one connection; without a pinned key the user's known_hosts decides."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_TIMEOUT_S),
            "ServerAliveInterval": str(CONNECT_TIMEOUT_S),
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "LogLevel": "ERROR",
            "Port": str(port),
        }
        if host_key is not None:
            options["HostKeyAlias"] = alias
            options["UserKnownHostsFile"] = str(self._known_hosts(alias, host_key))
            options["GlobalKnownHostsFile"] = "/dev/null"
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
        host_key = bastion.host_key or self.bastion_keys.get(bastion.destination)
        # One file of known hosts for each bastion.
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
async def access(
    ssh: Ssh,
    host_keys: dict[str, str],
    stack: str,
    *,
    secret_key: bool,
    own: Mapping[str, Ssh] | None = None,
    bastion_keys: Mapping[str, str] | None = None,
) -> AsyncIterator[Access]:
    """Give the way to the hosts; what it puts into private files is gone afterwards.

    Raises:
        ValueError: the secret key sshPrivateKey can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="kubelet-tls-bootstrap-") as name:  # mode 0700
        directory = Path(name)
        key = _key_path(ssh.private_key_path)
        if secret_key:
            key = directory / "key"
            write_private(key, await _secret_key(stack))
        yield Access(
            ssh=ssh,
            host_keys=host_keys,
            directory=directory,
            private_key=key,
            own=own or {},
            bastion_keys=bastion_keys or {},
        )


def _key_path(path: str | None) -> Path | None:
    return Path(path).expanduser() if path else None


async def _secret_key(stack: str) -> str:
    words = ["pulumi", "config", "get", "sshPrivateKey", "--stack", stack, "--non-interactive"]
    answer = await _run("pulumi", words, "")
    if answer.trouble:
        raise ValueError(f"the secret key sshPrivateKey can't be read: {answer.trouble}")
    return answer.output.rstrip("\n") + "\n"


async def ask(
    access: Access, hosts: Sequence[tuple[Host, str]], command: str, *, parallel: int
) -> list[Answer]:
    """Run the command on each host with its text on stdin, and return the answers in order."""
    limit = asyncio.Semaphore(parallel)

    async def one(host: Host, stdin: str) -> Answer:
        async with limit:
            return await _run(host.name, access.command(host, command), stdin)

    return list(await asyncio.gather(*(one(host, stdin) for host, stdin in hosts)))


async def _run(name: str, words: Sequence[str], stdin: str) -> Answer:
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError:
        return Answer(host=name, trouble=f"{words[0]} is not on PATH; install it")
    try:
        output, errors = await asyncio.wait_for(process.communicate(stdin.encode()), TIME_LIMIT_S)
    except TimeoutError:
        return Answer(host=name, trouble=f"no answer within {TIME_LIMIT_S} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else f"exit status {process.returncode}"
        return Answer(host=name, trouble=said.removeprefix("error: "))
    return Answer(host=name, output=output.decode(errors="replace"))
