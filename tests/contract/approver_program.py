"""A program with the resident approver alone, and replicas of it as real processes.

Nothing runs pods here: the program does not wait for them, and a replica is a process with the
token that a kubelet would give its pod.
"""

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.contract.engine import STACK, Done, Stack
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.hostile.vector import ADDRESSES

ROOT = Path(__file__).parents[2]
NAMESPACE = "kube-system"
NAME = "kubelet-serving-approver"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEASE = f"{LEASES}/{NAME}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
TOKENS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}/token"
LIMIT_S = 90
PROGRAM = """
import json
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from components.approver_arguments import ServingApproverArgs
from components.serving_approver import ServingApprover

SHAPE = json.loads(Path("shape.json").read_text())

def without_waiting(args):
    if args.type_ == "kubernetes:apps/v1:Deployment":
        args.props["metadata"].annotations = {"pulumi.com/skipAwait": "true"}
    return pulumi.ResourceTransformationResult(args.props, args.opts)

cluster = kubernetes.Provider(
    "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="approver"
)
if SHAPE["enabled"]:
    args = ServingApproverArgs(image="i", **SHAPE["args"])
    opts = pulumi.ResourceOptions(provider=cluster, transformations=[without_waiting])
    ServingApprover("approver", args, opts)
"""


def make(directory: Path, cluster: Cluster) -> Stack:
    """Make a stack of the program."""
    stack = Stack(directory, ("pulumi-resource-kubernetes",))
    stack.write(PROGRAM, runtime={"name": "python", "options": {"virtualenv": sys.prefix}})
    stack.select()
    (stack.project / "shape.json").write_text(json.dumps({"kubeconfig": str(cluster.kubeconfig)}))
    return stack


def run(stack: Stack, /, *command: str, enabled: bool = True, **args: Any) -> Done:
    """Run `pulumi` with the approver and its arguments in the program."""
    path = stack.project / "shape.json"
    shape = {**json.loads(path.read_text()), "enabled": enabled, "args": args}
    path.write_text(json.dumps(shape))
    return stack.run(*command, "--stack", STACK, PYTHONPATH=str(ROOT))


def up(stack: Stack, /, *flags: str, enabled: bool = True, **args: Any) -> None:
    done = run(stack, "up", "--yes", "--skip-preview", *flags, enabled=enabled, **args)
    assert done.status == 0, done.said


def inventory(cluster: Cluster) -> None:
    """Write the inventory of the nodes of hostile and honest requests."""
    nodes = [{"name": n, "addresses": [a], "dnsNames": [n]} for n, a in ADDRESSES.items()]
    document = {"pool": "workers", "nodes": nodes, "denied": {"addresses": [], "cidrs": []}}
    labels = {"kubelet-tls-bootstrap/inventory": "workers"}
    metadata = {"name": "kubelet-tls-bootstrap-workers", "labels": labels}
    text = json.dumps(document)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    cluster.request("POST", MAPS, {**body, "data": {"inventory.json": text}})


def kubeconfig_of_pod(cluster: Cluster, directory: Path, *, bound: str = "Pod") -> Path:
    """Write a kubeconfig with the token of a replica's pod, or one bound to a Node or nothing."""
    spec: dict[str, Any] = {}
    if bound == "Node":
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Node", "name": "node-2"}
    elif bound:
        name = f"{NAME}-{os.urandom(3).hex()}"
        container = {"name": "approver", "image": "i"}
        pod = {"serviceAccountName": NAME, "nodeName": "node-2", "containers": [container]}
        metadata = {"name": name}
        made = cluster.request(
            "POST", PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
        )
        uid = made["metadata"]["uid"]
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    token = cluster.request("POST", TOKENS, {**kind, "spec": spec})["status"]["token"]
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = directory / f"replica-{os.urandom(3).hex()}.kubeconfig"
    path.write_text(json.dumps(document))
    return path


@contextlib.contextmanager
def replica(kubeconfig: Path, *arguments: str) -> Iterator[Path]:
    """Run a replica until the block ends; give the path of its log."""
    log = kubeconfig.with_suffix(".log")
    command = [sys.executable, "-m", "admission", "serve", "--kubeconfig", str(kubeconfig)]
    with log.open("w") as told:
        process = subprocess.Popen(
            [*command, "--port", "0", "--identity", kubeconfig.stem, *arguments],
            stdout=told, stderr=told, cwd=ROOT,
        )  # fmt: skip
    try:
        yield log
        assert process.poll() is None, log.read_text()[-3000:]
    finally:
        process.terminate()
        process.wait()


def wait_for(what: str, found: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Return what is found, once it is."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.2)
    raise AssertionError(f"after {limit_s:.0f} s there is no {what}")


def encoded(pem: bytes) -> str:
    """Return a request as an object of the API holds it."""
    return base64.b64encode(pem).decode()
