"""A command on this machine, by /bin/sh or another interpreter."""

import contextlib
import os
import signal
import subprocess
import threading
from typing import IO, Any

from lab.plugins.command_output import STDERR, STDOUT, Execution, Output

SHELL = ("/bin/sh", "-c")
_CHUNK_BYTES = 65536


class Running:
    """The commands that run now, so that a cancelled deployment can end them."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def cancel(self) -> None:
        """Kill what runs, and start nothing more."""
        with self._lock:
            self._cancelled = True
            for process in self._processes:
                process.kill()

    def start(
        self, words: list[str], *, directory: str | None, environment: dict[str, str], stdin: bool
    ) -> "subprocess.Popen[bytes]":
        """Start a process whose output is read here.

        Raises:
            OSError: it can't be started.
        """
        with self._lock:
            process = subprocess.Popen(
                words,
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self._processes.add(process)
            if self._cancelled:
                process.kill()
        return process

    def ended(self, process: "subprocess.Popen[bytes]") -> str:
        """Return how a process has ended, in Go's words; nothing if it succeeded."""
        self._processes.discard(process)
        if process.returncode == 0:
            return ""
        if process.returncode > 0:
            return f"exit status {process.returncode}"
        return f"signal: {str(signal.strsignal(-process.returncode)).lower()}"


def run(running: Running, execution: Execution) -> None:
    """Run a command to its end.

    Raises:
        PluginError: it can't be started, or fails.
    """
    inputs, output = execution.inputs, execution.output
    words = [*(inputs.get("interpreter") or SHELL), execution.command]
    stdin = (inputs.get("stdin") or "").encode()
    try:
        process = running.start(
            words,
            directory=inputs.get("dir"),
            environment={**os.environ, **(inputs.get("environment") or {}), **execution.previous},
            stdin=bool(stdin),
        )
    except OSError as error:
        raise execution.failure(_not_started(error, words, inputs)) from None
    streams = ((process.stdout, STDOUT), (process.stderr, STDERR))
    readers = [
        threading.Thread(target=_read, args=(stream, name, output), daemon=True)
        for stream, name in streams
    ]
    for reader in readers:
        reader.start()
    if process.stdin is not None:
        # A command need not read all of it.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(stdin)
    process.wait()
    for reader in readers:
        reader.join()
    output.end()
    if ended := running.ended(process):
        raise execution.failure(ended)


def _read(stream: IO[bytes], name: str, output: Output) -> None:
    with stream:
        while data := os.read(stream.fileno(), _CHUNK_BYTES):
            output.take(name, data)


def _not_started(error: OSError, words: list[str], inputs: dict[str, Any]) -> str:
    reason = os.strerror(error.errno or 0).lower()
    if error.filename is not None and error.filename == inputs.get("dir"):
        return f"chdir {inputs['dir']}: {reason}"
    if "/" in words[0]:
        return f"fork/exec {words[0]}: {reason}"
    return f'exec: "{words[0]}": executable file not found in $PATH'
