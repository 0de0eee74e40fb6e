"""What both providers of the lab have in common.

A resource type is a class with `check`, `diff`, `create`, `read`, `update` and `delete` over
plain values; this module turns the engine's calls into those.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf.empty_pb2 import Empty

from lab.plugins.property_values import Object, read, write
from lab.plugins.protocol import (
    Engine,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    serve,
)

Failures = list[tuple[str, str]]


class PluginError(Exception):
    """An error for the user; it holds no secret that the user did not put into a command."""


@dataclass(frozen=True)
class Difference:
    """Which inputs have changed, and whether the resource must be replaced.

    Attributes:
        changed: the inputs' names.
        replaces: those of them that replace the resource.
        kinds: path -> ADD, UPDATE, DELETE (with _REPLACE), or None to report only names.
    """

    changed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    kinds: Mapping[str, str] | None = None


class Say(Protocol):
    """Shows a line beside a resource: as its status, in place of the line before, or to stay."""

    def __call__(self, line: str, *, severity: str = "INFO", status: bool = True) -> None: ...


@dataclass(frozen=True)
class Operation:
    """One call of the engine."""

    name: str
    preview: bool
    say: Say
    cancelled: threading.Event
    """Set when the deployment is cancelled: whatever waits must end."""


class ResourceType(Protocol):
    """What a resource type does."""

    def check(self, name: str, news: Object) -> tuple[Object, Failures]: ...

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference: ...

    def create(self, operation: Operation, inputs: Object) -> tuple[str, Object]: ...

    def read(self, identity: str, state: Object, inputs: Object) -> tuple[str, Object, Object]: ...

    def update(self, operation: Operation, state: Object, inputs: Object) -> Object: ...

    def delete(self, operation: Operation, state: Object) -> None: ...


@dataclass(frozen=True)
class Package:
    """A provider's name, version, resource types by token, and what it asks of the engine."""

    name: str
    version: str
    types: Mapping[str, ResourceType]
    accept_secrets: bool
    """Whether inputs come with their secret marks; else the engine marks the outputs itself."""
    cancel: Callable[[], None] = field(default=lambda: None)
    """Ends everything that runs, when the deployment is cancelled."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The engine's calls, for one package."""

    def __init__(self, package: Package, engine: Engine | None) -> None:
        self._package = package
        self._engine = engine
        self._cancelled = threading.Event()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._package.version)

    def Attach(self, request: Any, context: Any) -> Any:
        self._engine = Engine(request.address)
        return Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        self._cancelled.set()
        self._package.cancel()
        return Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self._package.accept_secrets, acceptResources=True, supportsPreview=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        kind = self._type(request, context)
        news = read(request.news)
        inputs, failures = self._run(context, lambda: kind.check(_name(request), news))
        return provider_pb2.CheckResponse(
            inputs=write(inputs),
            failures=[
                provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in failures
            ],
        )

    def Diff(self, request: Any, context: Any) -> Any:
        kind = self._type(request, context)
        state = read(request.olds)
        news = ignoring(request.ignoreChanges, state, read(request.news))
        found = self._run(context, lambda: kind.diff(read(request.old_inputs), state, news))
        kind_of = provider_pb2.PropertyDiff.Kind.Value
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if found.changed else none,
            diffs=sorted(found.changed),
            replaces=sorted(found.replaces),
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=kind_of(name))
                for path, name in (found.kinds or {}).items()
            },
            hasDetailedDiff=found.kinds is not None,
        )

    def Create(self, request: Any, context: Any) -> Any:
        kind, operation = self._type(request, context), self._operation(request, request.preview)
        inputs = read(request.properties)
        identity, state = self._run(context, lambda: kind.create(operation, inputs))
        return provider_pb2.CreateResponse(id=identity, properties=self._written(context, state))

    def Read(self, request: Any, context: Any) -> Any:
        kind = self._type(request, context)
        state, inputs = read(request.properties), read(request.inputs)
        identity, state, inputs = self._run(context, lambda: kind.read(request.id, state, inputs))
        return provider_pb2.ReadResponse(id=identity, properties=write(state), inputs=write(inputs))

    def Update(self, request: Any, context: Any) -> Any:
        kind, operation = self._type(request, context), self._operation(request, request.preview)
        old = read(request.olds)
        news = ignoring(request.ignoreChanges, old, read(request.news))
        state = self._run(context, lambda: kind.update(operation, old, news))
        return provider_pb2.UpdateResponse(properties=self._written(context, state))

    def Delete(self, request: Any, context: Any) -> Any:
        kind, operation = self._type(request, context), self._operation(request, preview=False)
        self._run(context, lambda: kind.delete(operation, read(request.properties)))
        return Empty()

    def _type(self, request: Any, context: grpc.ServicerContext) -> ResourceType:
        token = request.urn.split("::")[2].rpartition("$")[2]
        if token not in self._package.types:
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Resource {token!r} not found: the lab's own {self._package.name} plugin has "
                f"only {', '.join(self._package.types)}",
            )
        return self._package.types[token]

    def _operation(self, request: Any, preview: bool) -> Operation:
        def say(line: str, *, severity: str = "INFO", status: bool = True) -> None:
            if self._engine is not None:
                self._engine.log(request.urn, line, severity=severity, status=status)

        return Operation(_name(request), preview, say, self._cancelled)

    def _run(self, context: grpc.ServicerContext, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except PluginError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    def _written(self, context: grpc.ServicerContext, state: Object) -> Any:
        try:
            return write(state)
        except UnicodeEncodeError:  # output that is not text
            context.abort(
                grpc.StatusCode.INTERNAL,
                "grpc: error while marshaling: string field contains invalid UTF-8",
            )


def _name(request: Any) -> str:
    return str(request.urn.rpartition("::")[2])


def ignoring(paths: Iterable[str], state: Object, news: Object) -> Object:
    """Return the new inputs, with the state's values for the paths to ignore."""
    result = dict(news)
    for path in paths:
        name, _, key = path.partition(".")
        old = state.get(name)
        if name not in state:
            continue
        if not key:
            result[name] = old
        elif isinstance(old, dict) and key in old and isinstance(result.get(name), dict):
            result[name] = {**result[name], key: old[key]}
    return result


def main(package: Package) -> None:
    """Serve a provider to the engine whose address is the last argument."""
    address = sys.argv[-1] if len(sys.argv) > 1 else ""
    sys.stderr.write(f"{package.name} provider: the lab's own, for the lab and the tests only\n")
    serve(Provider(package, Engine(address) if address else None))
