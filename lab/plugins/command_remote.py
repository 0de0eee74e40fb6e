"""A command on another machine, over one SSH connection."""

import asyncio
import contextlib
from contextlib import AsyncExitStack

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR
from asyncssh.packet import String

from lab.plugins import command_ssh
from lab.plugins.command_output import STDERR, STDOUT, Execution, Output
from lab.plugins.provider import PluginError

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


def run(execution: Execution) -> None:
    """Run a command to its end: the machine must take `environment`, and may refuse `previous`.

    Raises:
        PluginError: the machine can't be reached, does not take a variable, or the command fails.
    """
    asyncio.run(_run(execution))


async def _run(execution: Execution) -> None:
    inputs = execution.inputs
    session = _Session(execution.output)
    async with AsyncExitStack() as stack:
        client = await command_ssh.dial(inputs["connection"], execution.operation, stack)

        def started(channel: asyncssh.SSHClientChannel[bytes]) -> None:
            if inputs.get("environment") or execution.previous:
                _send_variables_first(channel, execution)

        session.connection_made = started  # type: ignore[method-assign, assignment]
        try:
            channel, _ = await client.create_session(
                lambda: session, execution.command, encoding=None
            )
            # A command may end before it has read that, and well.
            with contextlib.suppress(BrokenPipeError):
                channel.write((inputs.get("stdin") or "").encode())
                channel.write_eof()
            await channel.wait_closed()
        except asyncssh.ConnectionLost:
            pass  # the machine has not said how the command ended
        except (asyncssh.Error, OSError) as error:
            raise execution.failure(str(error)) from None
    execution.output.end()
    ended = session.ended
    if ended is None:
        ended = "wait: remote command exited without exit status or exit signal"
    if ended:
        raise execution.failure(ended)


def _send_variables_first(channel: asyncssh.SSHClientChannel[bytes], execution: Execution) -> None:
    """Ask for each variable before the command, and wait for the answer, which asyncssh does not.

    A command must not run without a variable that it was given.
    """
    request, say = channel._make_request, execution.operation.say

    async def accepted(name: str, value: str) -> bool:
        return bool(await request(b"env", String(name), String(value)))

    async def make_request(kind: bytes, *arguments: bytes) -> bool | None:
        for name, value in (execution.inputs.get("environment") or {}).items():
            if not await accepted(name, value):
                say(_REFUSED.format(name), severity="ERROR", status=False)
                raise PluginError(
                    f'could not set environment variable "{name}": ssh: setenv failed'
                )
        for name, value in execution.previous.items():
            if not await accepted(name, value):
                say(_REFUSED.format(name), severity="WARNING", status=False)
        return await request(kind, *arguments)

    channel._make_request = make_request  # type: ignore[method-assign, assignment]
