"""The program that the engine starts for each node that leaves, as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.admission.tls_api_server import ApiServer, kubeconfig, serving, url

ROOT = Path(__file__).parents[3]
NODE = "/api/v1/nodes/node-1"
INVENTORIES = (
    "/api/v1/namespaces/kube-system/configmaps"
    "?labelSelector=kubelet-tls-bootstrap/inventory&limit=250"
)
PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&limit=1"
# Each takes longer to import than all that a node needs to leave.
SLOW = {"aiohttp", "cryptography", "kubernetes", "pulumi", "pydantic", "requests", "urllib3"}


def leave(directory: Path, api_server: ApiServer) -> subprocess.CompletedProcess[str]:
    """Run it for a node of a small stack, without any program on PATH."""
    (directory / "Pulumi.yaml").write_text("name: joins\nruntime: python\n")
    (directory / "Pulumi.dev.yaml").write_text(
        f"config:\n  joins:kubeconfigPath: {kubeconfig(directory, url(api_server))}\n"
        "  joins:pools: {workers: {nodes: [{name: node-2, address: 10.0.0.2}]}}\n"
    )
    port = str(api_server.server_address[1])
    command = [sys.executable, "-X", "importtime", "-m", "admission", "leave", "node-1"]
    options = ["--stack", "organization/joins/dev", "--server", url(api_server)]
    environ = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    return subprocess.run(
        [*command, *options, "--ssh", "127.0.0.1", port],
        cwd=directory,
        env={
            **environ,
            "PATH": str(directory / "empty"),
            "PULUMI_BACKEND_URL": "file:///states",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def imported(errors: str) -> set[str]:
    lines = (line for line in errors.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_a_node_without_pods_leaves_without_what_takes_long_to_start(tmp_path: Path) -> None:
    with serving(tmp_path) as api_server:
        metadata = {"name": "node-1", "uid": "uid-1"}
        api_server.answers[f"GET {NODE}"] = {"metadata": metadata, "spec": {}, "status": {}}
        none = {"kind": "ConfigMapList", "metadata": {"resourceVersion": "1"}, "items": []}
        api_server.answers[f"GET {INVENTORIES}"] = none
        api_server.answers[f"GET {PODS}"] = {"kind": "PodList", "metadata": {}, "items": []}
        done = leave(tmp_path, api_server)
    assert done.returncode == 0, done.stderr
    assert [method for method, *_ in api_server.asked] == ["GET", "GET", "PATCH", "GET", "DELETE"]
    assert api_server.asked[-1][1:3] == (NODE, {"preconditions": {"uid": "uid-1"}})
    assert "yaml" in imported(done.stderr)
    assert imported(done.stderr) & SLOW == set()


@pytest.mark.parametrize("status", [401, 403])
def test_an_error_is_told_as_by_the_library(tmp_path: Path, status: int) -> None:
    with serving(tmp_path) as api_server:
        api_server.statuses = [status] * 3  # after 401 it reads the credentials once more
        done = leave(tmp_path, api_server)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert line.startswith(f"error: GET {NODE}: {status} no such node; ")
