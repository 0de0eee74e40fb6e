"""The roles, bindings and tokens of a commit with other defaults are taken over by one `pulumi up`.

All nodes have joined by then, so nobody needs a token. The whole takeover, with machines, is in
tests/lab/test_earlier_state.py.
"""

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.objects.token_secret import content, is_revoked
from tests.contract import tokens_program
from tests.contract.engine import STACK, Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.tokens_program import ROOT, token

pytestmark = pytest.mark.contract

# approval.client was controller-manager and token.scope was pool.
COMMIT = "a2ea4b8243ec130859c3ae8eed6d6bd254765a0d"
# Each node's token was a component with two random halves.
HALVES = "f47faa89752a6bdee58770374cac31b1c1ce481a"
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
pool = pulumi.ComponentResource("kubelet-tls-bootstrap:index:NodePool", "workers", None, opts)
BootstrapToken("workers-token", args, pulumi.ResourceOptions(parent=pool))
"""
PROGRAM_WITH_HALVES = """
import json
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from components.bootstrap_rbac import BootstrapRbac
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.dependencies import after

SHAPE = json.loads(Path("shape.json").read_text())

cluster = kubernetes.Provider(
    "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="tokens"
)
opts = pulumi.ResourceOptions(provider=cluster)
rbac = BootstrapRbac("rbac", opts)
pool = pulumi.ComponentResource("kubelet-tls-bootstrap:index:NodePool", "workers", None, opts)
for node in ("n1", "n2"):
    args = BootstrapTokenArgs(
        pool="workers",
        node=node,
        members={node: "1"},
        ttl_minutes=30,
        after=after(rbac, *rbac.ready),
    )
    BootstrapToken(f"{node}-token", args, pulumi.ResourceOptions(parent=pool))
"""
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/auto-approve-csrs-for-group"
SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@contextlib.contextmanager
def made_by(commit: str, program: str, cluster: Cluster, directory: Path) -> Iterator[Stack]:
    """A stack that an earlier commit has made, and today's program in its place."""
    listed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    assert listed.returncode == 0, (
        f"{listed.stderr.decode()}: this test needs the commit {commit}; fetch the whole history"
        " (git fetch --unshallow)"
    )
    earlier = directory / "earlier"
    with tarfile.open(fileobj=io.BytesIO(listed.stdout)) as archive:
        archive.extractall(earlier, filter="data")
    stack = tokens_program.make(directory, cluster, program)
    tokens_program.up(stack, checkout=earlier)
    (stack.project / "__main__.py").write_text(tokens_program.PROGRAM)
    yield stack
    assert tokens_program.run(stack, "destroy", "--yes", "--skip-preview").status == 0


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    with made_by(COMMIT, PROGRAM, cluster, tmp_path) as stack:
        yield stack


@pytest.fixture
def with_halves(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    with made_by(HALVES, PROGRAM_WITH_HALVES, cluster, tmp_path) as stack:
        yield stack


def tokens(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """The Secrets of tokens by the pools or nodes that they are for."""
    found = cluster.get(SECRETS)["items"]
    return {
        content(secret)["description"].removeprefix("joins "): secret
        for secret in found
        if secret["type"] == "bootstrap.kubernetes.io/token"
    }


def test_with_todays_defaults_nobody_has_a_token_and_the_binding_is_for_another_group(
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
    assert tokens(cluster) == {}
    done = tokens_program.run(stack, "preview", "--refresh", "--expect-no-changes", **joined)
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


def test_tokens_with_halves_of_their_own_go_since_all_have_joined(
    cluster: Cluster, with_halves: Stack
) -> None:
    stack = with_halves
    assert len(tokens(cluster)) == 2
    joined = {f"{node}_token": token("workers", node=node, joins=False) for node in ("n1", "n2")}
    tokens_program.up(stack, **joined)
    assert tokens(cluster) == {}
    state = stack.run("stack", "export", "--stack", STACK).said
    assert "BootstrapToken" not in state
    assert "random:" not in state
    done = tokens_program.run(stack, "preview", "--refresh", "--expect-no-changes", **joined)
    assert done.status == 0, done.said


def test_a_node_that_joins_in_the_run_that_takes_them_over_gets_one_of_a_seed(
    cluster: Cluster, with_halves: Stack
) -> None:
    whose = "the node n2 of the pool workers"
    before = tokens(cluster)[whose]["metadata"]["name"]
    n1, n2 = token("workers", node="n1", joins=False), token("workers", node="n2")
    tokens_program.up(with_halves, n1_token=n1, n2_token=n2)
    (after,) = tokens(cluster).items()
    assert after[0] == whose
    assert after[1]["metadata"]["name"] != before
    assert not is_revoked(content(after[1]))
