"""The engine's protocol: its messages, a provider's server, the engine's log."""

import importlib.util
import os
import sys
import types
from concurrent.futures import ThreadPoolExecutor


def _without_the_sdk() -> None:
    """Make the SDK's messages importable without the SDK.

    `import pulumi` takes 200 ms, its messages take 20 ms, and a provider needs nothing else.
    """
    if "pulumi" in sys.modules:
        return
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("pulumi")
    root = found.submodule_search_locations[0]
    for name, path in (("pulumi", root), ("pulumi.runtime", f"{root}/runtime")):
        module = types.ModuleType(name)
        module.__path__ = [path]
        sys.modules[name] = module


_without_the_sdk()

import grpc  # noqa: E402
from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

__all__ = [
    "NO_LIMIT",
    "Engine",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "serve",
    "stay",
]

_LOOK_S = 5
# One thread for each operation under way; a command that runs holds one.
_THREADS = 256
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Engine:
    """The engine's side: where to log to."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address, options=NO_LIMIT)
        self._stub = engine_pb2_grpc.EngineStub(channel)

    def log(self, urn: str, message: str, *, severity: str = "INFO", status: bool = False) -> None:
        """Show a line beside a resource; as its status, in place of the line before."""
        level = engine_pb2.LogSeverity.Value(severity)
        request = engine_pb2.LogRequest(
            severity=level, message=message, urn=urn, streamId=0, ephemeral=status
        )
        self._stub.Log(request)


def serve(servicer: provider_pb2_grpc.ResourceProviderServicer) -> None:
    """Serve a provider on a free port of this machine, tell the engine which, and stay."""
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=NO_LIMIT)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    stay(server)


def stay(server: grpc.Server) -> None:
    """Start a server on a free port of this machine, tell the engine which, and stay."""
    port = server.add_insecure_port("127.0.0.1:0")
    engine = os.getppid()
    server.start()
    print(port, flush=True)
    # An engine that is killed tells nobody. Whoever adopts this process then is not the engine.
    while server.wait_for_termination(timeout=_LOOK_S) and os.getppid() == engine:
        pass
    os._exit(0)  # without the threads whose answers nobody waits for
