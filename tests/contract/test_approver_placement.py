"""The error in place of pods that would be Pending, of the real engine with a real API server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.shared_cluster import APPROVER_PATH
from tests.contract import approver_program as program
from tests.contract.engine import PROJECT, STACK, pulumi
from tests.contract.kubernetes_provider.cluster import Cluster, running

pytestmark = pytest.mark.contract

DEPLOYMENT = f"/apis/apps/v1/namespaces/{program.NAMESPACE}/deployments/{program.NAME}"
LABEL = "node-role.kubernetes.io/control-plane"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def node(cluster: Cluster, name: str, labels: dict[str, str]) -> None:
    metadata = {"name": name, "labels": labels}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    cluster.request("POST", "/api/v1/nodes", body)


def test_no_deployment_is_made_or_changed_before_its_pods_have_nodes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the settings can't be read from the stack's file alone.
    monkeypatch.setenv("PATH", os.pathsep.join([str(pulumi().parent), os.environ["PATH"]]))
    stack = program.make(tmp_path, cluster)
    stack.run("config", "set", "kubeconfigPath", str(cluster.kubeconfig), "--stack", STACK)
    where = {"stack": f"organization/{PROJECT}/{STACK}", "api_server": cluster.server}
    node(cluster, "worker", {})
    up = ("up", "--yes", "--skip-preview")

    done = program.run(stack, *up, **where)
    assert done.status != 0
    assert f"no node has the label {LABEL} and takes new pods; give it to nodes" in done.said
    assert cluster.gone(DEPLOYMENT)

    node(cluster, "cp-1", {LABEL: ""})
    done = program.run(stack, *up, **where)
    assert done.status != 0
    assert "approver.replicas is 2, each on a node of its own, but only one node has" in done.said

    program.up(stack, replicas=1, **where)
    before = cluster.get(DEPLOYMENT)["metadata"]["generation"]
    assert program.run(stack, *up, replicas=2, **where).status != 0
    assert cluster.get(DEPLOYMENT)["metadata"]["generation"] == before

    program.up(stack, allow_workers=True, **where)
    assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2


def test_what_another_stack_looks_at_before_it_makes_one_names_this_stack(
    cluster: Cluster, tmp_path: Path
) -> None:
    """A second one would share all that says the same, and take it from the first when it ends."""
    stack = program.make(tmp_path, cluster)
    # As the first test has left them.
    cluster.request("DELETE", APPROVER_PATH)
    program.run(stack, "up", "--yes", "--skip-preview", stack="o/p/s", allow_workers=True)
    binding = cluster.get(APPROVER_PATH)
    assert binding["metadata"]["annotations"]["kubelet-tls-bootstrap/stack"] == "o/p/s"
    assert binding["subjects"][0]["namespace"] == program.NAMESPACE
