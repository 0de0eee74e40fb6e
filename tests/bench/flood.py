"""What the memory benchmark fills a cluster with; as a program, what a wave asks of its Nodes."""

import asyncio
import base64
import json
import secrets
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from admission.api_server.api import CSRS, NODES
from admission.proving import not_ready
from admission.rules import SERVING_SIGNER
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.hostile.api_server import Caller, administrator
from tests.hostile.vector import AUTHENTICATED, SERVING_USAGES, Requester, dns, ip, node, serving

# The node of the inventory in whose name the requests are made.
FLOODED, ADDRESS = "node-1", "10.98.0.11"
AT_ONCE = 4
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MAPS = "/api/v1/namespaces/kube-system/configmaps"
TAINTS = [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
IMAGE_BYTES = 160


@dataclass(frozen=True, kw_only=True)
class Flood:
    """Objects of one kind."""

    title: str
    kind: str
    count: int
    size: int  # bytes: of a request's PEM, or of a Node's status

    def scaled(self, scale: float) -> "Flood":
        count = max(1, round(self.count * scale))
        return replace(self, count=count, title=self.title.format(count=f"{count:,}"))


FLOODS = {
    "large": Flood(title="{count} CSRs of 1 MB", kind="csr", count=1000, size=1_000_000),
    "many": Flood(title="{count} CSRs of 16 KB", kind="csr", count=5000, size=16_000),
    "nodes": Flood(title="{count} Nodes of 8 KB", kind="node", count=10_000, size=8_000),
}


def prepare(cluster: Cluster) -> None:
    """Let everybody make requests, and write the inventory of a pool with one node."""
    name, group = "system:node-bootstrapper", "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": AUTHENTICATED}],
    }
    cluster.request("POST", f"{RBAC}/clusterrolebindings", binding)
    entry = {"name": FLOODED, "addresses": [ADDRESS], "dnsNames": [FLOODED]}
    document = {"pool": "workers", "nodes": [entry], "denied": {"addresses": [], "cidrs": []}}
    labels = {"kubelet-tls-bootstrap/inventory": "workers"}
    metadata = {"name": "kubelet-tls-bootstrap-workers", "labels": labels}
    data = {"inventory.json": json.dumps(document)}
    cluster.request("POST", MAPS, {"metadata": metadata, "data": data})


def fill(cluster: Cluster, directory: Path, flood: Flood) -> None:
    """Make all objects of a flood."""
    kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
    administrator(kubeconfig, directory)  # writes its certificate, for the callers of the threads
    own = threading.local()

    def make(number: int) -> None:
        if not hasattr(own, "caller"):
            own.caller = Caller(kubeconfig, directory / "administrator.pem")
        _make(own.caller, flood, number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(make, range(flood.count)):
            pass


def _make(caller: Caller, flood: Flood, number: int) -> None:
    path, body = (NODES, _node(flood, number)) if flood.kind == "node" else (CSRS, _csr(flood))
    requester: Requester | None = None if flood.kind == "node" else node(FLOODED)
    status, answer = caller.call("POST", path, body, requester)
    if status != 201:
        raise SystemExit(f"{path}: {status} {answer}")


def _csr(flood: Flood) -> dict[str, Any]:
    pem = serving(dns(FLOODED), ip(ADDRESS), name=FLOODED)
    # What is before a PEM block counts for nothing; random, so that no two are alike.
    filling = secrets.token_hex(flood.size // 2).encode()[: flood.size - len(pem) - 1]
    return {
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": base64.b64encode(filling + b"\n" + pem).decode(),
            "signerName": SERVING_SIGNER,
            "usages": SERVING_USAGES,
        },
    }


def _node(flood: Flood, number: int) -> Mapping[str, Any]:
    name = f"node-{number + 1}"
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    images = flood.size // IMAGE_BYTES
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"taints": TAINTS},
        "status": {
            "addresses": [
                {
                    "type": "InternalIP",
                    "address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                },
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                {"type": kind, "status": str(kind == "Ready"), "message": f"kubelet has {kind}"}
                for kind in kinds
            ],
            "images": [
                {
                    "names": [f"registry.example.org/image@sha256:{secrets.token_hex(32)}"],
                    "sizeBytes": 1,
                }
                for _ in range(images)
            ],
        },
    }


if __name__ == "__main__":
    print(asyncio.run(not_ready(sys.stdin.read())))
