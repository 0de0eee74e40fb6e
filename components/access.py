"""How a machine is reached over SSH."""

from dataclasses import dataclass, field

import pulumi


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """An sshd, and the user and the key with which to log in."""

    address: str
    """A DNS name or an IP address."""
    host_key: str
    """The key that it must have: `TYPE KEY`."""
    port: int = 22
    user: str = "root"
    private_key: pulumi.Input[str] | None = field(default=None, repr=False)
    """None: the SSH agent has it."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """The machine's sshd, the way to it, and whether commands need sudo."""

    server: SshServer
    bastion: SshServer | None = None
    sudo: bool = False
