"""The resident approver's Lease: the program makes it, replicas write it, and that is no drift."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import approver_program as program
from tests.contract.approver_program import LEASE, LEASES, NAME, inventory, replica, wait_for
from tests.contract.engine import Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running

pytestmark = pytest.mark.contract

LABEL = {"app.kubernetes.io/name": NAME}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-2"}}
        started.request("POST", "/api/v1/nodes", node)
        inventory(started)
        yield started


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    stack = program.make(tmp_path, cluster)
    yield stack
    done = program.run(stack, "destroy", "--yes", "--skip-preview")
    assert done.status == 0, done.said
    cluster.caller.call("DELETE", LEASE)


def holder(cluster: Cluster) -> str:
    spec: dict[str, Any] = cluster.get(LEASE).get("spec") or {}
    return str(spec.get("holderIdentity") or "")


def test_replicas_take_the_lease_that_the_program_makes_without_drift(
    cluster: Cluster, stack: Stack, tmp_path: Path
) -> None:
    program.up(stack)
    assert holder(cluster) == ""
    kubeconfig = program.kubeconfig_of_pod(cluster, tmp_path)
    with replica(kubeconfig):
        wait_for("holder", lambda: holder(cluster) == kubeconfig.stem)
        program.up(stack, "--refresh", "--expect-no-changes")
        first = cluster.get(LEASE)["spec"]["renewTime"]
        wait_for("renewal", lambda: cluster.get(LEASE)["spec"]["renewTime"] != first)
        program.up(stack, "--refresh", replicas=3)
        assert holder(cluster) == kubeconfig.stem
    assert cluster.get(LEASE)["metadata"]["labels"] == LABEL
    wait_for("release", lambda: not holder(cluster))


def test_one_that_an_earlier_approver_has_created_is_taken_over_while_it_is_held(
    cluster: Cluster, stack: Stack
) -> None:
    spec = {
        "holderIdentity": "earlier",
        "leaseDurationSeconds": 15,
        "renewTime": "2026-01-01T00:00:00.000000Z",
    }
    kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    body = {**kind, "metadata": {"name": NAME}, "spec": spec}
    cluster.request("POST", f"{LEASES}?fieldManager=Python", body)
    program.up(stack)
    live = cluster.get(LEASE)
    assert live["spec"] == spec
    assert live["metadata"]["labels"] == LABEL
    # As the earlier approver's next renewal does.
    live["spec"]["renewTime"] = "2026-01-01T00:00:02.000000Z"
    cluster.request("PUT", f"{LEASE}?fieldManager=Python", live)
    program.up(stack, "--refresh", "--expect-no-changes")


def test_one_that_was_taken_as_often_as_can_be_counted_is_taken_again(
    cluster: Cluster, stack: Stack, tmp_path: Path
) -> None:
    program.up(stack)
    live = cluster.get(LEASE)
    live["spec"] = {"leaseTransitions": 2**31 - 1}
    cluster.request("PUT", LEASE, live)
    kubeconfig = program.kubeconfig_of_pod(cluster, tmp_path)
    with replica(kubeconfig):
        wait_for("holder", lambda: holder(cluster) == kubeconfig.stem)
    assert cluster.get(LEASE)["spec"]["leaseTransitions"] == 1


def test_a_replica_waits_for_a_lease_that_is_not_there_and_creates_none(
    cluster: Cluster, stack: Stack, tmp_path: Path
) -> None:
    program.up(stack)
    cluster.request("DELETE", LEASE)
    with replica(program.kubeconfig_of_pod(cluster, tmp_path)) as log:
        wait_for("complaint", lambda: "there is no Lease kube-system/" in log.read_text())
        assert cluster.gone(LEASE)
        program.up(stack, "--refresh")
        wait_for("holder", lambda: holder(cluster))
        assert log.read_text().count("there is no Lease") == 1


def test_it_stays_when_the_approver_is_turned_off_and_is_taken_over_again(
    cluster: Cluster, stack: Stack
) -> None:
    program.up(stack)
    program.up(stack, enabled=False)
    assert "labels" not in cluster.get(LEASE)["metadata"]
    program.up(stack)
    assert cluster.get(LEASE)["metadata"]["labels"] == LABEL
