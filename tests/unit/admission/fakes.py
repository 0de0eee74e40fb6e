"""An API server in memory, a clock that runs only while all wait, and requests as kubelets send."""

import asyncio
import base64
import ipaddress
import itertools
import selectors
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from admission.api_server.api import (
    CSRS,
    NODES,
    ApiError,
    Keep,
    NewBound,
    Say,
    See,
    Watched,
    no_bound,
)
from admission.api_server.lists import Listed, keep_one
from admission.gate.orders import Orders, Token
from admission.inventory import Denied, InventoryNode
from admission.serving_certificate import ServingCertificate

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
END = datetime(2027, 11, 24, tzinfo=UTC)
SERVING = "kubernetes.io/kubelet-serving"
CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
TOKEN_ID = "abc123"
KEY = ec.generate_private_key(ec.SECP256R1())


class _Skips(selectors.DefaultSelector):
    """Waits for nothing: lets time pass instead."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        if not ready and timeout:
            self.passed_s += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skips = _Skips()
        super().__init__(self._skips)

    def time(self) -> float:
        return self._skips.passed_s

    def run_in_executor(self, executor: Any, func: Any, *arguments: Any) -> Any:
        """Run it at once: no time passes meanwhile."""
        done = self.create_future()
        try:
            done.set_result(func(*arguments))
        except Exception as error:  # noqa: BLE001 - it is for whoever waits
            done.set_exception(error)
        return done


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in no time, whatever it waits for; nothing may fail unseen."""
    unseen: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
        result = runner.run(work)
    assert not unseen, unseen
    return result


def clock() -> float:
    return asyncio.get_running_loop().time()


def entry(name: str, *addresses: str) -> InventoryNode:
    return InventoryNode(
        name=name, addresses=tuple(map(ipaddress.ip_address, addresses)), dns_names=(name,)
    )


def orders(*nodes: InventoryNode, stall_s: int = 60) -> Orders:
    return Orders(
        kubeconfig_path="kubeconfig",
        kubeconfig=None,
        pool="workers",
        nodes={node.name: node for node in nodes},
        kubelet_versions={node.name: "1.37" for node in nodes},
        tokens=(Token(id=TOKEN_ID, secret_uid="uid", group="system:bootstrappers:workers"),),
        after_join="revoke",
        client_approval="controller-manager",
        serving_approval="gate",
        skipped_checks=frozenset(),
        denied=Denied(networks=(ipaddress.ip_network("10.96.0.0/12"),)),
        stall_s=stall_s,
    )


