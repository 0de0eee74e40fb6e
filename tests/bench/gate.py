"""`python -m tests.bench.gate`: how long the gate takes for a pool of many nodes.

The control plane is a real one on loopback, in a network namespace of its own, its controller
manager allowed more requests a second than by default. The nodes are hollow
(`tests/bench/hollow_nodes.py`), all of their requests, Nodes and certificates real. The gate runs
in this process, which does nothing else meanwhile, so that its CPU seconds are the process's.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import os
import secrets
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from admission.api_server.api import CSRS, NODES
from admission.api_server.connection import Connection
from admission.gate.orders import read_orders
from admission.gate.run import admit
from admission.objects.token_secret import SECRETS
from admission.serving_certificate import look_at
from tests.contract.kubernetes_provider.cluster import Cluster, programs, running

INSIDE = "BENCH_IN_NAMESPACE"
OWN_ADDRESS = "10.98.0.1"
NETWORK = "10.98.{}.{}"
NODES_IN_NETWORK = 200
GROUP = "system:bootstrappers"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
RBAC_GROUP = "rbac.authorization.k8s.io"
CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"
SERVING_ROLE = "approve-node-server-renewal-csr"
BINDINGS = {
    "system:node-bootstrapper": GROUP,
    f"{CSR_ROLE}:nodeclient": GROUP,
    SERVING_ROLE: "system:nodes",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, "-m", "tests.bench.gate", *sys.argv[1:]]
        os.execvpe("unshare", command, {**os.environ, INSIDE: "yes"})  # noqa: S606
    nodes = {
        f"hollow-{number}": NETWORK.format(*divmod(number + NODES_IN_NETWORK, NODES_IN_NETWORK))
        for number in range(1, arguments.nodes + 1)
    }
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (OWN_ADDRESS, *nodes.values()):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with running(directory, *api_server_flags(directory, OWN_ADDRESS)) as cluster:
            prepare(cluster)
            with certificate_controllers(cluster, directory):
                for number in range(1, arguments.rounds + 1):
                    found = one_round(cluster, directory, nodes)
                    print(f"round {number}: {json.dumps(found)}", flush=True)
                    for path in (CSRS, NODES):
                        cluster.request("DELETE", path)
    return 0


def api_server_flags(directory: Path, address: str) -> tuple[str, ...]:
    return (
        f"--advertise-address={address}",  # one of loopback would be refused
        "--authorization-mode=Node",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth=true",
        f"--kubelet-certificate-authority={directory}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
    )


def prepare(cluster: Cluster) -> None:
    """Make the roles that bootstrapping needs."""
    create(
        cluster,
        f"{RBAC}/clusterroles",
        {
            "metadata": {"name": SERVING_ROLE},
            "rules": [
                {
                    "apiGroups": ["certificates.k8s.io"],
                    "resources": ["certificatesigningrequests/selfnodeserver"],
                    "verbs": ["create"],
                }
            ],
        },
    )
    for number, (role, group) in enumerate(BINDINGS.items()):
        create(
            cluster,
            f"{RBAC}/clusterrolebindings",
            {
                "metadata": {"name": f"bench-{number}"},
                "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}],
            },
        )


def create(cluster: Cluster, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    return cluster.request("POST", path, fields)


@contextlib.contextmanager
def certificate_controllers(cluster: Cluster, directory: Path) -> Iterator[None]:
    """Approve and sign as kube-controller-manager does, with more requests a second."""
    key = directory / "ca.key"
    key.touch(mode=0o600)
    key.write_text(cluster.authority.pair.key)
    command = [
        str(programs()["kube-controller-manager"]),
        f"--kubeconfig={cluster.kubeconfig}",
        "--controllers=csrapproving,csrsigning",
        f"--cluster-signing-cert-file={directory}/ca.crt",
        f"--cluster-signing-key-file={key}",
        "--secure-port=0",
        "--leader-elect=false",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
    ]
    with (directory / "certificate-controllers.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def one_round(cluster: Cluster, directory: Path, nodes: dict[str, str]) -> dict[str, Any]:
    """Let all nodes join at once, and return what it took."""
    token_id, token, uid = make_token(cluster)
    orders = {
        "kubeconfig": {"path": str(cluster.kubeconfig)},
        "pool": "hollow",
        "nodes": [
            {"name": name, "addresses": [address], "dnsNames": [name], "kubeletVersion": "1.37"}
            for name, address in nodes.items()
        ],
        "tokens": [{"id": token_id, "secretUid": uid, "node": None, "group": GROUP}],
        "afterJoin": "revoke",
        "approval": {"client": "controller-manager", "serving": "gate"},
        "skipClusterChecks": [],
        "denied": {"addresses": [], "cidrs": ["10.96.0.0/24"]},
        "stallSeconds": 60,
    }
    hollow = {
        "server": cluster.server,
        "ca": str(directory / "ca.crt"),
        "token": token,
        "nodes": nodes,
    }
    with hollow_nodes(hollow) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("start\n")
        process.stdin.flush()
        began, cpu_began = time.monotonic(), time.process_time()
        status, said = asyncio.run(run_gate(json.dumps(orders)))
        seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
        if status != 0:
            raise SystemExit("\n".join(["the gate did not let all nodes in", *said[-30:]]))
        told = json.loads(process.stdout.readline())
    return {
        "gate seconds": round(seconds, 2),
        "gate CPU seconds": round(cpu_s, 2),
        **{key: round(value, 3) for key, value in told.items()},
    }


async def run_gate(text: str) -> tuple[int, list[str]]:
    """Run the gate as `python -m admission gate` does; return its status and its lines."""
    orders, said = read_orders(text), []
    cluster = await Connection.open(orders.kubeconfig_path, None)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            look = partial(look_at, trust=cluster.kubelets_trust())
            return await admit(orders, cluster, look, said.append), said
    finally:
        await cluster.close()


def make_token(cluster: Cluster) -> tuple[str, str, str]:
    """Make a token, and return its id, the whole, and its Secret's UID."""
    alphabet = string.ascii_lowercase + string.digits
    token_id, secret = ("".join(secrets.choice(alphabet) for _ in range(n)) for n in (6, 16))
    content = {
        "token-id": token_id,
        "token-secret": secret,
        "usage-bootstrap-authentication": "true",
    }
    made = create(
        cluster,
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": f"bootstrap-token-{token_id}"},
            "data": {
                key: base64.b64encode(text.encode()).decode() for key, text in content.items()
            },
        },
    )
    return token_id, f"{token_id}.{secret}", made["metadata"]["uid"]


@contextlib.contextmanager
def hollow_nodes(orders: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """Hollow nodes that wait for a line to start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hollow_nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(orders) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise SystemExit("the hollow nodes did not start")
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
