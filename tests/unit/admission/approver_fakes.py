"""An API server in memory that also has inventories, Events and the approver's Lease."""

import json
from collections.abc import Mapping
from typing import Any

from admission import pool_inventory
from admission.api_server.api import ApiError
from admission.approver.approver import LEASE
from admission.approver.lease import LEASES
from admission.approver.recorder import EVENTS
from tests.unit.admission.fakes import FakeApi

NAMESPACE = "kube-system"
MAPS = pool_inventory.path(NAMESPACE)
LEASE_LIST = LEASES.format(namespace=NAMESPACE)
LEASE_PATH = f"{LEASE_LIST}/{LEASE}"


class FakeLeases:
    """One Lease, with the conflicts of a real one; any other call raises."""

    def __init__(self) -> None:
        # As the program makes it, held by nobody yet.
        self.lease: dict[str, Any] | None = {"metadata": {"resourceVersion": "0"}, "spec": {}}
        self.failure: Exception | None = None
        self.requests: list[str] = []
        self._version = 0

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        self.requests.append(method)
        if self.failure is not None:
            raise self.failure
        match method, path:
            case "GET", _ if path == LEASE_PATH:
                if self.lease is None:
                    raise ApiError(404, method, path, "not found")
                return self.lease
            case "PUT", _ if path == LEASE_PATH and self.lease is not None:
                version = (body or {})["metadata"]["resourceVersion"]
                if version != self.lease["metadata"]["resourceVersion"]:
                    raise ApiError(409, method, path, "the object has been modified")
                if not 0 <= (body or {})["spec"].get("leaseTransitions", 0) < 2**31:
                    raise ApiError(422, method, path, "leaseTransitions: it is no int32")
                return self.put(dict(body or {}))
        raise AssertionError(f"not foreseen: {method} {path}")

    def put(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        metadata = {**lease.get("metadata", {}), "resourceVersion": str(self._version)}
        self.lease = {**lease, "metadata": metadata}
        return self.lease

    def hold(self, identity: str, **spec: Any) -> None:
        """Let somebody hold it, from now on."""
        self.put({"spec": {"holderIdentity": identity, "leaseDurationSeconds": 15, **spec}})

    @property
    def holder(self) -> str:
        return str((self.lease or {"spec": {}})["spec"].get("holderIdentity", ""))


class ApproverApi(FakeApi):
    """What `FakeApi` holds, and the rest of what the approver uses."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = FakeLeases()
        self.events: list[dict[str, Any]] = []
        self.objects[MAPS] = {}

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if path.startswith(LEASE_LIST):
            return await self.leases.request(method, path, body)
        if (method, path) == ("POST", EVENTS):
            self._fail("EVENT")
            self.events.append(dict(body or {}))
            return body
        return await super().request(method, path, body)

    def inventory(self, pool: str, **nodes: str) -> None:
        """Put a pool's inventory: node_1="10.0.0.1" for node-1 with this address."""
        entries = [
            {"name": name.replace("_", "-"), "addresses": [address], "dnsNames": []}
            for name, address in nodes.items()
        ]
        for entry in entries:
            entry["dnsNames"] = [entry["name"]]
        denied = {"addresses": ["10.0.0.9"], "cidrs": ["10.96.0.0/12"]}
        document = {"pool": pool, "nodes": entries, "denied": denied}
        self.put(MAPS, inventory_map(pool, json.dumps(document)))


def inventory_map(pool: str, text: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"kubelet-tls-bootstrap-{pool}"},
        "data": {pool_inventory.KEY: text},
    }
