"""A mock of Pulumi's engine that keeps what a program registers."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import mocks
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

from admission.cluster_look import Look
from stack import shared_cluster, state

COMPONENT = "kubelet-tls-bootstrap:index:"
SEED = "0123456789abcdefghijklmnopqrstuv"
# What providers add to the inputs of a resource, by the types that the program may use.
PROVIDED: dict[str, dict[str, Any]] = {
    "command:local:Command": {"stderr": ""},
    "command:remote:Command": {"stdout": "", "stderr": ""},
    "random:index/randomPassword:RandomPassword": {"result": SEED},
    "kubernetes:core/v1:Secret": {"metadata": {"name": "n", "uid": "u-1"}},
    "pulumi:providers:kubernetes": {},
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": {},
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding": {},
    "kubernetes:apps/v1:Deployment": {},
    "kubernetes:core/v1:ConfigMap": {},
    "kubernetes:core/v1:ServiceAccount": {},
    "kubernetes:coordination.k8s.io/v1:LeasePatch": {},
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": {},
    "kubernetes:policy/v1:PodDisruptionBudget": {},
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": {},
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": {},
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBindingPatch": {},
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRolePatch": {},
    "kubernetes:rbac.authorization.k8s.io/v1:Role": {},
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": {},
}


class Engine(mocks.Mocks):
    """Keeps the inputs of each resource; a type that the program must not use is an error."""

    def __init__(
        self,
        joined: Mapping[str, str] = MappingProxyType({}),
        pending: Sequence[str] = (),
        state: Mapping[str, Any] = MappingProxyType({}),
        printed: Mapping[str, str] = MappingProxyType({}),
        failing: str | None = None,
        *,
        preview: bool = False,
    ) -> None:
        """Make one whose gates name these nodes, and which has this state of the last run.

        `joined` holds addresses by the names of the nodes; `state` types and outputs by URN;
        `printed` what commands print, by their names; `failing` is a resource that fails.
        """
        self.joined, self.pending, self.state = joined, pending, state
        self.printed, self.failing, self.preview = printed, failing, preview
        self.resources: dict[str, dict[str, Any]] = {}  # by name, without components
        self.requests: dict[str, dict[str, Any]] = {}  # by URN, components too
        self.outputs: dict[str, dict[str, Any]] = {}  # of components, by URN
        self.results: dict[str, str] = {}  # of random texts, by name
        self.hooks: dict[str, pulumi.ResourceHook] = {}  # by name; none is called
        self.cluster = Look(objects={}, inventories=())  # what it has before the run
        self.looks: list[tuple[str, ...]] = []  # each time that a run looks at it: for what

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ.startswith(COMPONENT):
            return "", args.inputs
        if args.name == self.failing:
            raise RuntimeError(f"{args.name} fails")
        assert args.name not in self.resources
        self.resources[args.name] = {"__type": args.typ, **args.inputs}
        said: Mapping[str, Any] = {}
        if args.name.endswith("-gate"):
            said = {"stdout": self._gate(args.inputs.get("stdin") or "{}")}
        if args.name in self.printed:
            said = {"stdout": self.printed[args.name]}
        if "result" in PROVIDED[args.typ]:
            self.results[args.name] = PROVIDED[args.typ]["result"]
        found = {**args.inputs, **PROVIDED[args.typ], **said}
        if isinstance(args.inputs.get("metadata"), dict):
            found["metadata"] = {**args.inputs["metadata"], **found["metadata"]}
        return f"{args.name}-id", found

    def _gate(self, orders: str) -> str:
        """Return what a gate prints that has these orders."""
        joins = {node["name"]: node["join"] for node in json.loads(orders).get("nodes", ())}
        nodes = [
            {"name": name, "address": address, "join": joins[name]}
            for name, address in self.joined.items()
            if name in joins
        ]
        pending = [{"name": n, "reason": "it is late"} for n in self.pending if n in joins]
        return json.dumps({"nodes": nodes, "pending": pending})

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        assert (args.token, args.args) == (state.READ, {"stackName": "o/p/s"})
        return {"name": "o/p/s", "outputs": dict(self.state)}

    def run(self, program: Callable[[], Any]) -> "Engine":
        """Run a program to its end, all of its outputs known."""
        self._begin()
        pulumi.runtime.test(program)()
        return self

    def run_stack(self, program: Callable[[], Any]) -> "Engine":
        """Run a whole program, as a language host does."""
        self._begin()
        settings = pulumi.runtime.settings.SETTINGS
        settings.rpc_manager.clear()
        settings.outputs.clear()
        set_root_resource(None)  # Pulumi's mocks have made one, and a program has one
        with patch.object(shared_cluster, "look", self._look):
            asyncio.get_event_loop().run_until_complete(run_in_stack(program))
        return self

    async def _look(self, *args: Any, namespace: str, patient: bool) -> Look:
        assert namespace  # the inventories' may be any
        assert patient is not self.preview
        self.looks.append(tuple(args[-1]))
        return self.cluster

    def _begin(self) -> None:
        mocks.set_mocks(
            self,
            project="p",
            stack="s",
            organization="o",
            preview=self.preview,
            monitor=_Monitor(self),
        )
        pulumi.runtime.settings.SETTINGS.callbacks = _Callbacks(self)

    def left_behind(self) -> dict[str, Any]:
        """Return the state that it leaves: types and outputs by URN."""
        return {
            urn: {
                "type": request["type"],
                "outputs": self._outputs(request["name"]) or self.outputs.get(urn, {}),
            }
            for urn, request in self.requests.items()
        }

    def _outputs(self, name: str) -> dict[str, Any]:
        made = self.resources.get(name, {})
        return {**made, "result": self.results[name]} if name in self.results else made

    def outputs_of(self, name: str) -> dict[str, Any]:
        """Return what the component with this name registered."""
        (found,) = (v for urn, v in self.outputs.items() if urn.endswith(f"::{name}"))
        return found


class _Monitor(mocks.MockMonitor):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.engine = engine

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Return the URN as the engine makes it: with the types of all parents but the stack."""
        chain = parent.split("::")[2] if parent else "pulumi:pulumi:Stack"
        if chain != "pulumi:pulumi:Stack":
            type_ = f"{chain}${type_}"
        return str(super().make_urn("", type_, name))  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        self.engine.requests[urn] = MessageToDict(request, preserving_proto_field_name=True)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.engine.outputs[request.urn] = MessageToDict(request).get("outputs", {})
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Callbacks:
    """Where hooks are registered; Pulumi's own mock has no such place."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        assert hook.name not in self._engine.hooks
        self._engine.hooks[hook.name] = hook
