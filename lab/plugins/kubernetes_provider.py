"""The kubernetes provider's side of the engine's protocol.

Stands in for pulumi-resource-kubernetes where that is not installed. Values go out and in as
`kubernetes_values` has them; what happens to them is `kubernetes_lifecycle`'s.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty

from lab.plugins import kubernetes_values as values
from lab.plugins.kubernetes_connection import Connection, connect
from lab.plugins.kubernetes_diff import path_text
from lab.plugins.kubernetes_errors import KubernetesError
from lab.plugins.kubernetes_kubeconfig import KubeconfigError
from lab.plugins.kubernetes_lifecycle import Naming, PartialError, Resource
from lab.plugins.kubernetes_protocol import (
    Engine,
    failed_after_writing,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    serve,
)
from lab.plugins.kubernetes_settings import Settings, changed, problems, replacing

VERSION = "4.34.2"

Result = TypeVar("Result")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider, configured once and then asked for many resources at the same time."""

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self._connection = Connection(Settings())

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def Attach(self, request: Any, context: Any) -> Any:
        self._engine = Engine(request.address)
        return Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        self._connection.cancelled.set()
        return Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        by_default = "::default" in request.urn.rpartition("pulumi:providers:kubernetes")[2]
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in problems(values.read(request.news), default_provider=by_default)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, new = values.read(request.olds), values.read(request.news)
        names = changed(old, new)
        if not names:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            diffs=names,
            replaces=_reported(context, lambda: replacing(old, new)),
        )

    def Configure(self, request: Any, context: Any) -> Any:
        settings = Settings.of(request.variables)
        self._connection = _reported(context, lambda: connect(settings))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        old, new = values.read(request.olds), values.read(request.news)
        options = request.autonaming if request.HasField("autonaming") else None
        naming = Naming(
            seed=request.randomSeed,
            proposed=options.proposed_name if options else "",
            disabled=bool(
                options and options.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE
            ),
        )
        inputs = self._run(context, request, lambda item: item.check(old, new, naming), new)
        return provider_pb2.CheckResponse(inputs=values.write(inputs))

    def Diff(self, request: Any, context: Any) -> Any:
        state, new = values.read(request.olds), values.read(request.news)
        plan = self._run(
            context, request, lambda item: item.diff(state, new, request.ignoreChanges), new
        )
        detailed = {
            path_text(path): provider_pb2.PropertyDiff(
                kind=provider_pb2.PropertyDiff.Kind.Value(change.kind),
                inputDiff=change.effect == "DELETE",
            )
            for path, change in plan.changes.items()
        }
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if plan.changes else none,
            replaces=[path_text(path) for path in plan.replaces],
            deleteBeforeReplace=plan.delete_first,
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        new = values.read(request.properties)
        identity, state = self._run(
            context,
            request,
            lambda item: item.create(new, preview=request.preview, timeout=request.timeout),
            new,
        )
        return provider_pb2.CreateResponse(id=identity, properties=values.write(state))

    def Read(self, request: Any, context: Any) -> Any:
        state, inputs = values.read(request.properties), values.read(request.inputs)
        found = self._run(
            context, request, lambda item: item.read(request.id, state, inputs), inputs
        )
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.identity,
            properties=values.write(found.state),
            inputs=values.write(found.inputs),
        )

    def Update(self, request: Any, context: Any) -> Any:
        state, new = values.read(request.olds), values.read(request.news)
        result = self._run(
            context,
            request,
            lambda item: item.update(
                state,
                new,
                preview=request.preview,
                timeout=request.timeout,
                ignored=request.ignoreChanges,
            ),
            new,
        )
        return provider_pb2.UpdateResponse(properties=values.write(result))

    def Delete(self, request: Any, context: Any) -> Any:
        state = values.read(request.properties)
        self._run(context, request, lambda item: item.delete(state, request.timeout), state)
        return Empty()

    def _run(
        self,
        context: grpc.ServicerContext,
        request: Any,
        operation: Callable[[Resource], Result],
        properties: values.Object,
    ) -> Result:
        urn = request.urn
        token = request.type or urn.split("::")[2].rpartition("$")[2]

        def log(message: str, **options: Any) -> None:
            if self._engine is not None:
                self._engine.log(urn, _redacted(message, properties), **options)

        def run() -> Result:
            return operation(Resource(self._connection, urn, token, log))

        return _reported(context, run, properties)


def _reported(
    context: grpc.ServicerContext,
    run: Callable[[], Result],
    properties: values.Object | None = None,
) -> Result:
    """Run, and hand errors to the engine: what is known of the object goes with them."""
    try:
        return run()
    except PartialError as error:
        message = _redacted(str(error), properties)
        reasons = [_redacted(reason, properties) for reason in error.reasons]
        state = values.write(error.state)
        details = failed_after_writing(message, error.identity, state, reasons)
        context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(grpc.StatusCode.UNKNOWN, message)
    except (KubernetesError, KubeconfigError, ValueError) as error:
        context.abort(grpc.StatusCode.UNKNOWN, _redacted(str(error), properties))
    except Exception as error:  # noqa: BLE001 - grpc would print it with whatever it holds
        kind = type(error).__name__
        message = _redacted(
            f"a fault of the lab's own kubernetes provider: {kind}: {error}", properties
        )
        context.abort(grpc.StatusCode.INTERNAL, message)
    raise AssertionError("abort raises")


def _redacted(message: str, properties: values.Object | None) -> str:
    """An API server may quote what it refuses; nothing secret of that is to be seen."""
    found = sorted(values.secret_strings(properties or {}), key=len, reverse=True)
    for text in found:
        if len(text) >= 3:
            message = message.replace(text, "[secret]")
    return message


def main() -> None:
    """Serve the provider to the engine whose address is the last argument."""
    address = sys.argv[-1] if len(sys.argv) > 1 else ""
    sys.stderr.write("kubernetes provider: the lab's own, for the lab and the tests only\n")
    serve(Provider(Engine(address) if address else None))


if __name__ == "__main__":
    main()
