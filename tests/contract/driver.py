"""A provider's protocol as the engine speaks it, for the lab's own plugin or the official one."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from lab.layout import Layout
from lab.plugins.property_values import Unknown, read, write
from lab.toolchain import find

Object = dict[str, Any]

OWN = Path(__file__).parents[2] / "lab/plugins/bin"
IS_OWN = os.environ.get("LAB_PLUGINS", "own") == "own"
_PREFIX = "urn:pulumi:test::contract::"
_LIMIT_S = 300


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
    def urn(self) -> str:
        """The resource's name in the engine."""
        return f"{_PREFIX}{self.token}::{self.name}"

    @property
    def _base(self) -> dict[str, str]:
        return {"urn": self.urn, "name": self.name, "type": self.token}

    def check(self, inputs: Object, old: Object | None = None, **options: Any) -> Object:
        """Return the checked inputs."""
        answer = self._check(inputs, old, options)
        assert not answer.failures, answer.failures
        return read(answer.inputs)

    def failures(self, inputs: Object) -> list[tuple[str, str]]:
        """Return what the provider finds wrong with inputs."""
        answer = self._check(inputs, None, {})
        return [(failure.property, failure.reason) for failure in answer.failures]

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
        self,
        identity: str,
        state: Object,
        inputs: Object,
        ignore: Iterable[str] = (),
        old_inputs: Object | None = None,
    ) -> Difference:
        """Compare a state, and the inputs that it was made from, with checked inputs."""
        old = state.get("__inputs", {}) if old_inputs is None else old_inputs
        answer = self._call(
            "Diff",
            provider_pb2.DiffRequest(
                **self._base,
                id=identity,
                olds=write(state),
                news=write(inputs),
                old_inputs=write(old),
                ignoreChanges=ignore,
            ),
        )
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
        old_inputs: Object | None = None,
    ) -> Object:
        """Update to checked inputs; return the new state."""
        answer = self._call(
            "Update",
            provider_pb2.UpdateRequest(
                **self._base,
                id=identity,
                olds=write(state),
                news=write(inputs),
                old_inputs=write(old_inputs or {}),
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

    def _check(self, inputs: Object, old: Object | None, options: Object) -> Any:
        request = provider_pb2.CheckRequest(
            **self._base, news=write(inputs), olds=write(old or {}), **options
        )
        return self._call("Check", request)

    def _call(self, method: str, request: Any) -> Any:
        return self.provider.call(method, request)


class Logged(NamedTuple):
    """One line of a plugin's log."""

    urn: str
    severity: str
    status: bool
    message: str


@dataclass
class Provider:
    """A started plugin."""

    package: str
    process: "subprocess.Popen[str]"
    stub: Any
    log: list[str] = field(default_factory=list)

    def call(self, method: str, request: Any) -> Any:
        """Make one call."""
        try:
            return getattr(self.stub, method)(request, timeout=_LIMIT_S)
        except grpc.RpcError as error:
            raise PluginError(error) from None

    def resource(self, token: str, name: str = "it") -> Resource:
        """Return a resource of this provider."""
        return Resource(self, token, name)

    def check_config(self, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what the provider finds wrong with settings."""
        answer = self.call(
            "CheckConfig", provider_pb2.CheckRequest(urn=self._urn, news=write(_texts(settings)))
        )
        return [(item.property, item.reason) for item in answer.failures]

    def diff_config(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Return whether settings changed, and which changes replace everything."""
        answer = self.call(
            "DiffConfig",
            provider_pb2.DiffRequest(
                urn=self._urn, olds=write(_texts(old)), news=write(_texts(new))
            ),
        )
        return provider_pb2.DiffResponse.DiffChanges.Name(answer.changes), list(answer.replaces)

    def configure(self, settings: Mapping[str, Any]) -> Any:
        """Configure, as the engine does after CheckConfig; return what the provider can do."""
        texts = _texts(settings)
        return self.call(
            "Configure",
            provider_pb2.ConfigureRequest(
                variables={f"{self.package}:config:{key}": value for key, value in texts.items()},
                args=write(texts),
                acceptSecrets=True,
                acceptResources=True,
                sends_old_inputs=True,
                sends_old_inputs_to_delete=True,
            ),
        )

    def cancel(self) -> None:
        """Ask for an end of what is under way."""
        self.stub.Cancel(provider_pb2.google_dot_protobuf_dot_empty__pb2.Empty())

    def close(self) -> None:
        """End the plugin."""
        self.process.terminate()
        self.process.wait(10)

    @property
    def _urn(self) -> str:
        return f"{_PREFIX}pulumi:providers:{self.package}::p"


class Engine(engine_pb2_grpc.EngineServicer):
    """The engine's side: keeps what plugins log."""

    def __init__(self) -> None:
        self.logged: list[Logged] = []
        self.lines: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(8))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Log(self, request: Any, context: Any) -> Any:
        severity = engine_pb2.LogSeverity.Name(request.severity)
        self.logged.append(Logged(request.urn, severity, request.ephemeral, request.message))
        self.lines.append(request.message)
        return engine_pb2.google_dot_protobuf_dot_empty__pb2.Empty()

    def close(self) -> None:
        """Stop serving."""
        self._server.stop(0)


def plugin(name: str) -> Path:
    """Return a plugin's program: the lab's own, or with LAB_PLUGINS=official the official one.

    What the lab has none of its own for, the provider `kubernetes`, is the official one always.
    Official ones are looked for in LAB_OFFICIAL_PLUGINS, else in the lab's cache and on PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    if IS_OWN and (OWN / name).exists():
        return OWN / name
    built = find(Layout.find().cache)
    places = [*map(str, built.path if built else ()), os.environ["PATH"]]
    path = os.environ.get("LAB_OFFICIAL_PLUGINS", os.pathsep.join(places))
    found = shutil.which(name, path=path)
    if found is None or Path(found).parent.resolve() == OWN:
        raise FileNotFoundError(
            f"there is no official {name} on PATH or in the lab's cache; build it with "
            "`python -m lab toolchain`, install it, or name its directory in LAB_OFFICIAL_PLUGINS"
        )
    return Path(found)


def environment(**changes: str | None) -> dict[str, str]:
    """Return this process's variables with changes; None takes one away."""
    changed = {**os.environ, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def start(
    package: str, engine: Engine, environment: Mapping[str, str] | None = None, **options: Any
) -> Provider:
    """Start a provider. `options` are those of Popen."""
    process = subprocess.Popen(
        [plugin(f"pulumi-resource-{package}"), engine.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ if environment is None else environment,
        **options,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub = provider_pb2_grpc.ResourceProviderStub(channel)
    return Provider(package, process, stub, engine.lines)


def _texts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's inputs that are no texts reach it as JSON."""
    return {
        key: value if isinstance(value, str | Unknown) else json.dumps(value)
        for key, value in settings.items()
    }
