"""The kubernetes provider's protocol as the engine speaks it, for either plugin."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from lab.plugins.kubernetes_values import Unknown, read, write

Object = dict[str, Any]

OWN = Path(__file__).parents[3] / "lab/plugins/bin/pulumi-resource-kubernetes"
_PREFIX = "urn:pulumi:test::contract::"


only_own = pytest.mark.skipif(
    os.environ.get("LAB_PLUGINS", "own") != "own",
    reason="here the lab's own provider is stricter than the official one, or does less",
)


class PluginError(Exception):
    """What the provider answered instead of a result."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__(error.details())
        self.identity = ""
        self.state: Object = {}
        self.reasons: list[str] = []
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for detail in status_pb2.Status.FromString(value).details:
                    failed = provider_pb2.ErrorResourceInitFailed()
                    if detail.Unpack(failed):
                        self.identity = failed.id
                        self.state = read(failed.properties)
                        self.reasons = list(failed.reasons)


@dataclass(frozen=True)
class Difference:
    """A diff's answer, in words."""

    changes: str
    replaces: list[str]
    delete_first: bool
    detailed: dict[str, str]


@dataclass(frozen=True)
class Resource:
    """One resource of a program."""

    provider: "Provider"
    token: str
    name: str = "it"

    @property
    def _base(self) -> dict[str, str]:
        urn = f"{_PREFIX}{self.token}::{self.name}"
        return {"urn": urn, "name": self.name, "type": self.token}

    def check(self, inputs: Object, old: Object | None = None, **options: Any) -> Object:
        """Return the checked inputs."""
        answer = self._call(
            "Check",
            provider_pb2.CheckRequest(
                **self._base, news=write(inputs), olds=write(old or {}), **options
            ),
        )
        assert not answer.failures, answer.failures
        return read(answer.inputs)

    def create(
        self, inputs: Object, *, preview: bool = False, timeout: float = 0
    ) -> tuple[str, Object]:
        """Create from checked inputs; return the id and the state."""
        answer = self._call(
            "Create",
            provider_pb2.CreateRequest(
                **self._base, properties=write(inputs), preview=preview, timeout=timeout
            ),
        )
        return answer.id, read(answer.properties)

    def up(self, inputs: Object) -> tuple[str, Object]:
        """Check and create."""
        return self.create(self.check(inputs))

    def diff(
        self, identity: str, state: Object, inputs: Object, ignore: Iterable[str] = ()
    ) -> Difference:
        """Compare a state with checked inputs."""
        answer = self._call(
            "Diff",
            provider_pb2.DiffRequest(
                **self._base,
                id=identity,
                olds=write(state),
                news=write(inputs),
                old_inputs=write(state.get("__inputs", {})),
                ignoreChanges=ignore,
            ),
        )
        assert answer.hasDetailedDiff
        kinds = provider_pb2.PropertyDiff.Kind
        return Difference(
            changes=provider_pb2.DiffResponse.DiffChanges.Name(answer.changes),
            replaces=sorted(answer.replaces),
            delete_first=answer.deleteBeforeReplace,
            detailed={key: kinds.Name(item.kind) for key, item in answer.detailedDiff.items()},
        )

    def update(
        self,
        identity: str,
        state: Object,
        inputs: Object,
        *,
        ignore: Iterable[str] = (),
        preview: bool = False,
        timeout: float = 0,
    ) -> Object:
        """Update to checked inputs; return the new state."""
        answer = self._call(
            "Update",
            provider_pb2.UpdateRequest(
                **self._base,
                id=identity,
                olds=write(state),
                news=write(inputs),
                ignoreChanges=ignore,
                preview=preview,
                timeout=timeout,
            ),
        )
        return read(answer.properties)

    def read(
        self, identity: str, state: Object | None = None, inputs: Object | None = None
    ) -> tuple[str, Object, Object]:
        """Refresh, or import without state; return id, state, inputs."""
        answer = self._call(
            "Read",
            provider_pb2.ReadRequest(
                **self._base, id=identity, properties=write(state or {}), inputs=write(inputs or {})
            ),
        )
        return answer.id, read(answer.properties), read(answer.inputs)

    def delete(self, identity: str, state: Object, *, timeout: float = 0) -> None:
        """Delete."""
        self._call(
            "Delete",
            provider_pb2.DeleteRequest(
                **self._base, id=identity, properties=write(state), timeout=timeout
            ),
        )

    def _call(self, method: str, request: Any) -> Any:
        return self.provider.call(method, request)


@dataclass
class Provider:
    """A started plugin."""

    process: "subprocess.Popen[str]"
    stub: Any
    log: list[str] = field(default_factory=list)

    def call(self, method: str, request: Any) -> Any:
        """Make one call."""
        try:
            return getattr(self.stub, method)(request, timeout=120)
        except grpc.RpcError as error:
            raise PluginError(error) from None

    def resource(self, token: str, name: str = "it") -> Resource:
        """Return a resource of this provider."""
        return Resource(self, token, name)

    def check_config(self, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what the provider finds wrong with settings."""
        answer = self.call(
            "CheckConfig",
            provider_pb2.CheckRequest(
                urn=f"{_PREFIX}pulumi:providers:kubernetes::p", news=write(_texts(settings))
            ),
        )
        return [(item.property, item.reason) for item in answer.failures]

    def diff_config(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Return whether settings changed, and which changes replace everything."""
        answer = self.call(
            "DiffConfig",
            provider_pb2.DiffRequest(
                urn=f"{_PREFIX}pulumi:providers:kubernetes::p",
                olds=write(_texts(old)),
                news=write(_texts(new)),
            ),
        )
        return provider_pb2.DiffResponse.DiffChanges.Name(answer.changes), list(answer.replaces)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Configure, as the engine does after CheckConfig."""
        texts = _texts(settings)
        self.call(
            "Configure",
            provider_pb2.ConfigureRequest(
                variables={f"kubernetes:config:{key}": value for key, value in texts.items()},
                args=write(texts),
                acceptSecrets=True,
                acceptResources=True,
            ),
        )

    def cancel(self) -> None:
        """Ask for an end of what is under way."""
        self.stub.Cancel(provider_pb2.google_dot_protobuf_dot_empty__pb2.Empty())

    def close(self) -> None:
        """End the plugin."""
        self.process.terminate()
        self.process.wait(10)


class Engine(engine_pb2_grpc.EngineServicer):
    """The engine's side: keeps what plugins log."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(8))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Log(self, request: Any, context: Any) -> Any:
        self.lines.append(request.message)
        return engine_pb2.google_dot_protobuf_dot_empty__pb2.Empty()

    def close(self) -> None:
        """Stop serving."""
        self._server.stop(0)


def program() -> Path:
    """Return the plugin that LAB_PLUGINS names: `own`, the default, or `official` on PATH.

    Raises:
        FileNotFoundError: the official one is wanted but not there.
    """
    if os.environ.get("LAB_PLUGINS", "own") == "own":
        return OWN
    found = shutil.which("pulumi-resource-kubernetes")
    if found is None or Path(found).resolve() == OWN:
        raise FileNotFoundError(
            "LAB_PLUGINS=official, but PATH has no official pulumi-resource-kubernetes"
        )
    return Path(found)


def start(engine: Engine) -> Provider:
    """Start the plugin."""
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    process = subprocess.Popen(
        [program(), engine.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    return Provider(process, provider_pb2_grpc.ResourceProviderStub(channel), engine.lines)


def _texts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's inputs that are no texts reach it as JSON."""
    return {
        key: value if isinstance(value, str | Unknown) else json.dumps(value)
        for key, value in settings.items()
    }
