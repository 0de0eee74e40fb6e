"""The credentials of one SSH connection: the pinned host key, keys, password, agent.

`Client` offers them to asyncssh in the order of golang.org/x/crypto/ssh.
"""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncssh

from lab.plugins.provider import PluginError

AGENT_VARIABLE = "SSH_AUTH_SOCK"


@dataclass(frozen=True)
class Credentials:
    """What proves the host to us, and us to the host. Without a host key any is accepted."""

    host_key: asyncssh.SSHKey | None
    keys: tuple[asyncssh.SSHKeyPair, ...]
    password: str | None

    @property
    def algorithms(self) -> list[str]:
        """The host key's algorithm, the only one to offer; empty if no key is pinned."""
        return [self.host_key.get_algorithm()] if self.host_key else []


async def of(connection: dict[str, Any], stack: AsyncExitStack) -> Credentials:
    """Return a connection's credentials; `stack` ends the connection to an agent.

    Raises:
        PluginError: a key can't be read, or the agent can't be reached.
    """
    keys: tuple[asyncssh.SSHKeyPair, ...] = ()
    host_key = connection.get("hostKey")
    pinned = _host_key(host_key) if host_key is not None else None
    if connection.get("privateKey") is not None:
        keys = tuple(asyncssh.load_keypairs([_private_key(connection)]))
    path = connection.get("agentSocketPath") or os.environ.get(AGENT_VARIABLE)
    if path:
        try:
            agent = await stack.enter_async_context(asyncssh.connect_agent(path))
            offered = await agent.get_keys()
        except (OSError, asyncssh.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise PluginError(f"dial unix {path}: connect: {reason.lower()}") from None
        # Go tries keys once, so an agent's are not tried if there is a private key.
        keys = keys or tuple(offered)
    return Credentials(pinned, keys, connection.get("password"))


def _host_key(line: str) -> asyncssh.SSHKey:
    words = line.split()
    # Anything before the key's type is read as the options of an authorized_keys line.
    for start in range(len(words) - 1):
        try:
            return asyncssh.import_public_key(" ".join(words[start : start + 2]))
        except asyncssh.KeyImportError:
            continue
    raise PluginError("failed to parse host key: ssh: no key found")


def _private_key(connection: dict[str, Any]) -> asyncssh.SSHKey:
    passphrase = connection.get("privateKeyPassword")
    try:
        return asyncssh.import_private_key(connection["privateKey"], passphrase)
    except asyncssh.KeyEncryptionError:
        raise PluginError("x509: decryption password incorrect") from None
    except asyncssh.KeyImportError as error:
        if "passphrase" in str(error).lower():
            raise PluginError("ssh: this private key is passphrase protected") from None
        raise PluginError("ssh: no key found") from None


class Client(asyncssh.SSHClient):
    """Answers asyncssh's questions while it connects.

    Attributes:
        tried: the methods of authentication that were attempted.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.tried = ["none"]

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        pinned = self._credentials.host_key
        return pinned is None or key.public_data == pinned.public_data

    def public_key_auth_requested(self) -> Any:
        return list(self._credentials.keys) if self._first("publickey") else None

    def password_auth_requested(self) -> str | None:
        return self._credentials.password if self._first("password") else None

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._first("keyboard-interactive") else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Any
    ) -> Any:
        return [self._credentials.password or "" for _ in prompts]

    def _first(self, method: str) -> bool:
        """Return whether to try a method: once, and only with something to try."""
        have = self._credentials.keys if method == "publickey" else self._credentials.password
        if method in self.tried or have in (None, ()):
            return False
        self.tried.append(method)
        return True
