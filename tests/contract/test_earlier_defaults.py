"""The roles, bindings and tokens of a commit with other defaults are taken over by one `pulumi up`.

All nodes have joined by then, so nobody needs a token. The whole takeover, with machines, is in
tests/lab/test_earlier_state.py.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.objects.token_secret import content, is_revoked
from tests.contract import tokens_program
from tests.contract.engine import Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.tokens_program import ROOT, token

pytestmark = pytest.mark.contract

# approval.client was controller-manager and token.scope was pool.
COMMIT = "a2ea4b8243ec130859c3ae8eed6d6bd254765a0d"
PROGRAM = """
import json
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from components.bootstrap_rbac import BootstrapRbac, BootstrapRbacArgs
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.dependencies import after

SHAPE = json.loads(Path("shape.json").read_text())

cluster = kubernetes.Provider(
    "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="tokens"
)
opts = pulumi.ResourceOptions(provider=cluster)
rbac = BootstrapRbac("rbac", BootstrapRbacArgs(client_approval="controller-manager"), opts)
args = BootstrapTokenArgs(
    pool="workers",
    members={"n1": "1", "n2": "1"},
    ttl_minutes=30,
    after=after(rbac, *rbac.ready),
)
BootstrapToken("workers-token", args, opts)
"""
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/auto-approve-csrs-for-group"
SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    """A stack that the earlier commit has made, and today's program in its place."""
    listed = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True, check=False)
    assert listed.returncode == 0, (
        f"{listed.stderr.decode()}: this test needs the commit {COMMIT}; fetch the whole history"
        " (git fetch --unshallow)"
    )
    earlier = tmp_path / "earlier"
    with tarfile.open(fileobj=io.BytesIO(listed.stdout)) as archive:
        archive.extractall(earlier, filter="data")
    stack = tokens_program.make(tmp_path, cluster, PROGRAM)
    tokens_program.up(stack, checkout=earlier)
    (stack.project / "__main__.py").write_text(tokens_program.PROGRAM)
    yield stack
    assert tokens_program.run(stack, "destroy", "--yes", "--skip-preview").status == 0


def tokens(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """The Secrets of tokens by the pools or nodes that they are for."""
    found = cluster.get(SECRETS)["items"]
    return {
        content(secret)["description"].removeprefix("joins "): secret
        for secret in found
        if secret["type"] == "bootstrap.kubernetes.io/token"
    }


def test_with_todays_defaults_each_node_has_a_dead_token_and_the_binding_another_group(
    cluster: Cluster, stack: Stack
) -> None:
    before = cluster.get(BINDING)
    assert [subject["name"] for subject in before["subjects"]] == ["system:bootstrappers"]
    assert tokens(cluster).keys() == {"the nodes of the pool workers"}
    joined = {f"{node}_token": token("workers", node=node, joins=False) for node in ("n1", "n2")}
    tokens_program.up(stack, **joined)
    after = cluster.get(BINDING)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    names = [subject["name"] for subject in after["subjects"]]
    assert names == ["system:bootstrappers:-auto-approve"]
    found = tokens(cluster)
    assert found.keys() == {f"the node {node} of the pool workers" for node in ("n1", "n2")}
    assert all(is_revoked(content(secret)) for secret in found.values())
    done = tokens_program.run(stack, "preview", "--refresh", "--expect-no-changes", **joined)
    assert done.status == 0, done.said


def test_a_stack_that_sets_what_was_the_default_keeps_its_token(
    cluster: Cluster, stack: Stack
) -> None:
    (before,) = tokens(cluster).values()
    kept = {"workers_token": token("workers", "n1", "n2", open_=True, joins=False)}
    tokens_program.up(stack, **kept)
    (after,) = tokens(cluster).values()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    done = tokens_program.run(stack, "preview", "--expect-no-changes", **kept)
    assert done.status == 0, done.said


def test_a_node_that_joins_with_what_was_the_default_gets_a_token_in_the_new_group(
    cluster: Cluster, stack: Stack
) -> None:
    joins = {"workers_token": token("workers", "n1", "n2", open_=True)}
    tokens_program.up(stack, **joins)
    (after,) = tokens(cluster).values()
    groups = content(after)["auth-extra-groups"].split(",")
    assert groups == ["system:bootstrappers:-auto-approve", "system:bootstrappers:workers"]
    assert not is_revoked(content(after))
