"""What a run reads of a real API server before it touches anything."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.cluster_look import IMPATIENCE_S, Look, look
from admission.leave import leave
from admission.stack_settings import Leaving
from tests.contract.kubernetes_provider.cluster import Cluster, running

pytestmark = pytest.mark.contract

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMIN, MISSING = f"{RBAC}/clusterroles/cluster-admin", f"{RBAC}/clusterroles/missing"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def looked(kubeconfig: Path, *, patient: bool) -> Look:
    return asyncio.run(
        look(str(kubeconfig), None, (ADMIN, MISSING), namespace="kube-system", patient=patient)
    )


def make(cluster: Cluster, namespace: str, pool: str, text: str, stack: str | None) -> None:
    metadata: dict[str, Any] = {
        "name": f"kubelet-tls-bootstrap-{pool}",
        "labels": {"kubelet-tls-bootstrap/inventory": pool},
    }
    if stack:
        metadata["annotations"] = {"kubelet-tls-bootstrap/stack": stack}
    body = {"metadata": metadata, "data": {"inventory.json": text}}
    cluster.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)


@pytest.mark.parametrize("patient", [True, False])
def test_it_finds_objects_and_the_inventories_of_its_namespace(
    cluster: Cluster, patient: bool
) -> None:
    """Who may write ConfigMaps elsewhere alone could else keep all stacks from their nodes."""
    node = {"name": "n1", "addresses": ["10.0.0.1"], "dnsNames": ["n1"]}
    denied: dict[str, list[str]] = {"addresses": [], "cidrs": []}
    pools = ("patient", "patients") if patient else ("other", "others")
    text = json.dumps({"pool": pools[0], "nodes": [node], "denied": denied})
    make(cluster, "kube-system", pools[0], text, "o/p/s")
    make(cluster, "kube-system", pools[1], "not JSON", None)
    make(cluster, "default", f"{pools[1]}-of-a-tenant", text, "o/p/s")
    found = looked(cluster.kubeconfig, patient=patient)
    assert found.objects.keys() == {ADMIN}
    assert found.objects[ADMIN]["rules"]
    by_name = {each.name.removeprefix("kubelet-tls-bootstrap-"): each for each in found.inventories}
    assert {*pools} <= by_name.keys()
    assert f"{pools[1]}-of-a-tenant" not in by_name
    one, other = (by_name[pool] for pool in pools)
    assert (one.namespace, one.stack) == ("kube-system", "o/p/s")
    assert one.content is not None
    assert [each.name for each in one.content.nodes] == ["n1"]
    assert (other.namespace, other.stack, other.content) == ("kube-system", "", None)


def test_a_node_that_another_stack_has_by_now_does_not_leave(cluster: Cluster) -> None:
    cluster.request("POST", "/api/v1/nodes", {"metadata": {"name": "moved"}})
    text = json.dumps({"pool": "new", "nodes": [{"name": "moved"}], "denied": {}})
    make(cluster, "kube-system", "new", text, "o/p/new")
    path, how = str(cluster.kubeconfig), Leaving(force=True)
    with pytest.raises(ValueError, match="moved is a node of the stack o/p/new now, in its pool"):
        asyncio.run(leave("moved", path, how, stack="o/p/former"))
    assert not cluster.gone("/api/v1/nodes/moved")
    asyncio.run(leave("moved", path, how, stack="o/p/new"))
    assert cluster.gone("/api/v1/nodes/moved")


def test_who_may_not_read_is_told(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig_for("nobody", tmp_path)
    with pytest.raises(ValueError, match=r"403.*give a kubeconfig whose user has this right"):
        looked(kubeconfig, patient=True)


def test_who_may_read_that_namespace_alone_sees_what_is_there(
    cluster: Cluster, tmp_path: Path
) -> None:
    make(cluster, "kube-system", "seen", "not JSON", "o/p/seen")
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["get"]},
    ]
    name = {"metadata": {"name": "reader"}}
    group = "rbac.authorization.k8s.io"
    who = [{"kind": "User", "name": "reader", "apiGroup": group}]
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "reader"}
    bound = {**name, "subjects": who, "roleRef": role}
    cluster.request("POST", f"{RBAC}/clusterroles", {**name, "rules": rules})
    cluster.request("POST", f"{RBAC}/namespaces/kube-system/rolebindings", bound)
    objects = {**name, "rules": rules[1:]}
    objects["metadata"] = {"name": "reader-of-objects"}
    cluster.request("POST", f"{RBAC}/clusterroles", objects)
    all_over = {**bound, "roleRef": {**role, "name": "reader-of-objects"}}
    cluster.request("POST", f"{RBAC}/clusterrolebindings", all_over)
    found = looked(cluster.kubeconfig_for("reader", tmp_path), patient=True)
    assert "o/p/seen" in {each.stack for each in found.inventories}


def test_a_preview_does_not_wait_for_what_does_not_answer(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        cluster.kubeconfig.read_text().replace(cluster.server, "https://127.0.0.1:9")
    )
    began = asyncio.new_event_loop().time()
    with pytest.raises(ValueError, match="does not answer"):
        looked(kubeconfig, patient=False)
    assert asyncio.new_event_loop().time() - began < IMPATIENCE_S
