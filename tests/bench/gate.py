"""`python -m tests.bench.gate`: how long the gate takes for a pool of many nodes.

The control plane is the lab's, its controller manager allowed more requests a second. The nodes are
hollow (`tests/bench/hollow_nodes.py`), all of their requests and certificates real. The gate runs
in this process, which does nothing else, so that its CPU seconds are the process's.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import secrets
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from admission.cluster import Cluster
from admission.inventory import read_orders
from admission.run import admit
from admission.serving_certificate import look_at
from lab.network import BRIDGE
from tests.lab.project import Project, running_project

API_SERVER = "https://10.98.0.10:6443"
DROP_IN = "/etc/systemd/system/kube-controller-manager.service.d/50-kubelet-tls-bootstrap.conf"
FIRST_ADDRESS = 101
MOST_NODES = 150
GROUP = "system:bootstrappers:hollow"
RAISED = "--kube-api-qps=300 --kube-api-burst=600"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100, help=f"at most {MOST_NODES}")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.nodes > MOST_NODES:
        parser.error(f"--nodes {arguments.nodes} is more than the lab has addresses for")
    nodes = {
        f"hollow-{number}": f"10.98.0.{FIRST_ADDRESS + number}" for number in range(arguments.nodes)
    }
    with running_project() as project:
        prepare(project, nodes)
        for number in range(1, arguments.rounds + 1):
            found = one_round(project, nodes)
            print(f"round {number}: {json.dumps(found)}", flush=True)
            project.kubectl("delete", "nodes,csr", "--all")
    return 0


def prepare(project: Project, nodes: dict[str, str]) -> None:
    """Bring flags and RBAC with an empty pool, raise the limits, and give the bridge addresses."""
    settings = project.settings()
    settings["config"]["kubelet-tls-bootstrap:pools"]["workers"]["nodes"] = []
    project.write_settings(settings)
    project.up()
    project.ssh(
        "cp-1",
        f"sed -i '/^ExecStart=./s/$/ {RAISED}/' {DROP_IN} && systemctl daemon-reload"
        " && systemctl restart kube-controller-manager",
    )
    for address in nodes.values():
        # They go with the bridge, which `lab down` removes.
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", BRIDGE], check=True)


def one_round(project: Project, nodes: dict[str, str]) -> dict[str, Any]:
    """Let all nodes join at once, and return what it took."""
    token_id, token = make_token(project)
    uid = project.get("-n", "kube-system", "secret", f"bootstrap-token-{token_id}")["metadata"][
        "uid"
    ]
    orders = {
        "kubeconfig": {"path": str(project.directory / ".lab/kubeconfig")},
        "pool": "hollow",
        "nodes": [
            {"name": name, "addresses": [address], "dnsNames": [name], "kubeletVersion": "1.37"}
            for name, address in nodes.items()
        ],
        "tokens": [{"id": token_id, "secretUid": uid, "node": None, "group": GROUP}],
        "afterJoin": "revoke",
        "approval": {"client": "controller-manager", "serving": "gate"},
        "skipClusterChecks": [],
        "denied": {"addresses": ["10.98.0.10"], "cidrs": ["10.97.0.0/16"]},
        "stallSeconds": 60,
    }
    with hollow_nodes(project, nodes, token) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("start\n")
        process.stdin.flush()
        began, cpu_began = time.monotonic(), time.process_time()
        status, said = asyncio.run(run_gate(json.dumps(orders)))
        seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
        if status != 0:
            print("\n".join(said[-30:]), file=sys.stderr)
            raise SystemExit("the gate did not let all nodes in")
        asked = {
            key: round(value, 3) for key, value in json.loads(process.stdout.readline()).items()
        }
    return {"gate seconds": round(seconds, 2), "gate CPU seconds": round(cpu_s, 2), **asked}


async def run_gate(text: str) -> tuple[int, list[str]]:
    """Run the gate as `python -m admission gate` does; return its status and its lines."""
    orders, said = read_orders(text), []
    cluster = await Cluster.connect(orders.kubeconfig_path, None)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            look = partial(look_at, trust=cluster.trust())
            return await admit(orders, cluster, look, said.append), said
    finally:
        await cluster.close()


def make_token(project: Project) -> tuple[str, str]:
    """Make a token for the hollow pool, and return its id and the whole."""
    alphabet = string.ascii_lowercase + string.digits
    token_id, secret = ("".join(secrets.choice(alphabet) for _ in range(n)) for n in (6, 16))
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
        "stringData": {
            "token-id": token_id,
            "token-secret": secret,
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": GROUP,
        },
    }
    project.run("kubectl", "create", "-f", "-", stdin=json.dumps(manifest))
    return token_id, f"{token_id}.{secret}"


@contextlib.contextmanager
def hollow_nodes(
    project: Project, nodes: dict[str, str], token: str
) -> Iterator["subprocess.Popen[str]"]:
    """Hollow nodes that wait for a line to start."""
    orders = {
        "server": API_SERVER,
        "ca": str(project.directory / ".lab/ca.crt"),
        "token": token,
        "nodes": nodes,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hollow_nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
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
