"""Commands on machines and on this one: the only module that knows pulumi-command.

Its defaults are set here for all: nothing that a command on a host prints is shown unless it is
asked for, no earlier output is sent to the host, a dead host is given up after some 20 seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local, remote

from components.credentials import Credentials
from components.layers import Ssh
from components.settings import Host

PER_DIAL_TIMEOUT_S = 5
DIAL_ERROR_LIMIT = 3
# Never asks for a password: there is nobody to answer. stdin is passed on to the command.
SUDO = "sudo -n "
STDOUT = remote.Logging.STDOUT
# The interpreter that has this program's packages; the engine starts commands in the project.
PYTHON = 'exec "${KUBELET_TLS_BOOTSTRAP_PYTHON:-.venv/bin/python}"'


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a host is reached, and whether its commands need sudo."""

    connection: remote.ConnectionArgs
    sudo: bool = False


def access(ssh: Ssh, credentials: Credentials, host: Host) -> Access:
    """Return how the host is reached by its own SSH settings, with its key pinned."""
    proxy = None
    if ssh.bastion is not None:
        proxy = remote.ProxyConnectionArgs(
            host=ssh.bastion.address,
            port=ssh.bastion.port,
            user=ssh.bastion.user,
            private_key=credentials.key(ssh.bastion.private_key_path or ssh.private_key_path),
            host_key=credentials.bastion_keys[ssh.bastion.destination],
            per_dial_timeout=PER_DIAL_TIMEOUT_S,
            dial_error_limit=DIAL_ERROR_LIMIT,
        )
    connection = remote.ConnectionArgs(
        host=host.address,
        port=ssh.port,
        user=ssh.user,
        private_key=credentials.key(ssh.private_key_path),
        host_key=credentials.host_keys[host.name],
        per_dial_timeout=PER_DIAL_TIMEOUT_S,
        dial_error_limit=DIAL_ERROR_LIMIT,
        proxy=proxy,
    )
    return Access(connection=connection, sudo=ssh.sudo)


def on_host(
    name: str,
    host: Access,
    *,
    create: str,
    stdin: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    delete: str | None = None,
    triggers: Sequence[Any] | None = None,
    logging: remote.Logging = remote.Logging.NONE,
) -> remote.Command:
    """Declare a command on a host: run when its inputs change, `delete` when it goes.

    `logging` says what of its output the engine shows: nothing where that could hold a secret.
    """
    sudo = SUDO if host.sudo else ""
    return remote.Command(
        name,
        connection=host.connection,
        create=f"{sudo}{create}",
        delete=delete and f"{sudo}{delete}",
        stdin=stdin,
        triggers=triggers,
        logging=logging,
        add_previous_output_in_env=False,
        opts=opts,
    )


def python_module(
    name: str,
    *,
    opts: pulumi.ResourceOptions,
    create: str | None = None,
    delete: str | None = None,
    stdin: pulumi.Input[str] | None = None,
) -> local.Command:
    """Declare a run of one of this project's modules, its progress (stderr) shown as it goes."""
    return local.Command(
        name,
        create=create and f"{PYTHON} -m {create}",
        delete=delete and f"{PYTHON} -m {delete}",
        stdin=stdin,
        logging=local.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=opts,
    )
