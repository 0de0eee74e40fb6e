"""One run of a command, and what it prints: kept for the outputs and shown line by line."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.plugins.provider import Operation, PluginError

STDOUT, STDERR = "stdout", "stderr"
_SHOWN = {
    None: (STDOUT, STDERR),
    "stdout": (STDOUT,),
    "stderr": (STDERR,),
    "stdoutAndStderr": (STDOUT, STDERR),
}
_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    '"': '\\"', "\\": "\\\\",
}  # fmt: skip


@dataclass
class Output:
    """Both streams of one command.

    Attributes:
        logging: the input of that name: which streams are shown.
        show: takes each line that is to be shown.
    """

    logging: str | None
    show: Callable[[str], None]
    _kept: dict[str, bytearray] = field(
        default_factory=lambda: {STDOUT: bytearray(), STDERR: bytearray()}
    )
    _both: bytearray = field(default_factory=bytearray)
    _line: bytearray = field(default_factory=bytearray)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, stream: str, data: bytes) -> None:
        """Keep new output, and show the lines that it completes."""
        with self._lock:
            self._kept[stream] += data
            self._both += data
            if stream not in _SHOWN.get(self.logging, ()):
                return
            # As with the official one, both streams run into one: half a line may be of each.
            *lines, rest = bytes(self._line + data).split(b"\n")
            self._line = bytearray(rest)
        for line in lines:
            self._show(line)

    def end(self) -> None:
        """Show a last line without a line end."""
        if self._line:
            self._show(bytes(self._line))

    def outputs(self) -> dict[str, str]:
        """Return stdout and stderr, each without its last line end.

        Bytes that are not UTF-8 stay in them, and can't be written to the engine.
        """
        kept = {name: data.decode(errors="surrogateescape") for name, data in self._kept.items()}
        return {name: text.removesuffix("\n") for name, text in kept.items()}

    def both(self) -> str:
        """Return both streams as they came."""
        return self._both.decode(errors="replace")

    def _show(self, line: bytes) -> None:
        self.show(line.removesuffix(b"\r").decode(errors="replace"))


@dataclass(frozen=True)
class Execution:
    """One run of a command, on this machine or on another.

    Attributes:
        inputs: the resource's, without secret marks.
        command: for the shell.
        previous: the variables that hold the last output.
        output: takes what the command prints.
        operation: the engine's call.
    """

    inputs: dict[str, Any]
    command: str
    previous: dict[str, str]
    output: Output
    operation: Operation

    def failure(self, reason: str) -> PluginError:
        """Return the error of a command that failed, with all that it printed."""
        return PluginError(f"{reason}: running {quoted(self.command)}:\n{self.output.both()}")


def quoted(text: str) -> str:
    """Return a text as Go's `%q` prints it."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
