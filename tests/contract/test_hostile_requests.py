"""The gate against hostile requests on a real API server, which needs no machine.

The kubelets are impersonated: node-1 has joined, node-2 asks beside a thousand junk requests.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.hostile import VECTORS
from tests.hostile.api_server import Caller, administrator
from tests.hostile.attack import Attack
from tests.hostile.vector import (
    ADDRESSES,
    API_SERVER,
    API_SERVER_NAME,
    AUTHENTICATED,
    NODES,
    SERVICES,
    Vector,
    dns,
    ip,
    node,
    serving,
)

pytestmark = pytest.mark.contract

CHECKOUT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--authorization-mode=Node",
    "--enable-admission-plugins=NodeRestriction",
    "--enable-bootstrap-token-auth=true",
)
POOL_GROUP = "system:bootstrappers:workers"
# The control plane here is none that a kubelet could join.
SKIPPED = (
    "version", "rights", "clock", "token", "client-approval", "signer", "token-cleaner",
    "kubelet-verification", "kubelet-ca",
)  # fmt: skip
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SERVING_ROLE = "approve-node-server-renewal-csr"
BESIDE = """
import asyncio, sys
from admission.approving import approve
asyncio.run(approve(sys.stdin.read(), print, activations={}, ready=lambda _: None))
"""
APPROVING = {"gate": ("-m", "admission", "gate"), "beside the joins": ("-c", BESIDE)}


def group(name: str) -> str:
    return f"{POOL_GROUP}:{name}"


def token(name: str) -> tuple[str, str]:
    """The two halves of a node's token."""
    return f"token{name[-1]}", name[-1] * 16


def create(admin: Caller, path: str, version: str, kind: str, **fields: Any) -> dict[str, Any]:
    status, answer = admin.call("POST", path, {"apiVersion": version, "kind": kind, **fields})
    assert status == 201, answer
    return answer


def bind(admin: Caller, role: str, subject: str) -> None:
    version, api_group = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    create(
        admin,
        f"{RBAC}/clusterrolebindings",
        version,
        "ClusterRoleBinding",
        metadata={"name": f"{role}:{subject}"},
        roleRef={"apiGroup": api_group, "kind": "ClusterRole", "name": role},
        subjects=[{"apiGroup": api_group, "kind": "Group", "name": subject}],
    )


def prepare(admin: Caller, names: Iterable[str] = ADDRESSES) -> dict[str, str]:
    """Make roles, Nodes and tokens, and return the UID of each node's token's Secret."""
    rule = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests/selfnodeserver"],
        "verbs": ["create"],
    }
    create(
        admin, f"{RBAC}/clusterroles", "rbac.authorization.k8s.io/v1", "ClusterRole",
        metadata={"name": SERVING_ROLE}, rules=[rule],
    )  # fmt: skip
    bind(admin, SERVING_ROLE, NODES)
    # Whoever is impersonated may ask, so that it is the gate who refuses.
    bind(admin, "system:node-bootstrapper", AUTHENTICATED)
    for name in ("node-1", "node-2"):
        create(admin, "/api/v1/nodes", "v1", "Node", metadata={"name": name})
    expiration = datetime.now(UTC) + timedelta(minutes=30)
    uids = {}
    for name in names:
        token_id, secret = token(name)
        made = create(
            admin, "/api/v1/namespaces/kube-system/secrets", "v1", "Secret",
            type="bootstrap.kubernetes.io/token",
            metadata={"name": f"bootstrap-token-{token_id}"},
            stringData={
                "token-id": token_id,
                "token-secret": secret,
                "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "usage-bootstrap-authentication": "true",
                "auth-extra-groups": f"{POOL_GROUP},{group(name)}",
            },
        )  # fmt: skip
        uids[name] = made["metadata"]["uid"]
    return uids


def orders(cluster: Cluster, uids: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kubeconfig": {"path": str(cluster.kubeconfig)},
        "pool": "workers",
        "nodes": [
            {"name": name, "addresses": [address], "dnsNames": [name], "kubeletVersion": "1.37"}
            for name, address in ADDRESSES.items()
        ],
        "tokens": [
            {"id": token(name)[0], "secretUid": uid, "node": name, "group": group(name)}
            for name, uid in uids.items()
        ],
        "afterJoin": "revoke",
        "approval": {"client": "gate", "serving": "gate"},
        "skipClusterChecks": SKIPPED,
        "denied": {"addresses": [API_SERVER], "cidrs": [SERVICES], "names": [API_SERVER_NAME]},
        "stallSeconds": 600,
    }


@pytest.fixture(scope="module", params=sorted(APPROVING))
def attack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attack]:
    """What an attacker has, while a gate works, or what approves beside the joins before it."""
    directory = tmp_path_factory.mktemp("attacked")
    with running(directory, *FLAGS) as cluster:
        kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        uids = prepare(administrator(kubeconfig, directory))
        stolen = cluster.authority.sign("system:node:node-1", NODES)
        (directory / "stolen.pem").write_text(stolen.certificate + stolen.key)
        world = {f"id-of-{name}": token(name)[0] for name in ADDRESSES}
        world |= {f"group-of-{name}": group(name) for name in ADDRESSES}
        (directory / "orders.json").write_text(json.dumps(orders(cluster, uids)))
        with (
            (directory / "orders.json").open() as stdin,
            (directory / "gate.log").open("w") as log,
            subprocess.Popen(
                [sys.executable, *APPROVING[request.param]],
                stdin=stdin, stdout=log, stderr=log, cwd=CHECKOUT,
            ) as gate,
        ):  # fmt: skip
            try:
                yield Attack(kubeconfig, world, directory / "stolen.pem", ".".join(token("node-3")))
                assert gate.poll() is None, (directory / "gate.log").read_text()
            finally:
                gate.terminate()


def test_no_hostile_request_is_approved_and_honest_ones_beside_them_are(attack: Attack) -> None:
    stored = attack.with_all_vectors()
    assert stored >= 60
    assert stored == sum(not vector.unstored for vector in VECTORS)


def test_a_stolen_token_lets_in_once_and_its_own_node_only(attack: Attack) -> None:
    attack.with_a_used_token()


def test_an_honest_request_is_approved_beside_a_thousand_junk_ones(attack: Attack) -> None:
    pem = serving(dns("node-2"), ip(ADDRESSES["node-2"]), name="node-2")
    honest = Vector(title="node-2's own", pem=pem, by=node("node-2"), reason="")
    with ThreadPoolExecutor(1) as threads:
        flooding = threads.submit(attack.with_junk)
        while not attack.ours():
            time.sleep(0.05)
        attack.await_approval(honest, limit_s=60)
        flooding.result()
    assert attack.decided() == set()
    assert len(attack.ours()) == 1000
