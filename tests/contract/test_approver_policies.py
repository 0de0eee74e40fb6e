"""The admission policies of the approver, on a real API server with the approver's own tokens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract import approver_program as program
from tests.contract.approver_program import encoded, replica, wait_for
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.test_hostile_requests import FLAGS, prepare
from tests.hostile.api_server import CSRS, Caller, administrator
from tests.hostile.vector import (
    ADDRESSES,
    CLIENT_SIGNER,
    CLIENT_USAGES,
    SERVING_SIGNER,
    SERVING_USAGES,
    Requester,
    client,
    dns,
    ip,
    node,
    serving,
)

pytestmark = pytest.mark.contract

ACCOUNT = f"system:serviceaccount:{program.NAMESPACE}:{program.NAME}"
HOLDER = Requester("system:bootstrap:abcdef", ("system:bootstrappers", "system:authenticated"))
SOMEBODY = Requester("somebody", ("system:authenticated",))
MEASURED = "a certificate request of a node may have 16384 bytes"


class World:
    """A cluster with the policies, and everybody who asks there."""

    def __init__(self, cluster: Cluster, directory: Path, *, policies: bool) -> None:
        self.cluster, self.directory = cluster, directory
        self.stack = program.make(directory, cluster)
        self.kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        self.admin = administrator(self.kubeconfig, directory)
        prepare(self.admin)
        program.inventory(cluster)
        program.up(self.stack, admission_policy=policies)
        self.number = 0

    def ask(
        self,
        by: Requester,
        pem: bytes,
        *,
        signer: str = SERVING_SIGNER,
        usages: tuple[str, ...] = SERVING_USAGES,
        expiration_s: int = 3600,
        **metadata: Any,
    ) -> tuple[int, str, str]:
        """Make a request; return the status, its name and what the API server says."""
        self.number += 1
        if "generateName" not in metadata:
            metadata = {"name": f"csr-{self.number}", **metadata}
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": metadata,
            "spec": {
                "request": encoded(pem),
                "signerName": signer,
                "usages": list(usages),
                "expirationSeconds": expiration_s,
            },
        }
        status, answer = self.admin.call("POST", CSRS, body, by)
        name = answer.get("metadata", {}).get("name", "")
        return status, name, str(answer.get("message", ""))

    def approve(self, csr: str, *, bound: str = "Pod") -> tuple[int, str]:
        """Approve a request with a token of the approver's account, without a look at it."""
        path = program.kubeconfig_of_pod(self.cluster, self.directory, bound=bound)
        token = json.loads(path.read_text())["users"][0]["user"]["token"]
        found = self.cluster.get(f"{CSRS}/{csr}")
        condition = {"type": "Approved", "status": "True", "reason": "R", "message": "m"}
        found["status"]["conditions"] = [condition]
        caller = Caller(self.kubeconfig, token=token)
        status, answer = caller.call("PUT", f"{CSRS}/{csr}/approval", found)
        return status, str(answer.get("message", ""))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("policies")
    with running(directory, *FLAGS) as cluster:
        world = World(cluster, directory, policies=True)
        # A policy holds once its API server has read it.
        wait_for("policy", lambda: world.ask(node("node-1"), padded("node-1"))[0] != 201)
        yield world


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("without")
    with running(directory, *FLAGS) as cluster:
        yield World(cluster, directory, policies=False)


def honest(name: str) -> bytes:
    return serving(dns(name), ip(ADDRESSES[name]), name=name)


def padded(name: str) -> bytes:
    """The same with much before it, which a reader of PEM skips."""
    return b"x" * 63 + b"\n" + (b"y" * 63 + b"\n") * 256 + honest(name)


