"""A cluster with one Node, and what the programs that leaving starts answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from admission import program, settings_file
from admission.api_server.api import ApiError, Keep
from admission.api_server.connection import Connection
from admission.api_server.lists import Listed
from tests.unit.admission.fakes import listed

NODE = "/api/v1/nodes/node-1"
PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&limit="
A_POD = {"kind": "PodList", "metadata": {}, "items": [{"metadata": {"name": "a"}}]}
NO_PODS = {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": []}


class FakeCluster:
    """Holds one Node, or none."""

    server = "https://api:6443"

    def __init__(
        self,
        calls: list[str],
        node: str | None,
        *,
        replaced: bool = False,
        ready: str = "True",
        pods: Any = A_POD,
        refusals: Mapping[str, int] | None = None,
        cordoned: bool = False,
        cordoned_by_us: bool = False,
        budgets: Any = None,
        then: str | None = None,
        finalizers: Sequence[str] = (),
        looks: int = 1000,
    ) -> None:
        self.calls, self.node, self.replaced, self.ready = calls, node, replaced, ready
        self.pods, self.refusals, self.cordoned = pods, refusals or {}, cordoned
        self.cordoned_by_us, self.budgets = cordoned_by_us, budgets or {"items": []}
        self.then = then  # the uid after a refusal
        # What keeps a Node that is deleted, and how often it is seen until that is removed.
        self.finalizers, self.looks, self.is_deleted = finalizers, looks, False
        self.inventories: dict[str, list[dict[str, Any]]] = {}  # by their namespaces

    async def insist(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Any:
        assert (content_type == "application/merge-patch+json") is (method == "PATCH")
        if path.startswith(PODS):
            method = "LIST" if path == f"{PODS}1" else "LOOK"
        elif path.startswith("/apis/policy/v1/"):
            method = "BUDGETS"
        else:
            assert path == NODE
        if method in self.refusals:
            self.node = self.then or self.node
            raise ApiError(self.refusals[method], method, path, "no")
        if method in ("LIST", "LOOK"):
            self.calls.append(method)
            return self.pods
        if method == "BUDGETS":
            self.calls.append(f"{method} {path.split('/')[5]}")
            return self.budgets
        self.calls.append(method if body is None else f"{method} {body}")
        if self.is_deleted and method == "GET":
            self.looks -= 1
        if self.node is None or self.looks < 0:
            raise ApiError(404, method, path, "not found")
        if method == "DELETE" and self.replaced:
            raise ApiError(409, method, path, "precondition failed")
        if method == "DELETE" and not self.finalizers:
            return {"kind": "Status", "metadata": {}, "status": "Success"}
        conditions = [{"type": "Ready", "status": self.ready}]
        metadata: dict[str, Any] = {"name": "node-1", "uid": self.node}
        if self.is_deleted or method == "DELETE":
            self.is_deleted = True
            metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": self.finalizers}
        if self.cordoned_by_us:
            metadata["annotations"] = {"kubelet-tls-bootstrap/cordoned": "true"}
        addresses = [{"type": "InternalIP", "address": "10.0.0.1"}]
        status = {"conditions": conditions, "addresses": addresses}
        cordoned = self.cordoned or self.cordoned_by_us
        spec: dict[str, Any] = {"unschedulable": True} if cordoned else {"podCIDR": "10.1.0.0/24"}
        return {"metadata": metadata, "spec": spec, "status": status}

    async def list(self, path: str, keep: Keep) -> Listed:
        if path.startswith("/api/v1/namespaces/"):
            if "INVENTORIES" in self.refusals:
                raise ApiError(self.refusals["INVENTORIES"], "GET", path, "no")
            return listed(self.inventories.get(path.split("/")[4], ()), keep)
        found = await self.insist("GET", f"{path}&limit=250" if "?" in path else path)
        return listed(found.get("items") or (), keep)

    async def close(self) -> None:
        self.calls.append("close")


class Scene:
    """What was called, and what programs answer: exit status, stdout, stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster | None = None) -> None:
        self.calls: list[str] = cluster.calls if cluster else []
        self.answer: tuple[int, str, str] = (0, "", "")
        self.settings: dict[str, str] = {}
        self.secrets = {"kubeconfig"}
        self.outputs: dict[tuple[str, str], Any] = {}  # of other stacks, by stack and name
        self.file: dict[str, str] | None = None  # what the settings' file says by itself
        self.failures: list[tuple[int, str, str]] = []  # of `pulumi`, before it answers

        async def connect(path: str, content: None, renew: object = None) -> FakeCluster | None:
            return cluster

        async def run(*command: str, timeout_s: float) -> tuple[int, str, str]:
            assert timeout_s > 0
            self.calls.append(" ".join(command))
            if self.failures:
                return self.failures.pop()
            if command[0] != "pulumi" or self.answer[0]:
                return self.answer
            if command[1:3] == ("config", "--json"):
                held = {
                    f"p:{key}": {"secret": True} if key in self.secrets else {"value": value}
                    for key, value in self.settings.items()
                }
                return 0, json.dumps(held), ""
            if command[1:3] == ("stack", "output"):
                assert command[4:6] == ("--json", "--stack")
                found = self.outputs.get((command[6], command[3]))
                return (1, "", "no such output") if found is None else (0, json.dumps(found), "")
            key, stack = command[3], command[5] if "--stack" in command else "selected"
            if key in self.settings:
                return 0, f"{self.settings[key]}\n", ""
            return 1, "", f"error: configuration key '{key}' not found for stack '{stack}'\n"

        monkeypatch.setattr(Connection, "open", connect)
        monkeypatch.setattr(program, "run", run)
        monkeypatch.setattr(settings_file, "read", lambda *_: self.file)


DRAIN = "kubectl --kubeconfig=config drain node-1 --ignore-daemonsets --timeout=300s"
CORDON, LIFT = (
    "PATCH {'metadata': {'uid': 'uid-1', 'annotations': {'kubelet-tls-bootstrap/cordoned': "
    + f"{mark}}}}}, 'spec': {{'unschedulable': {value}}}}}"
    for mark, value in (("'true'", True), (None, None))
)
DELETE = "DELETE {'preconditions': {'uid': 'uid-1'}}"
