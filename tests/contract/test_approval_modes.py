"""Whose client requests kube-controller-manager approves: its own word, with real tokens.

The program has no machines; each token is used as a machine would use it.
"""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract import tokens_program
from tests.contract.engine import Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.tokens_program import token
from tests.hostile.api_server import CSRS, Caller
from tests.hostile.vector import CLIENT_SIGNER, CLIENT_USAGES, client

pytestmark = pytest.mark.contract

FLAGS = ("--authorization-mode=Node", "--enable-bootstrap-token-auth=true")
APPROVAL_LIMIT_S = 60
# The controller judges within a second; of what it leaves alone nothing tells.
PATIENCE_S = 5
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/auto-approve-csrs-for-group"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
# An API server remembers for 10 s that it has accepted a token (TokenSuccessCacheTTL in
# pkg/kubeapiserver/options/authentication.go).
REFUSAL_LIMIT_S = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    controllers = ("certificatesigningrequest-approving-controller",)
    with running(tmp_path_factory.mktemp("cluster"), *FLAGS, controllers=controllers) as started:
        yield started


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    stack = tokens_program.make(tmp_path, cluster)
    yield stack
    assert tokens_program.run(stack, "destroy", "--yes", "--skip-preview").status == 0


def ask(cluster: Cluster, whole: str, node: str) -> tuple[int, str]:
    """Ask for a node's client certificate with a token; return the status and the request."""
    kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "node-csr-"},
        "spec": {
            "request": base64.b64encode(client(node)).decode(),
            "signerName": CLIENT_SIGNER,
            "usages": list(CLIENT_USAGES),
        },
    }
    status, answer = Caller(kubeconfig, token=whole).call("POST", CSRS, body)
    return status, answer.get("metadata", {}).get("name", "")


def is_approved(cluster: Cluster, request: str, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        status = cluster.get(f"{CSRS}/{request}").get("status", {})
        if status.get("conditions"):
            return True
        time.sleep(0.2)
    return False


def is_let_in(cluster: Cluster, whole: str, node: str, *, limit_s: float) -> bool:
    status, request = ask(cluster, whole, node)
    assert status == 201
    return is_approved(cluster, request, limit_s)


def is_refused(cluster: Cluster, whole: str) -> bool:
    deadline = time.monotonic() + REFUSAL_LIMIT_S
    while time.monotonic() < deadline:
        if ask(cluster, whole, "n1")[0] == 401:
            return True
        time.sleep(0.5)
    return False


def test_only_holders_of_open_pools_tokens_are_approved_by_the_controller_manager(
    cluster: Cluster, stack: Stack
) -> None:
    tokens = tokens_program.up(
        stack,
        open_token=token("open", "n1", "n2", open_=True),
        n3_token=token("safe", node="n3"),
    )
    assert is_let_in(cluster, tokens["open-token"], "n1", limit_s=APPROVAL_LIMIT_S)
    # What the preview warns of: it may be any node.
    assert is_let_in(cluster, tokens["open-token"], "n3", limit_s=APPROVAL_LIMIT_S)
    for node in ("n3", "n1"):
        assert not is_let_in(cluster, tokens["n3-token"], node, limit_s=PATIENCE_S)


def test_a_token_that_somebody_else_has_made_is_not_approved(
    cluster: Cluster, stack: Stack
) -> None:
    """With the binding for system:bootstrappers it was."""
    tokens_program.up(stack, n1_token=token("safe", node="n1"))
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-theirs"},
        "stringData": {
            "token-id": "theirs",
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
        },
    }
    cluster.request("POST", SECRETS, made)
    try:
        assert not is_let_in(cluster, "theirs.0123456789abcdef", "n1", limit_s=PATIENCE_S)
    finally:
        cluster.request("DELETE", f"{SECRETS}/bootstrap-token-theirs")


def test_a_pool_goes_from_one_mode_to_the_other_and_back_each_in_one_up(
    cluster: Cluster, stack: Stack
) -> None:
    """A node joins in each of the runs: its token is a new one, in the mode of that run."""
    found: list[str] = []
    for number, (open_, approved) in enumerate([(False, False), (True, True), (False, False)]):
        tokens = tokens_program.up(stack, n1_token=token("pool", node="n1", open_=open_))
        found.append(tokens["n1-token"])
        limit_s = APPROVAL_LIMIT_S if approved else PATIENCE_S
        assert is_let_in(cluster, found[number], "n1", limit_s=limit_s) == approved
    assert len(set(found)) == 3
    for former in found[:-1]:
        assert is_refused(cluster, former)


def test_a_run_in_which_nobody_joins_makes_no_token_and_changes_nothing(
    cluster: Cluster, stack: Stack
) -> None:
    first = tokens_program.up(stack, n1_token=token("pool", node="n1"))
    second = tokens_program.up(stack, n1_token=token("pool", node="n1"))
    assert first != second
    joined = token("pool", node="n1", joins=False)
    done = tokens_program.run(stack, "preview", "--expect-no-changes", n1_token=joined)
    assert done.status == 0, done.said
    assert tokens_program.up(stack, n1_token=joined) == second


def test_a_run_in_which_somebody_joins_removes_the_tokens_of_those_who_have(
    cluster: Cluster, stack: Stack
) -> None:
    first = tokens_program.up(
        stack, n1_token=token("pool", node="n1"), n2_token=token("pool", node="n2")
    )
    assert first.keys() == {"n1-token", "n2-token"}
    joined = token("pool", node="n1", joins=False)
    second = tokens_program.up(stack, n1_token=joined, n2_token=token("pool", node="n2"))
    assert second.keys() == {"n2-token"}
    assert second["n2-token"] != first["n2-token"]
    for whole in first.values():
        assert is_refused(cluster, whole)
    again = {"n1_token": joined, "n2_token": token("pool", node="n2", joins=False)}
    done = tokens_program.run(stack, "preview", "--refresh", "--expect-no-changes", **again)
    assert done.status == 0, done.said


def test_a_plan_of_a_run_with_new_tokens_comes_true(cluster: Cluster, stack: Stack) -> None:
    wanted = {"n1_token": token("pool", node="n1")}
    tokens_program.up(stack, **wanted)
    plan = str(stack.directory / "plan.json")
    done = tokens_program.run(stack, "preview", "--save-plan", plan, **wanted)
    assert done.status == 0, done.said
    command = ("up", "--yes", "--skip-preview", "--plan", plan)
    done = tokens_program.run(stack, *command, **wanted)
    assert done.status == 0, done.said
    assert json.loads(Path(plan).read_text())


def test_the_binding_is_one_for_a_group_of_its_own(cluster: Cluster, stack: Stack) -> None:
    tokens_program.up(stack, n1_token=token("safe", node="n1"))
    (subject,) = cluster.get(BINDING)["subjects"]
    assert subject["name"] == "system:bootstrappers:-auto-approve"