def test_a_kubelets_requests_pass_and_the_approver_approves_its_own(world: World) -> None:
    status, csr, said = world.ask(node("node-2"), honest("node-2"))
    assert status == 201, said
    status, _, said = world.ask(
        HOLDER, client("node-3"), signer=CLIENT_SIGNER, usages=CLIENT_USAGES
    )
    assert status == 201, said
    with replica(program.kubeconfig_of_pod(world.cluster, world.directory)):
        wait_for("approval", lambda: world.cluster.get(f"{CSRS}/{csr}")["status"].get("conditions"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a request that no node has made": ({"by": SOMEBODY}, "requests of nodes only"),
    "usages that no kubelet has": (
        {"usages": (*SERVING_USAGES, "client auth")},
        "only the usages of a kubelet's",
    ),
    "usages without that of a server": (
        {"usages": ("digital signature", "key encipherment")},
        "only the usages of a kubelet's",
    ),
    "a node that is in no group": (
        {"by": Requester("system:node:node-1", ("system:authenticated",))},
        "requests of nodes only",
    ),
    "ten years": ({"expiration_s": 315_360_000}, "366 days at most"),
}
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n" * 253, "uid": "u" * 253}
ODD: dict[str, tuple[dict[str, Any], str]] = {
    "a name with a query": ({"name": "a?b&watch=1"}, "has a name of letters, digits"),
    "a long name": ({"name": "n" * 254}, "has a name of letters, digits"),
    "a line feed at the end of a name": ({"name": "a\n"}, "has a name of letters, digits"),
    "labels": ({"labels": {f"a{n}": "b" for n in range(17)}}, "may have 16 labels"),
    "finalizers": ({"finalizers": [f"a.b/c{n}" for n in range(17)]}, "may have 16 labels"),
    "a long beginning of a name": ({"generateName": "n" * 254}, "generateName of such a request"),
    **{
        f"a long {field} of an owner": (
            {"ownerReferences": [OWNER, {**OWNER, field: "n" * 254}]},
            "says of an owner may have 253 characters",
        )
        for field in ("kind", "name", "uid")
    },
}


@pytest.mark.parametrize("title", REFUSED)
def test_a_stolen_token_approves_only_what_a_kubelet_asks_for(
    world: World, without: World, title: str
) -> None:
    given, reason = REFUSED[title]
    changed = {"by": node("node-1"), "pem": honest("node-1"), **given}
    _, csr, _ = without.ask(**changed)
    assert without.approve(csr)[0] == 200
    _, csr, _ = world.ask(**changed)
    status, said = world.approve(csr)
    assert status == 403
    assert reason in said


@pytest.mark.parametrize("bound", ["", "Node"])
def test_a_token_that_is_no_pods_approves_nothing(world: World, without: World, bound: str) -> None:
    _, csr, _ = without.ask(node("node-1"), honest("node-1"))
    assert without.approve(csr, bound=bound)[0] == 200
    _, csr, _ = world.ask(node("node-1"), honest("node-1"))
    status, said = world.approve(csr, bound=bound)
    assert status == 403
    assert "only with the token of a pod that runs on a node" in said
    assert world.approve(csr)[0] == 200


def test_others_approve_as_before(world: World) -> None:
    """The policy is for the approver's account: the gate and administrators are no matter of it."""
    _, csr, _ = world.ask(node("node-1"), honest("node-1"))
    found = world.cluster.get(f"{CSRS}/{csr}")
    condition = {"type": "Approved", "status": "True", "reason": "R", "message": "m"}
    found["status"]["conditions"] = [condition]
    world.cluster.request("PUT", f"{CSRS}/{csr}/approval", found)


@pytest.mark.parametrize("by", [node("node-1"), HOLDER], ids=["node", "token's holder"])
def test_long_requests_and_annotations_are_not_even_stored(
    world: World, without: World, by: Requester
) -> None:
    assert without.ask(by, padded("node-1"))[0] == 201
    assert without.ask(by, honest("node-1"), annotations={"a": "x" * 4096})[0] == 201
    status, _, said = world.ask(by, padded("node-1"))
    assert (status, MEASURED in said) == (403, True)
    status, _, said = world.ask(by, honest("node-1"), annotations={"a": "x" * 4096})
    assert (status, "may have 4096 characters" in said) == (403, True)
    assert world.ask(by, honest("node-1"), annotations={"a": "x" * 4000})[0] == 201


@pytest.mark.parametrize("title", ODD)
def test_metadata_that_no_kubelet_writes_are_not_even_stored(
    world: World, without: World, title: str
) -> None:
    given, reason = ODD[title]
    assert without.ask(node("node-1"), honest("node-1"), **given)[0] == 201
    status, _, said = world.ask(node("node-1"), honest("node-1"), **given)
    assert (status, reason in said) == (403, True), said


def test_names_that_kubelets_give_and_have_made_for_them_pass(world: World) -> None:
    for given in (
        {"generateName": "csr-"},
        {"generateName": "n" * 253},
        {"name": "node-csr-_-HXe7aYcqkS1bKmH4faEnHA_-"},
        {"ownerReferences": [OWNER]},
    ):
        status, _, said = world.ask(node("node-1"), honest("node-1"), **given)
        assert status == 201, said


def test_requests_of_others_are_not_measured(world: World) -> None:
    assert world.ask(SOMEBODY, padded("node-1"))[0] == 201


def test_the_policies_are_no_drift(world: World) -> None:
    program.up(world.stack, "--refresh", "--expect-no-changes", admission_policy=True)


def test_the_longest_request_that_the_rules_read_passes(world: World) -> None:
    pem = honest("node-1")
    longest = pem + b"\n" * (16384 - len(pem))
    assert world.ask(node("node-1"), longest)[0] == 201
    assert world.ask(node("node-1"), longest + b"\n" * 3)[0] == 403
