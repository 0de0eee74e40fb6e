"""An SSH server on loopback for the command provider's tests: real commands, files and tunnels."""

import asyncio
import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncssh

PASSWORD = "open sesame"
ACCEPTED = b"LC_"
# A command in whose middle the connection ends.
DROP = "drop"


@dataclass
class SshServer:
    """A running server, and what it has seen."""

    port: int = 0
    host_key: str = ""
    """Its public key, as in a known_hosts file."""
    private_key: str = field(default="", repr=False)
    """A private key that it lets in, in OpenSSH's format."""
    connections: int = 0
    users: list[str] = field(default_factory=list)
    tunnels: list[tuple[str, int]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)

    def connection(self, **changes: Any) -> dict[str, Any]:
        """Return a connection that works, with changes."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "privateKey": self.private_key,
            "hostKey": self.host_key,
            "dialErrorLimit": 0,
            "perDialTimeout": 5,
        } | changes


class _Session(asyncssh.SSHServer):
    def __init__(self, seen: SshServer, key: asyncssh.SSHKey) -> None:
        self._seen = seen
        self._key = key.convert_to_public()
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._seen.connections += 1
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        self._seen.users.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == self._key

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == PASSWORD

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        self._seen.tunnels.append((dest_host, dest_port))
        return True


async def _run(process: "asyncssh.SSHServerProcess[bytes]", seen: SshServer) -> None:
    environment = dict(process.env)
    seen.environments.append(environment)
    assert process.command is not None
    if process.command == DROP:
        process.channel.get_connection().abort()
        return
    started = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", **environment},
    )

    async def pump(source: asyncio.StreamReader, target: Any) -> None:
        while data := await source.read(65536):
            target.write(data)

    async def feed() -> None:
        assert started.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while data := await process.stdin.read(65536):
                started.stdin.write(data)
                await started.stdin.drain()
        started.stdin.close()

    feeding = asyncio.create_task(feed())
    assert started.stdout is not None
    assert started.stderr is not None
    await asyncio.gather(pump(started.stdout, process.stdout), pump(started.stderr, process.stderr))
    status = await started.wait()
    feeding.cancel()
    if status < 0:
        process.exit_with_signal("KILL" if status == -signal.SIGKILL else "TERM")
    else:
        process.exit(status)


def _take_variable(channel: Any, packet: Any) -> bool:
    """As sshd's AcceptEnv does by default, take only what belongs to the locale."""
    name, value = packet.get_string(), packet.get_string()
    if not name.startswith(ACCEPTED):
        return False
    channel._env[name] = value
    return True


@contextlib.contextmanager
def running(
    host_key: asyncssh.SSHKey | None = None, *, port: int = 0, private_key: str = ""
) -> Iterator[SshServer]:
    """Serve until the end of the block, on a free port and with new keys unless they are given."""
    host_key = host_key or asyncssh.generate_private_key("ssh-ed25519")
    user_key = (
        asyncssh.import_private_key(private_key)
        if private_key
        else asyncssh.generate_private_key("ssh-ed25519")
    )
    seen = SshServer(
        host_key=host_key.export_public_key().decode().strip(),
        private_key=user_key.export_private_key().decode(),
    )
    loop = asyncio.new_event_loop()
    asyncssh.SSHServerChannel._process_env_request = _take_variable

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            port,
            server_factory=lambda: _Session(seen, user_key),
            server_host_keys=[host_key],
            process_factory=lambda process: _run(process, seen),
            sftp_factory=True,
            encoding=None,
        )

    acceptor = loop.run_until_complete(listen())
    seen.port = acceptor.get_port()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        acceptor.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
