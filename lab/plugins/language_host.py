"""The lab's language host: runs a Pulumi program in Python, each time in a fresh interpreter.

Behaves like pulumi-language-python 3.259 for what `pulumi` needs to run a program. Left out: the
toolchains poetry and uv, the type checkers, debugging, making virtual environments, and what
serves packages and code generation.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.plugins.protocol import NO_LIMIT, plugin_pb2, stay  # first: no SDK

import grpc  # isort: skip
from google.protobuf.empty_pb2 import Empty  # isort: skip
from pulumi.runtime.proto import language_pb2, language_pb2_grpc  # isort: skip

VERSION = "3.259.0"
RUNNER = Path(__file__).with_name("language_run.py")
# The program has already told the user what is wrong; the engine adds nothing.
BAIL = 32
# How long a cancelled program may take to end.
GRACE_S = 5


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine asks of a language."""

    def __init__(self, engine_address: str) -> None:
        self._address = engine_address
        self._running: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    def end(self) -> None:
        """End the programs that run, and then this process."""
        self.Cancel(None, None)
        os._exit(0)

    def Handshake(self, request: Any, context: Any) -> Any:
        self._address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def About(self, request: Any, context: Any) -> Any:
        python = python_of(request)
        return language_pb2.AboutResponse(executable=python, version=_version_of(python))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        # Each resource names its plugin's version, so none has to be known before.
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        yield from ()

    def Run(self, request: Any, context: Any) -> Any:
        python = python_of(request)
        process = subprocess.Popen(
            [python, "-u", RUNNER, self._address],
            cwd=request.pwd or None,
            env=environment_of(python, os.environ),
            stdin=subprocess.PIPE,  # stdout and stderr are ours, which the engine shows
        )
        self._running.add(process)
        if self._cancelled or not context.add_callback(lambda: _interrupt(process)):
            _interrupt(process)
        try:
            # Configuration may hold secrets, so it goes neither by argument nor by environment.
            with contextlib.suppress(BrokenPipeError):
                process.communicate(request.SerializeToString())
        finally:
            self._running.discard(process)
        return _response(process.returncode)

    def Cancel(self, request: Any, context: Any) -> Any:
        self._cancelled = True
        for process in list(self._running):
            _interrupt(process)
        return Empty()


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Ask a program to end; kill it if it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _response(status: int) -> Any:
    if status == BAIL:
        return language_pb2.RunResponse(bail=True)
    if status != 0:
        # What a signal ended has no exit code, which the official host calls -1.
        error = f"program exited with non-zero exit code: {max(status, -1)}"
        return language_pb2.RunResponse(error=error)
    return language_pb2.RunResponse()


def python_of(request: Any) -> str:
    """Return the interpreter of the project's virtual environment if it exists, or else ours."""
    options = request.info.options.fields if request.HasField("info") else {}
    name = options["virtualenv"].string_value if "virtualenv" in options else ""
    python = Path(request.info.root_directory or ".", name, "bin/python")
    return str(python) if name and python.exists() else sys.executable


def environment_of(python: str, environ: Any) -> dict[str, str]:
    """Return the variables with the interpreter's virtual environment activated."""
    directory = Path(python).parent
    if not (directory.parent / "pyvenv.cfg").exists():
        return dict(environ)
    kept = {name: value for name, value in environ.items() if name != "PYTHONHOME"}
    path = os.pathsep.join(filter(None, [str(directory), kept.get("PATH")]))
    return {**kept, "VIRTUAL_ENV": str(directory.parent), "PATH": path}


def _version_of(python: str) -> str:
    if python == sys.executable:
        return sys.version.split()[0]
    said = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return said.stdout.strip().removeprefix("Python ")


def main() -> None:
    """Serve the host on a free port, and tell the engine which."""
    address = sys.argv[-1] if len(sys.argv) > 1 else ""
    sys.stderr.write("python language host: the lab's own, for the lab and the tests only\n")
    host = LanguageHost(address)
    # The engine ends its plugins by this signal. In a thread, because programs get time to end.
    signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=host.end).start())
    server = grpc.server(ThreadPoolExecutor(8), options=NO_LIMIT)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    stay(server)
