"""Tokens of several runs, with the real engine and API server: none lives for nobody."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.objects.token_secret import content, is_revoked
from tests.contract import tokens_program
from tests.contract.engine import STACK, Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.tokens_program import token

pytestmark = pytest.mark.contract

SECRET = "kubernetes:core/v1:Secret"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
UP = ("up", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    stack = tokens_program.make(tmp_path, cluster)
    yield stack
    assert tokens_program.run(stack, "destroy", "--yes", "--skip-preview").status == 0


def joins(name: str, pool: str = "a") -> dict[str, Any]:
    return token(pool, node=name)


def joined(name: str, pool: str = "a") -> dict[str, Any]:
    return token(pool, node=name, joins=False)


def in_cluster(cluster: Cluster) -> dict[str, dict[str, str]]:
    """What the Secrets of tokens hold, by the nodes that they are for."""
    return {found["description"].split()[3]: found for found in contents(cluster)}


def contents(cluster: Cluster) -> list[dict[str, str]]:
    found = [s for s in cluster.get(SECRETS)["items"] if s["type"].startswith("bootstrap")]
    return [content(secret) for secret in found]


def revoke(cluster: Cluster) -> None:
    """What the gate does at the end of a run."""
    for found in in_cluster(cluster).values():
        path = f"{SECRETS}/bootstrap-token-{found['token-id']}"
        cluster.change(path, {"data": {"token-secret": "", "expiration": ""}})


def test_a_failed_run_leaves_a_token_that_the_next_one_removes(
    cluster: Cluster, stack: Stack
) -> None:
    tokens_program.up(stack, n1_token=joins("n1"))
    revoke(cluster)
    second = {"n1_token": joined("n1"), "n2_token": joins("n2")}
    assert tokens_program.run(stack, *UP, more={"fails": True}, **second).status != 0
    revoke(cluster)
    assert in_cluster(cluster).keys() == {"n1", "n2"}
    tokens_program.up(stack, n1_token=joined("n1"), n2_token=joined("n2"))
    assert in_cluster(cluster).keys() == {"n2"}
    assert is_revoked(in_cluster(cluster)["n2"])


def test_a_node_that_goes_into_another_pool_gets_no_token(cluster: Cluster, stack: Stack) -> None:
    tokens_program.up(stack, n1_token=joins("n1"), n2_token=joins("n2", "b"))
    revoke(cluster)
    tokens_program.up(stack, n1_token=joined("n1", "b"), n2_token=joined("n2", "b"))
    found = in_cluster(cluster)
    assert found.keys() == {"n2"}
    assert is_revoked(found["n2"])


def deleted(cluster: Cluster, stack: Stack) -> str:
    """Somebody deletes the Secret of a token that was revoked; return what it was."""
    tokens = tokens_program.up(stack, n1_token=joins("n1"))
    revoke(cluster)
    token_id, _, secret = tokens["n1-token"].partition(".")
    cluster.request("DELETE", f"{SECRETS}/bootstrap-token-{token_id}")
    return secret


def test_a_refresh_brings_no_token_back_to_life(cluster: Cluster, stack: Stack) -> None:
    deleted(cluster, stack)
    done = tokens_program.run(stack, *UP, "--refresh", n1_token=joined("n1"))
    assert done.status == 0, done.said
    assert contents(cluster) == [{}]
    again = ("preview", "--refresh", "--expect-no-changes")
    done = tokens_program.run(stack, *again, n1_token=joined("n1"))
    assert done.status == 0, done.said


def test_a_refresh_changes_nothing_of_what_a_run_has_done(cluster: Cluster, stack: Stack) -> None:
    tokens_program.up(stack, n1_token=joins("n1"))
    exported = json.loads(stack.run("stack", "export", "--show-secrets", "--stack", STACK).said)
    (secret,) = (r for r in exported["deployment"]["resources"] if r["type"] == SECRET)
    assert not {"data", "stringData"} & (secret["inputs"].keys() | secret["outputs"].keys())
    revoke(cluster)
    (before,) = contents(cluster)
    for command in (("preview", "--refresh", "--expect-no-changes"), (*UP, "--refresh")):
        done = tokens_program.run(stack, *command, n1_token=joined("n1"))
        assert done.status == 0, done.said
    assert contents(cluster) == [before]
    done = tokens_program.run(stack, "preview", "--expect-no-changes", n1_token=joined("n1"))
    assert done.status == 0, done.said


def test_a_plan_that_does_not_come_true_quotes_no_token(cluster: Cluster, stack: Stack) -> None:
    secret = deleted(cluster, stack)
    plan = str(stack.directory / "plan.json")
    planned = ("preview", "--refresh", "--save-plan", plan)
    said = tokens_program.run(stack, *planned, n1_token=joined("n1")).said
    said += tokens_program.run(stack, *UP, "--refresh", "--plan", plan, n1_token=joined("n1")).said
    for text in (secret, base64.b64encode(secret.encode()).decode()):
        assert text not in said
        assert text not in Path(plan).read_text()


def test_a_run_with_a_target_tells_that_a_token_is_not_the_new_one(
    cluster: Cluster, stack: Stack
) -> None:
    first = {"n1_token": joins("n1"), "n2_token": joins("n2")}
    tokens_program.up(stack, **first)
    revoke(cluster)
    more = {"asksIfCurrent": True}
    second = {"n1_token": joined("n1"), "n2_token": joins("n2")}
    done = tokens_program.run(stack, *UP, "--target", "**n2-token", more=more, **second)
    assert done.status == 0, done.said
    assert stack.outputs()["n2-is-current"] is False
    assert all(is_revoked(found) for found in contents(cluster))  # nothing brings it back
    assert tokens_program.run(stack, *UP, more=more, **second).status == 0
    assert stack.outputs()["n2-is-current"] is True


@pytest.mark.parametrize(
    ("wanted", "made"), [({"n1_token": joins("n1")}, [{}]), ({"a_token": token("a", "n1")}, [])]
)
def test_what_valid_tokens_need_fails_without_a_traceback(
    cluster: Cluster, stack: Stack, wanted: dict[str, Any], made: list[dict[str, str]]
) -> None:
    name = "node-client-cert-renewal"
    group = "rbac.authorization.k8s.io"
    body = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "somebody-elses"},
    }
    cluster.request("POST", BINDINGS, body)
    try:
        go_on = {"PULUMI_CONTINUE_ON_ERROR": "true"}
        done = tokens_program.run(stack, *UP, variables=go_on, **wanted)
    finally:
        cluster.request("DELETE", f"{BINDINGS}/{name}")
    assert done.status != 0
    assert name in done.said
    assert "Traceback" not in done.said
    assert "unhandled exception" not in done.said
    assert contents(cluster) == made
