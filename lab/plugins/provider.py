"""What every provider of the lab is made of, but for the kubernetes one, which is larger.

A resource type is a class with `check`, `diff`, `create`, `update` and `delete` over plain values;
this module turns the engine's calls into those.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf.empty_pb2 import Empty

from lab.plugins.kubernetes_protocol import (
    Engine,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    serve,
)
from lab.plugins.kubernetes_values import Object, read, write


class PluginError(Exception):
    """What a user is told; holds no secret that the user did not put into a command."""


@dataclass(frozen=True)
class Difference:
    """Which inputs have changed, how, and whether the resource must be made anew."""

    kinds: Mapping[str, str] = field(default_factory=dict)  # path -> ADD, UPDATE, DELETE[_REPLACE]
    replaces: tuple[str, ...] = ()


class ResourceType(Protocol):
    """What a resource type does. `say` shows a line beside the resource."""

    def check(self, news: Object) -> tuple[Object, list[tuple[str, str]]]: ...

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference: ...

    def create(
        self, name: str, inputs: Object, *, preview: bool, say: Callable[[str], None]
    ) -> tuple[str, Object]: ...

    def update(
        self, state: Object, inputs: Object, *, preview: bool, say: Callable[[str], None]
    ) -> Object: ...

    def delete(self, state: Object, say: Callable[[str], None]) -> None: ...


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A provider of some resource types, by their type tokens."""

    def __init__(
        self, version: str, types: Mapping[str, ResourceType], engine: Engine | None
    ) -> None:
        self._version = version
        self._types = types
        self._engine = engine

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def Attach(self, request: Any, context: Any) -> Any:
        self._engine = Engine(request.address)
        return Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptOutputs=False, acceptResources=False, supportsPreview=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        inputs, failures = self._type(request, context).check(read(request.news))
        return provider_pb2.CheckResponse(
            inputs=write(inputs),
            failures=[
                provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in failures
            ],
        )

    def Diff(self, request: Any, context: Any) -> Any:
        found = self._type(request, context).diff(
            read(request.old_inputs), read(request.olds), read(request.news)
        )
        ignored = set(request.ignoreChanges)
        kinds = {path: kind for path, kind in found.kinds.items() if path not in ignored}
        kind_of = provider_pb2.PropertyDiff.Kind.Value
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if kinds else none,
            diffs=sorted(kinds),
            replaces=[path for path in found.replaces if path not in ignored],
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=kind_of(kind), inputDiff=True)
                for path, kind in kinds.items()
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        name = request.urn.rpartition("::")[2]
        identity, state = self._run(
            context,
            lambda: self._type(request, context).create(
                name, read(request.properties), preview=request.preview, say=self._say(request)
            ),
        )
        return provider_pb2.CreateResponse(id=identity, properties=write(state))

    def Read(self, request: Any, context: Any) -> Any:
        # Neither a command nor a random value can be looked at: the state is what there is.
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    def Update(self, request: Any, context: Any) -> Any:
        state = self._run(
            context,
            lambda: self._type(request, context).update(
                read(request.olds),
                read(request.news),
                preview=request.preview,
                say=self._say(request),
            ),
        )
        return provider_pb2.UpdateResponse(properties=write(state))

    def Delete(self, request: Any, context: Any) -> Any:
        kind = self._type(request, context)
        self._run(context, lambda: kind.delete(read(request.properties), self._say(request)))
        return Empty()

    def _type(self, request: Any, context: grpc.ServicerContext) -> ResourceType:
        token = request.urn.split("::")[2].rpartition("$")[2]
        if token not in self._types:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the lab's plugin has no resource {token}")
        return self._types[token]

    def _say(self, request: Any) -> Callable[[str], None]:
        def say(line: str) -> None:
            if self._engine is not None:
                self._engine.log(request.urn, line, status=True)

        return say

    def _run(self, context: grpc.ServicerContext, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except PluginError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


def changes(old: Object, new: Object) -> dict[str, str]:
    """Return how each top-level input has changed."""
    found = {}
    for name in sorted({*old, *new}):
        if name not in new or new[name] is None:
            if old.get(name) is not None:
                found[name] = "DELETE"
        elif old.get(name) is None:
            found[name] = "ADD"
        elif old[name] != new[name]:
            found[name] = "UPDATE"
    return found


def main(name: str, version: str, types: Mapping[str, ResourceType]) -> None:
    """Serve a provider to the engine whose address is the last argument."""
    address = sys.argv[-1] if len(sys.argv) > 1 else ""
    sys.stderr.write(f"{name} provider: the lab's own, for the lab and the tests only\n")
    serve(Provider(version, types, Engine(address) if address else None))
