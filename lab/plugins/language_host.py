"""The lab's language host: runs a Pulumi program in Python, each time in a fresh interpreter."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from lab.plugins.kubernetes_protocol import NO_LIMIT, Engine, plugin_pb2  # first: no SDK

import grpc  # isort: skip
from google.protobuf.empty_pb2 import Empty  # isort: skip
from pulumi.runtime.proto import language_pb2, language_pb2_grpc  # isort: skip

VERSION = "3.259.0"
# The program told the user what is wrong by itself; the engine adds nothing.
BAIL = 32


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine asks of a language."""

    def __init__(self, engine_address: str) -> None:
        self._address = engine_address
        self._engine = Engine(engine_address) if engine_address else None
        self._running: set[subprocess.Popen[str]] = set()

    @property
    def busy(self) -> bool:
        """Whether a program runs."""
        return bool(self._running)

    def Handshake(self, request: Any, context: Any) -> Any:
        self._address = request.engine_address
        self._engine = Engine(request.engine_address)
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def About(self, request: Any, context: Any) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        yield from ()

    def Run(self, request: Any, context: Any) -> Any:
        command = [python_of(request), "-u", "-m", "lab.plugins.language_run", self._address]
        environment = {**os.environ, "PYTHONPATH": _import_path()}
        process = subprocess.Popen(
            command,
            cwd=request.info.program_directory or request.pwd or None,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.add(process)
        readers = [
            threading.Thread(target=self._forward, args=(stream, severity), daemon=True)
            for stream, severity in ((process.stdout, "INFO"), (process.stderr, "ERROR"))
        ]
        for reader in readers:
            reader.start()
        assert process.stdin is not None  # noqa: S101 - for the type checker
        # Configuration may hold secrets, so it goes neither by argument nor by environment.
        process.stdin.write(request.SerializeToString().hex())
        process.stdin.close()
        status = process.wait()
        for reader in readers:
            reader.join()
        self._running.discard(process)
        if status == BAIL:
            return language_pb2.RunResponse(bail=True)
        if status != 0:
            error = f"Program exited with non-zero exit code: {status}"
            return language_pb2.RunResponse(error=error)
        return language_pb2.RunResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        for process in list(self._running):
            process.send_signal(signal.SIGINT)
        return Empty()

    def _forward(self, stream: IO[str], severity: str) -> None:
        """Show what the program prints, line by line as it comes."""
        for line in stream:
            if self._engine is not None and line.strip():
                self._engine.log("", line.rstrip("\n"), severity=severity)


def python_of(request: Any) -> str:
    """Return the interpreter of the project's virtual environment, or else ours."""
    options = dict(request.info.options.fields) if request.HasField("info") else {}
    name = options["virtualenv"].string_value if "virtualenv" in options else ""
    python = Path(request.info.root_directory or ".") / name / "bin/python"
    return str(python) if name and python.exists() else sys.executable


def _import_path() -> str:
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))


def main() -> None:
    """Serve the host on a free port, and tell the engine which."""
    address = sys.argv[-1] if len(sys.argv) > 1 else ""
    sys.stderr.write("python language host: the lab's own, for the lab and the tests only\n")
    host = LanguageHost(address)
    # Ctrl-C reaches all processes of the terminal; a running program is the engine's to cancel.
    signal.signal(signal.SIGINT, lambda *_: None if host.busy else os._exit(0))
    server = grpc.server(ThreadPoolExecutor(8), options=NO_LIMIT)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