def pem(node: str, names: Iterable[str], addresses: Iterable[str]) -> bytes:
    sans: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    sans += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    subject = [(NameOID.ORGANIZATION_NAME, "system:nodes")]
    subject += [(NameOID.COMMON_NAME, f"system:node:{node}")]
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def merge(item: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """What an API server makes of an object and a merge patch (RFC 7396)."""
    merged = dict(item)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            below = merged.get(key)
            nested = below if isinstance(below, Mapping) else {}
            merged[key] = merge(nested, value) if isinstance(value, Mapping) else value
    return merged


def listed(items: Iterable[dict[str, Any]], keep: Keep, new_bound: NewBound = no_bound) -> Listed:
    """What an API server's list gives."""
    found, bound = Listed(version="1"), new_bound()
    for item in items:
        keep_one(item, keep, found, bound)
    found.items = [kept for kept in found.items if kept]
    return found


def _collection(watched: Watched) -> str:
    """The path of what is listed; the inventories have a selector that all of them match."""
    return watched.path if "labelSelector" in watched.path else watched.path.partition("?")[0]


def _selects(watched: Watched, item: Mapping[str, Any]) -> bool:
    _, _, signer = watched.path.partition("spec.signerName=")
    return not signer or item["spec"]["signerName"] == signer


class FakeApi:
    """Holds CSRs and Nodes; any call that is not foreseen raises."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {CSRS: {}, NODES: {}}
        self.allowed = True
        self.may = False  # whether we may approve
        self.reached: dict[str, bool] = {}  # a node's name -> whether the API server reaches it
        self.answers: dict[str, list[Exception]] = {}  # method and path -> failures to give first
        self.asked: list[str] = []
        self.approved: list[str] = []
        self._watchers: list[tuple[Watched, See]] = []
        self._numbers = itertools.count(1)

    # What the gate calls

    async def watch(self, watched: Watched, see: See, say: Say) -> None:
        self._fail(f"WATCH {watched.path}")
        self._watchers.append((watched, see))
        self._sync(watched, see)
        await asyncio.Future()

    async def reach(self, path: str) -> None:
        self._fail(f"GET {path}")
        assert path.endswith("/proxy/healthz")
        if not self.reached.get(path.split("/")[4], True):
            raise ApiError(503, "GET", path, "error trying to reach service")

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        self._fail(f"REVIEW {requester['username']}")
        return self.allowed

    async def may_approve(self, signer: str) -> bool:
        self._fail(f"RIGHTS {signer}")
        return self.may

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        path, _, query = path.partition("?")
        _, _, chosen = query.partition("metadata.name%3D")
        self._fail(f"{method} {path}/{chosen}" if chosen else f"{method} {path}")
        if (method, path) == ("GET", CSRS) and chosen:
            found = self.objects[CSRS].get(chosen)
            return {"items": [found] if found else None}
        if method == "PATCH" and path.startswith(f"{NODES}/"):
            assert content_type == "application/merge-patch+json"
            return self._patch_node(path.rpartition("/")[2], body or {})
        if method == "PUT" and path.startswith(f"{CSRS}/") and path.endswith("/approval"):
            return self._approve(path.removesuffix("/approval").rpartition("/")[2], body or {})
        if method == "GET" and path.startswith(f"{NODES}/"):
            if (name := path.rpartition("/")[2]) in self.objects[NODES]:
                return self.objects[NODES][name]
            raise ApiError(404, method, path, "not found")
        raise AssertionError(f"not foreseen: {method} {path}")

    def _fail(self, call: str) -> None:
        self.asked.append(call)
        if self.answers.get(call):
            raise self.answers[call].pop(0)

    def _approve(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        item = self.objects[CSRS][name]
        if body["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            raise ApiError(409, "PUT", name, "the object has been modified")
        self.approved.append(name)
        return self.put(CSRS, {**item, "status": dict(body["status"])})

    def _patch_node(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        item = self.objects[NODES][name]
        if patch["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            raise ApiError(409, "PATCH", name, "the object has been modified")
        return self.put(NODES, merge(item, patch))

    # What a test makes happen

    def sync(self, path: str) -> None:
        """Start a watch again, as after a lost connection."""
        for watched, see in self._watchers:
            if _collection(watched) == path:
                self._sync(watched, see)

    def _sync(self, watched: Watched, see: See) -> None:
        objects = self.objects[_collection(watched)].values()
        chosen = (item for item in objects if _selects(watched, item))
        items = listed(chosen, watched.keep, watched.bound).items
        see("SYNC", {"items": items})
        for item in items:
            see("ADDED", item)

    def _pass_on(self, kind: str, path: str, item: dict[str, Any]) -> None:
        for watched, see in self._watchers:
            if _collection(watched) == path and _selects(watched, item):
                kept = watched.keep(item)
                if kept is not None:
                    see(kind, kept)

    def put(self, path: str, item: dict[str, Any]) -> dict[str, Any]:
        name = item["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[path] else "ADDED"
        version = str(next(self._numbers))
        stored = {**item, "metadata": {**item["metadata"], "resourceVersion": version}}
        self.objects[path][name] = stored
        self._pass_on(kind, path, stored)
        return stored

    def delete(self, path: str, name: str) -> None:
        item = self.objects[path].pop(name)
        self._pass_on("DELETED", path, item)

    def ask(
        self,
        name: str,
        node: str,
        *addresses: str,
        signer: str = SERVING,
        user: str = "",
        groups: Iterable[str] = ("system:nodes", "system:authenticated"),
        created: datetime = NOW - timedelta(seconds=1),
        **status: Any,
    ) -> None:
        """Put a CSR: with the node's name and these addresses, unless it is a client's."""
        serving = signer == SERVING
        request = pem(node, [node] if serving else [], addresses)
        item = {
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "spec": {
                "signerName": signer,
                "username": user or f"system:node:{node}",
                "groups": [*groups],
                "usages": ["digital signature", "server auth" if serving else "client auth"],
                "request": base64.b64encode(request).decode(),
            },
            "status": status,
        }
        self.put(CSRS, item)

    def condition(self, name: str, kind: str, message: str = "") -> None:
        """Set a condition of a CSR, as another approver or the signer does."""
        item = self.objects[CSRS][name]
        conditions = [
            *item["status"].get("conditions", []),
            {"type": kind, "status": "True", "message": message},
        ]
        self.put(CSRS, {**item, "status": {**item["status"], "conditions": conditions}})

    def issue(self, name: str) -> None:
        """Sign a CSR."""
        item = self.objects[CSRS][name]
        self.put(CSRS, {**item, "status": {**item["status"], "certificate": "Y2VydA=="}})

    def node(
        self,
        name: str,
        address: str,
        *,
        ready: bool = True,
        heard: datetime | None = None,
        **metadata: Any,
    ) -> None:
        """Put a Node, with the labels, annotations and taints that it has already."""
        status = {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "message": "kubelet is posting ready status" if ready else "no CNI",
                    "lastHeartbeatTime": heard and heard.isoformat(),
                },
            ],
            "nodeInfo": {"kubeletVersion": "v1.37.2"},
        }
        found = self.objects[NODES].get(name, {"metadata": {}})
        metadata = {**found["metadata"], "name": name, **metadata}
        self.put(NODES, {**found, "metadata": metadata, "status": status})


class Ports:
    """The kubelets' ports: what each shows, or how it fails."""

    def __init__(self) -> None:
        self.failing: dict[str, Exception] = {}
        self.presented: dict[str, tuple[str, ...]] = {}  # addresses, in place of the node's
        self.looks = 0

    async def look(self, node: InventoryNode) -> ServingCertificate:
        self.looks += 1
        if node.name in self.failing:
            raise self.failing[node.name]
        addresses = map(ipaddress.ip_address, self.presented.get(node.name, ()))
        return ServingCertificate(
            dns_names=frozenset(node.dns_names),
            addresses=frozenset(addresses) or frozenset(node.addresses),
            end=END,
        )
