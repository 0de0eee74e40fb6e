"""A command on another machine, over one SSH connection."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR
from asyncssh.packet import String

from lab.plugins import command_ssh
from lab.plugins.command_output import STDERR, STDOUT, Output
from lab.plugins.provider import Operation, PluginError, Say

# golang.org/x/crypto/ssh adds these to 128 where a server gives no exit status.
_SIGNALS = {
    "ABRT": 6, "ALRM": 14, "FPE": 8, "HUP": 1, "ILL": 4, "INT": 2,
    "KILL": 9, "PIPE": 13, "QUIT": 3, "SEGV": 11, "TERM": 15,
}  # fmt: skip
_KILLED = 128
_REFUSED = (
    "Unable to set '{}'. This only works if your SSH server is configured to accept\n"
    "\tthese variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the "
    "remote host, you could\n\tprefix the command itself with the variables in the form "
    "'VAR=value command'"
)


class _Session(asyncssh.SSHClientSession[bytes]):
    """Takes what the machine sends of one command."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.ended: str | None = None

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._output.take(STDERR if datatype == EXTENDED_DATA_STDERR else STDOUT, data)

    def exit_status_received(self, status: int) -> None:
        self.ended = f"Process exited with status {status}" if status else ""

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        status = _KILLED + _SIGNALS.get(signal, 0)
        self.ended = f"Process exited with status {status} from signal {signal}"
        self.ended += f". Reason was: {msg}" if msg else ""


def run(
    inputs: dict[str, Any],
    command: str,
    previous: dict[str, str],
    output: Output,
    operation: Operation,
) -> None:
    """Run a command to its end.

    Args:
        inputs: `connection`, `stdin`, and `environment`, which the machine must take.
        command: for the user's shell there.
        previous: variables that it may refuse.
        output: what the command prints.
        operation: where dials that failed are told.

    Raises:
        PluginError: the machine can't be reached, does not take a variable, or the command fails.
    """
    asyncio.run(_run(inputs, command, previous, output, operation))


async def _run(
    inputs: dict[str, Any],
    command: str,
    previous: dict[str, str],
    output: Output,
    operation: Operation,
) -> None:
    environment = inputs.get("environment") or {}
    session = _Session(output)
    async with AsyncExitStack() as stack:
        client = await command_ssh.dial(inputs["connection"], operation, stack)

        def started(channel: asyncssh.SSHClientChannel[bytes]) -> None:
            if environment or previous:
                _send_variables_first(channel, environment, previous, operation.say)

        session.connection_made = started  # type: ignore[method-assign, assignment]
        try:
            channel, _ = await client.create_session(lambda: session, command, encoding=None)
            if stdin := inputs.get("stdin"):
                channel.write(stdin.encode())
            channel.write_eof()
            await channel.wait_closed()
        except asyncssh.ConnectionLost:
            pass  # it then has not told how it ended
        except (asyncssh.Error, OSError) as error:
            raise PluginError(output.failure(str(error), command)) from None
    output.end()
    ended = session.ended
    if ended is None:
        ended = "wait: remote command exited without exit status or exit signal"
    if ended:
        raise PluginError(output.failure(ended, command))


def _send_variables_first(
    channel: asyncssh.SSHClientChannel[bytes],
    environment: dict[str, str],
    previous: dict[str, str],
    say: Say,
) -> None:
    """Ask for each variable before the command, and wait for the answer, which asyncssh does not.

    A command must not run without a variable that it was given.
    """
    request = channel._make_request

    async def accepted(name: str, value: str) -> bool:
        return bool(await request(b"env", String(name), String(value)))

    async def make_request(kind: bytes, *arguments: bytes) -> bool | None:
        for name, value in environment.items():
            if not await accepted(name, value):
                say(_REFUSED.format(name), severity="ERROR", status=False)
                raise PluginError(
                    f'could not set environment variable "{name}": ssh: setenv failed'
                )
        for name, value in previous.items():
            if not await accepted(name, value):
                say(_REFUSED.format(name), severity="WARNING", status=False)
        return await request(kind, *arguments)

    channel._make_request = make_request  # type: ignore[method-assign, assignment]
