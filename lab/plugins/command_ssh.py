"""SSH connections for the command provider, by asyncssh: dialing, pinning, and commands.

Dial limits, pinning, the order of authentication and the words of errors are those of the
official provider, which uses golang.org/x/crypto/ssh. One thing differs: for a machine that accepts
a connection and then says nothing, this one gives up after two minutes, and the official one never.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import asyncssh
from asyncssh.constants import (
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    OPEN_RESOURCE_SHORTAGE,
    OPEN_UNKNOWN_CHANNEL_TYPE,
)

from lab.plugins import ssh_credentials
from lab.plugins.provider import Operation, PluginError
from lab.plugins.ssh_credentials import Client, Credentials

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
PAUSE_FACTOR = 1.5
UNLIMITED = -1
_REJECTED = {
    OPEN_ADMINISTRATIVELY_PROHIBITED: "administratively prohibited",
    OPEN_CONNECT_FAILED: "connect failed",
    OPEN_UNKNOWN_CHANNEL_TYPE: "unknown channel type",
    OPEN_RESOURCE_SHORTAGE: "resource shortage",
}
Connection = dict[str, Any]
T = TypeVar("T")


class _DialError(Exception):
    """One dial that failed, in the official provider's words."""


async def dial(
    connection: Connection, operation: Operation, stack: AsyncExitStack
) -> asyncssh.SSHClientConnection:
    """Connect, through the bastion if one is given; `stack` ends the connections.

    Raises:
        PluginError: a key is wrong, or the limit of failed dials is reached.
    """
    credentials = await ssh_credentials.of(connection, stack)
    proxy = connection.get("proxy")
    if not proxy:
        client = await _retry(
            connection, "Dial", operation, lambda: _direct(connection, credentials)
        )
        return await stack.enter_async_context(client)
    try:
        proxy_credentials = await ssh_credentials.of(proxy, stack)
        tunnel = await _retry(
            proxy, "Dial proxy", operation, lambda: _direct(proxy, proxy_credentials)
        )
        await stack.enter_async_context(tunnel)
        client = await _through(tunnel, connection, credentials, operation)
    except PluginError as error:
        raise PluginError(f"proxy: {error}") from None
    return await stack.enter_async_context(client)


async def _retry(
    connection: Connection,
    what: str,
    operation: Operation,
    attempt: Callable[[], Awaitable[T]],
) -> T:
    limit, failed, pause_s = int(connection["dialErrorLimit"]), 0, FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except _DialError as error:
            if limit > UNLIMITED and failed >= limit:
                raise PluginError(f"after {failed} failed attempts: {error}") from None
        failed += 1
        operation.say(f"{what} {failed}/{'inf' if limit == UNLIMITED else limit} failed: retrying")
        if await asyncio.to_thread(operation.cancelled.wait, pause_s):
            raise PluginError("context canceled")
        pause_s = min(pause_s * PAUSE_FACTOR, LONGEST_PAUSE_S)


async def _direct(connection: Connection, credentials: Credentials) -> asyncssh.SSHClientConnection:
    host, port = connection["host"], int(connection["port"])
    # 0 means no limit. It covers the TCP connection only.
    timeout = connection["perDialTimeout"] or None
    try:
        sock = await asyncio.to_thread(socket.create_connection, (host, port), timeout)
    except socket.gaierror:
        raise _DialError(f"dial tcp: lookup {host}: no such host") from None
    except OSError as error:
        raise _DialError(f"dial tcp {_endpoint(host, port)}: {_reason(error)}") from None
    sock.setblocking(False)
    try:
        return await _handshake(connection, credentials, sock=sock)
    except BaseException:
        sock.close()
        raise


async def _through(
    tunnel: asyncssh.SSHClientConnection,
    connection: Connection,
    credentials: Credentials,
    operation: Operation,
) -> asyncssh.SSHClientConnection:
    tried = False

    async def attempt() -> asyncssh.SSHClientConnection | _DialError:
        try:
            return await _handshake(connection, credentials, tunnel=tunnel)
        except asyncssh.ChannelOpenError as error:
            reason = _REJECTED.get(error.code, f"unknown reason {error.code}")
            raise _DialError(f"ssh: rejected: {reason} ({error.reason})") from None
        except _DialError as error:
            return error  # the bastion did connect

    async def again() -> asyncssh.SSHClientConnection:
        nonlocal tried
        # The official provider dials again over the channel that the first failure has closed.
        failed = _DialError("ssh: handshake failed: EOF") if tried else outcome
        tried = True
        if isinstance(failed, _DialError):
            raise failed
        return failed

    outcome = await _retry(connection, "Dial from proxy", operation, attempt)
    return await _retry(connection, "Dial", operation, again)


async def _handshake(
    connection: Connection, credentials: Credentials, **transport: Any
) -> asyncssh.SSHClientConnection:
    client = Client(credentials)
    options = {"server_host_key_algs": credentials.algorithms} if credentials.algorithms else {}
    try:
        return await asyncssh.connect(
            connection["host"],
            int(connection["port"]),
            username=connection["user"],
            client_factory=lambda: client,
            client_keys=None,  # the client is asked for them
            agent_path=None,
            known_hosts=b"",
            preferred_auth="publickey,password,keyboard-interactive",
            config=None,
            **options,
            **transport,
        )
    except asyncssh.ChannelOpenError:
        raise
    except asyncssh.HostKeyNotVerifiable:
        said = "ssh: host key mismatch"
    except asyncssh.PermissionDenied:
        said = (
            "ssh: unable to authenticate, attempted methods"
            f" [{' '.join(client.tried)}], no supported methods remain"
        )
    except asyncssh.KeyExchangeFailed as error:
        said = _no_common_algorithm(str(error), credentials)
    except asyncssh.ConnectionLost:
        said = "EOF"
    except (asyncssh.Error, OSError) as error:
        said = str(error) or type(error).__name__
    raise _DialError(f"ssh: handshake failed: {said}")


def _no_common_algorithm(said: str, credentials: Credentials) -> str:
    if "host key" not in said or not credentials.algorithms:
        return said
    offered = " ".join(credentials.algorithms)
    return f"ssh: no common algorithm for host key; we offered: [{offered}]"


def _endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "i/o timeout"
    return f"connect: {(error.strerror or str(error)).lower()}"
