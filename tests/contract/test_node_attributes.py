"""The gate makes Nodes of a real API server follow the settings, beside what others have there.

The kubelet is impersonated. No join is proven here: nobody listens on its port 10250.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admission.api_server.connection import Connection
from admission.gate.attributes import AttributeSetter
from admission.gate.progress import Progress
from admission.inventory import read_node
from admission.objects.node_attributes import RECORD, SEAL, read_attributes
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.hostile.vector import node as kubelet

pytestmark = pytest.mark.contract

CHECKOUT = Path(__file__).resolve().parents[2]
NAME, ADDRESS = "node-1", "127.0.0.2"
NODE = f"/api/v1/nodes/{NAME}"
FLAGS = (
    "--authorization-mode=Node",
    "--enable-admission-plugins=NodeRestriction",
    "--enable-bootstrap-token-auth=true",
)
SKIPPED = (
    "version", "clock", "token", "client-approval", "signer", "token-cleaner",
)  # fmt: skip
THEIRS = {"key": "example.org/theirs", "effect": "NoExecute"}
ROLE = "node-role.kubernetes.io/worker"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster"), *FLAGS) as started:
        yield started


@pytest.fixture(autouse=True)
def a_node_that_has_registered_with_a_label_and_a_taint(cluster: Cluster) -> Iterator[None]:
    """Somebody else has a label, an annotation and a taint there by now."""
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NAME, "labels": {"tier": "a"}},
        "spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]},
        "status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]},
    }
    status, answer = cluster.caller.call("POST", "/api/v1/nodes", body, kubelet(NAME))
    assert status == 201, answer
    taints = [*cluster.get(NODE)["spec"]["taints"], THEIRS]
    cluster.change(
        NODE,
        {
            "metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}},
            "spec": {"taints": taints},
        },
    )
    yield
    cluster.request("DELETE", NODE)


def follow(
    cluster: Cluster,
    *,
    kubeconfig: Path | None = None,
    seen: dict[str, Any] | None = None,
    **settings: Any,
) -> list[str]:
    """Do what a gate does with the Node as it has seen it; return what it says, an error last."""
    said: list[str] = []

    async def work() -> None:
        api = await Connection.open(str(kubeconfig or cluster.kubeconfig), None)
        entry = {"name": NAME, "addresses": [ADDRESS], "dnsNames": [NAME]}
        progress = Progress(
            entry=read_node(entry),
            wanted=read_attributes(settings),
            node=seen or cluster.get(NODE),
        )
        setter = AttributeSetter(api, said.append)
        try:
            await asyncio.wait_for(setter.follow(progress, asyncio.Event()), 3)
        except TimeoutError:
            said.append(progress.attributes_problem)
        finally:
            await api.close()

    asyncio.run(work())
    return said


def found(cluster: Cluster) -> tuple[dict[str, str], dict[str, str], list[dict[str, str]]]:
    """The labels, the annotations and the taints of the Node, without our own record."""
    live = cluster.get(NODE)
    metadata, taints = live["metadata"], live["spec"].get("taints", [])
    labels = {k: v for k, v in metadata["labels"].items() if k != SEAL}
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != RECORD}
    # Nobody has called this Node Ready yet.
    ours = [t for t in taints if not t["key"].startswith("node.kubernetes.io/")]
    return labels, annotations, sorted(ours, key=lambda taint: taint["key"])


GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def test_each_is_added_changed_and_removed_beside_those_of_others(cluster: Cluster) -> None:
    follow(
        cluster,
        labels={"tier": "a", "rack": "r1", ROLE: ""},
        annotations={"example.org/owner": "a\nb: ü"},
        taints=["gpu=yes:NoSchedule", "dedicated=db:NoSchedule"],
    )
    dedicated = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    assert found(cluster) == (
        {"tier": "a", "rack": "r1", ROLE: "", "theirs": "1"},
        {"example.org/owner": "a\nb: ü", "theirs": "1"},
        [dedicated, THEIRS, GPU],
    )
    said = follow(
        cluster,
        labels={"rack": "r2", "node-role.kubernetes.io/db": ""},
        annotations={"example.org/owner": "c"},
        taints=["dedicated=web:NoSchedule"],
    )
    assert found(cluster) == (
        {"rack": "r2", "node-role.kubernetes.io/db": "", "theirs": "1"},
        {"example.org/owner": "c", "theirs": "1"},
        [{**dedicated, "value": "web"}, THEIRS],
    )
    assert said == [
        "node-1: label rack=r2 set, label node-role.kubernetes.io/db= set, annotation"
        " example.org/owner set, taint dedicated=web:NoSchedule set, label"
        f" {ROLE} removed, label tier removed, taint gpu:NoSchedule removed"
    ]
    follow(cluster)
    assert found(cluster) == ({"theirs": "1"}, {"theirs": "1"}, [THEIRS])
    metadata = cluster.get(NODE)["metadata"]
    assert SEAL not in metadata["labels"]
    assert RECORD not in metadata["annotations"]


def test_nothing_is_written_where_nothing_differs(cluster: Cluster) -> None:
    settings: dict[str, Any] = {"labels": {"tier": "a"}, "taints": ["gpu=yes:NoSchedule"]}
    follow(cluster, **settings)
    before = cluster.get(NODE)["metadata"]["resourceVersion"]
    assert follow(cluster, **settings) == []
    assert cluster.get(NODE)["metadata"]["resourceVersion"] == before


def test_the_settings_win_over_another_manager_and_what_it_changed_last_is_its_own(
    cluster: Cluster,
) -> None:
    follow(cluster, labels={"tier": "a"}, annotations={"x": "1"})
    cluster.change(NODE, {"metadata": {"labels": {"tier": "theirs"}, "annotations": {"x": "2"}}})
    assert follow(cluster, labels={"tier": "a"}, annotations={"x": "1"}) == [
        "node-1: label tier=a set, annotation x set"
    ]
    cluster.change(NODE, {"metadata": {"labels": {"tier": "theirs"}}})
    said = follow(cluster)
    assert "its label tier left the settings, but somebody has changed it since" in said[1]
    assert found(cluster)[:2] == ({"tier": "theirs", "theirs": "1"}, {"theirs": "1"})


def test_a_node_that_has_changed_since_it_was_seen_loses_nothing(cluster: Cluster) -> None:
    seen = cluster.get(NODE)
    more = {"key": "example.org/more", "effect": "NoSchedule"}
    cluster.change(NODE, {"spec": {"taints": [*seen["spec"]["taints"], more]}})
    assert cluster.get(NODE)["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]
    follow(cluster, seen=seen, taints=["gpu=yes:NoSchedule", "dedicated:NoSchedule"])
    dedicated = {"key": "dedicated", "effect": "NoSchedule"}
    assert found(cluster)[2] == [dedicated, more, THEIRS, GPU]


def test_a_kubelet_can_not_have_a_taint_of_somebody_else_removed(cluster: Cluster) -> None:
    follow(cluster, labels={"tier": "a"})
    forged = '{"labels":{"theirs":"1"},"taints":["example.org/theirs:NoExecute"]}'
    patch: dict[str, Any] = {"metadata": {"annotations": {RECORD: forged}}}
    status, answer = cluster.caller.call("PATCH", NODE, patch, kubelet(NAME), MERGE)
    assert status == 200, answer  # why the record needs a seal
    for label in ("0" * 32, None):
        patch = {"metadata": {"labels": {SEAL: label}}}
        status, answer = cluster.caller.call("PATCH", NODE, patch, kubelet(NAME), MERGE)
        assert status == 403, answer
    said = follow(cluster)
    assert any("changed by somebody else" in line for line in said)
    assert found(cluster) == ({"tier": "a", "theirs": "1"}, {"theirs": "1"}, [THEIRS, GPU])


def test_what_the_api_server_refuses_is_told(cluster: Cluster, tmp_path: Path) -> None:
    nobody = cluster.kubeconfig_for("nobody", tmp_path)
    (said,) = follow(cluster, kubeconfig=nobody, labels={"tier": "b"})
    assert said.startswith("its labels, annotations and taints could not be changed: PATCH")
    assert 'User "nobody" cannot patch' in said
    (said,) = follow(cluster, taints=["a/b/c:NoSchedule"])
    assert "422" in said


def test_a_gate_does_it_although_the_join_can_not_be_proven(cluster: Cluster) -> None:
    """The Node is not Ready, so the gate ends without it."""
    expiration = datetime.now(UTC) + timedelta(minutes=30)
    secret = cluster.request(
        "POST",
        "/api/v1/namespaces/kube-system/secrets",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": "bootstrap-token-abc123"},
            "stringData": {
                "token-id": "abc123",
                "token-secret": "0123456789abcdef",
                "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "usage-bootstrap-authentication": "true",
            },
        },
    )
    entry = {"name": NAME, "addresses": [ADDRESS], "dnsNames": [NAME], "kubeletVersion": "1.37"}
    orders = {
        "kubeconfig": {"path": str(cluster.kubeconfig)},
        "pool": "workers",
        "nodes": [entry],
        "attributes": [{"nodes": [NAME], "labels": {ROLE: ""}, "annotations": {"x": "1"}}],
        "tokens": [
            {
                "id": "abc123",
                "secretUid": secret["metadata"]["uid"],
                "node": None,
                "group": "system:bootstrappers:workers",
            }
        ],
        "afterJoin": "revoke",
        "approval": {"client": "controller-manager", "serving": "gate"},
        "skipClusterChecks": SKIPPED,
        "denied": {"addresses": [], "cidrs": []},
        "stallSeconds": 5,
    }
    done = subprocess.run(
        [sys.executable, "-m", "admission", "gate"],
        input=json.dumps(orders), capture_output=True, text=True, cwd=CHECKOUT, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert f"node-1: label {ROLE}= set, annotation x set" in told
    assert "node-1 has NOT joined: " in told
    assert found(cluster)[:2] == (
        {"tier": "a", ROLE: "", "theirs": "1"},
        {"theirs": "1", "x": "1"},
    )
