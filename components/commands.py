"""Commands on machines and on this one: the only module that knows pulumi-command.

It sets the same defaults for all of them: the engine shows what a command on a host prints only on
request, never sends earlier output to the host, and gives up on a dead host after about 20 seconds.
"""

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_command import local, remote

from components.access import Access
from components.dependencies import unless_unknown
from node_files import SUDO

PER_DIAL_TIMEOUT_S = 5
DIAL_ERROR_LIMIT = 3
ON_HOST, ON_THIS_MACHINE = "command:remote:Command", "command:local:Command"
OnHost = remote.Command
STDOUT = remote.Logging.STDOUT
# The interpreter that has this program's packages; the engine starts commands in the project.
PYTHON = 'exec "${KUBELET_TLS_BOOTSTRAP_PYTHON:-.venv/bin/python}"'


def on_host(
    name: str,
    host: Access,
    *,
    create: str,
    opts: pulumi.ResourceOptions,
    stdin: pulumi.Input[str] | None = None,
    delete: str | None = None,
    triggers: Sequence[Any] | None = None,
    logging: remote.Logging = remote.Logging.NONE,
    is_known: bool = True,
) -> remote.Command:
    """Declare a command on a host: it runs when its inputs change, `delete` when it is removed.

    `logging` says which output the engine shows: none if it could hold a secret. `is_known` is
    False in a preview that does not know where the host is.
    """
    sudo = SUDO if host.sudo else ""
    return remote.Command(
        name,
        connection=unless_unknown(_connection(host), is_known),
        create=f"{sudo}{create}",
        delete=delete and f"{sudo}{delete}",
        stdin=unless_unknown(stdin, is_known),
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
    triggers: Sequence[Any] | None = None,
    is_known: bool = True,
) -> local.Command:
    """Declare a run of one of this project's modules; the engine shows its progress (stderr).

    `is_known` is False in a preview that does not know what it is about.
    """
    return local.Command(
        name,
        create=create and f"{PYTHON} -m {create}",
        delete=unless_unknown(delete and f"{PYTHON} -m {delete}", is_known),
        stdin=unless_unknown(stdin, is_known),
        triggers=triggers,
        logging=local.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=opts,
    )


def _connection(host: Access) -> remote.ConnectionArgs:
    bastion, proxy = host.bastion, None
    if bastion is not None:
        proxy = remote.ProxyConnectionArgs(
            host=bastion.address,
            port=bastion.port,
            user=bastion.user,
            private_key=bastion.private_key,
            host_key=bastion.host_key,
            per_dial_timeout=PER_DIAL_TIMEOUT_S,
            dial_error_limit=DIAL_ERROR_LIMIT,
        )
    return remote.ConnectionArgs(
        host=host.server.address,
        port=host.server.port,
        user=host.server.user,
        private_key=host.server.private_key,
        host_key=host.server.host_key,
        per_dial_timeout=PER_DIAL_TIMEOUT_S,
        dial_error_limit=DIAL_ERROR_LIMIT,
        proxy=proxy,
    )
