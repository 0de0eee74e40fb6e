"""One command or one file over one SSH connection, by asyncssh, for the command provider.

Dial limits, pinning and the words of errors are the official provider's, which uses
golang.org/x/crypto/ssh.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncssh

from lab.plugins.provider import PluginError

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
Say = Callable[[str], None]


class _Pinned(asyncssh.SSHClient):
    """Accepts one host key and no other."""

    def __init__(self, host_key: str | None) -> None:
        self._wanted = asyncssh.import_public_key(host_key) if host_key else None

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        return self._wanted is None or key == self._wanted


def run(
    connection: dict[str, Any],
    command: str,
    *,
    stdin: str,
    environment: dict[str, str],
    out: Say,
    err: Say,
    say: Say,
) -> str:
    """Run a command; return how it failed, or nothing where it exited with 0.

    Raises:
        PluginError: the machine can't be reached.
    """

    async def work() -> str:
        async with AsyncExitStack() as stack:
            client = await _dial(connection, say, stack)
            process = await client.create_process(
                command, env=environment or None, encoding="utf-8", errors="replace"
            )
            process.stdin.write(stdin)
            process.stdin.write_eof()
            await asyncio.gather(_pump(process.stdout, out), _pump(process.stderr, err))
            done = await process.wait()
            if done.exit_signal:
                return f"Process exited with signal {done.exit_signal[0]}"
            if done.exit_status is None:
                return "wait: remote command exited without exit status or exit signal"
            return f"Process exited with status {done.exit_status}" if done.exit_status else ""

    return asyncio.run(work())


def copy(connection: dict[str, Any], content: str, path: str, say: Say) -> None:
    """Write a file on the machine.

    Raises:
        PluginError: the machine can't be reached, or does not take the file.
    """

    async def work() -> None:
        async with AsyncExitStack() as stack:
            client = await _dial(connection, say, stack)
            try:
                sftp = await stack.enter_async_context(client.start_sftp_client())
                async with sftp.open(path, "w") as file:
                    await file.write(content)
            except (asyncssh.SFTPError, OSError) as error:
                raise PluginError(f"copying to {path}: {error}") from None

    asyncio.run(work())


async def _pump(stream: asyncssh.SSHReader[str], take: Say) -> None:
    async for line in stream:
        take(line)


async def _dial(
    connection: dict[str, Any], say: Say, stack: AsyncExitStack
) -> asyncssh.SSHClientConnection:
    tunnel = None
    if connection.get("proxy"):
        try:
            tunnel = await _retry(connection["proxy"], None, "Dial proxy", say)
        except PluginError as error:
            raise PluginError(f"proxy: {error}") from None
        await stack.enter_async_context(tunnel)
    client = await _retry(connection, tunnel, "Dial", say)
    return await stack.enter_async_context(client)


async def _retry(
    connection: dict[str, Any],
    tunnel: asyncssh.SSHClientConnection | None,
    what: str,
    say: Say,
) -> asyncssh.SSHClientConnection:
    limit, pause_s, failed = int(connection["dialErrorLimit"]), FIRST_PAUSE_S, 0
    while True:
        try:
            return await _connect(connection, tunnel)
        except (TimeoutError, OSError, asyncssh.Error) as error:
            message = _words(connection, error)
        if failed >= limit > -1:
            raise PluginError(f"after {failed} failed attempts: {message}")
        failed += 1
        say(f"{what} {failed}/{'inf' if limit == -1 else limit} failed: retrying")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


async def _connect(
    connection: dict[str, Any], tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    host_key = connection.get("hostKey")
    keys = None
    if connection.get("privateKey"):
        try:
            keys = [
                asyncssh.import_private_key(
                    connection["privateKey"], connection.get("privateKeyPassword")
                )
            ]
        except asyncssh.KeyImportError:
            raise PluginError("ssh: no key found") from None
    timeout = connection["perDialTimeout"] or None
    algorithms: Any = [host_key.split()[0]] if host_key else ()
    return await asyncssh.connect(
        connection["host"],
        int(connection["port"]),
        tunnel=tunnel or (),
        username=connection["user"],
        password=connection.get("password"),
        client_keys=keys,
        agent_path=connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK"),
        client_factory=lambda: _Pinned(host_key),
        known_hosts=b"",
        server_host_key_algs=algorithms,
        connect_timeout=timeout,
        config=None,
    )


def _words(connection: dict[str, Any], error: BaseException) -> str:
    endpoint = f"{connection['host']}:{int(connection['port'])}"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "ssh: handshake failed: ssh: host key mismatch"
    if isinstance(error, asyncssh.PermissionDenied):
        methods = ["none"]
        methods += ["publickey"] if connection.get("privateKey") else []
        methods += ["password"] if connection.get("password") else []
        return (
            "ssh: handshake failed: ssh: unable to authenticate, attempted methods"
            f" [{' '.join(methods)}], no supported methods remain"
        )
    if isinstance(error, asyncio.TimeoutError):
        return f"dial tcp {endpoint}: i/o timeout"
    if isinstance(error, OSError):
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        return f"dial tcp {endpoint}: connect: {reason}"
    return f"ssh: handshake failed: {error}"
