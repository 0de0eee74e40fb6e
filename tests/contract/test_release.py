"""Roles and bindings that stacks share, on a real API server: nobody takes them from another.

Each stack applies them with the real engine and provider. They end with the last Node and the last
stack, and only if nobody else has made them.
"""

import asyncio
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.release import RBAC, claim, release
from admission.stack_settings import Kubeconfig, StackSettings
from components.bootstrap_rbac import BINDINGS, SERVING_ROLE
from tests.contract import tokens_program
from tests.contract.engine import Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.tokens_program import ROOT, token

pytestmark = pytest.mark.contract

NAMES = [*(f"clusterrolebindings/{name}" for name in BINDINGS), f"clusterroles/{SERVING_ROLE}"]
BY_HAND = "clusterrolebindings/node-client-cert-renewal"
ONE, TWO = "o/p/one", "o/p/two"
# Before stacks shared these objects each had them as its own: the first one's provider deleted
# them with the stack, the second one's did not.
EARLIER = {
    "deleted with the stack": "f47faa89752a6bdee58770374cac31b1c1ce481a",
    "kept for other nodes": "6fef4c2e3366cad47f9a28a27d8c28a45ba72ff0",
}
EARLIER_PROGRAM = """
import json
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from components import bootstrap_rbac

SHAPE = json.loads(Path("shape.json").read_text())
cluster = kubernetes.Provider(
    "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="tokens"
)
args = []
if hasattr(bootstrap_rbac, "BootstrapRbacArgs"):
    args = [bootstrap_rbac.BootstrapRbacArgs(stack=SHAPE["shares"], api_server="https://api")]
bootstrap_rbac.BootstrapRbac("rbac", *args, opts=pulumi.ResourceOptions(provider=cluster))
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """An API server, which the kubeconfig of each stack leads to."""
    with running(tmp_path) as started:

        async def kubeconfig(_: StackSettings) -> Kubeconfig:
            return Kubeconfig(path=str(started.kubeconfig))

        monkeypatch.setattr(StackSettings, "kubeconfig", kubeconfig)
        yield started


def make_by_hand(cluster: Cluster) -> None:
    """As the manual procedure does, with kubectl."""
    role, group = BINDINGS[BY_HAND.rpartition("/")[2]]
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": BY_HAND.rpartition("/")[2]},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": rbac, "kind": "Group", "name": group}],
    }
    path = f"{RBAC}/clusterrolebindings?fieldManager=kubectl-create"
    cluster.request("POST", path, binding)


def make_node(cluster: Cluster, name: str) -> None:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    cluster.request("POST", "/api/v1/nodes", body)


def left(cluster: Cluster) -> set[str]:
    return {name for name in NAMES if not cluster.gone(f"{RBAC}/{name}")}


def metadata(cluster: Cluster) -> dict[str, dict[str, Any]]:
    return {name: cluster.get(f"{RBAC}/{name}")["metadata"] for name in NAMES}


def claims(cluster: Cluster) -> set[str]:
    """The stacks that say that they need the objects; all of them say the same."""
    (found,) = {tuple(each.get("annotations", {}).values()) for each in metadata(cluster).values()}
    return {*found}


def up(cluster: Cluster, directory: Path, shares: str) -> Stack:
    """Run `pulumi up` of a stack of its own."""
    directory.mkdir()
    stack = tokens_program.make(directory, cluster)
    run(stack, shares)
    return stack


def run(stack: Stack, shares: str, *command: str) -> None:
    words = command or ("up", "--yes", "--skip-preview")
    n1 = token("a", node="n1", joins=not command)  # nobody joins in a preview of no change
    done = tokens_program.run(stack, *words, more={"shares": shares}, n1_token=n1)
    assert done.status == 0, done.said


def end(
    cluster: Cluster, stack: str, server: str | None = None, *, approver: bool = False
) -> list[str]:
    """Give them up as the end of a stack does, and return what is said."""
    said: list[str] = []
    where = server or cluster.server
    asyncio.run(release(NAMES, stack=stack, server=where, say=said.append, approver=approver))
    return said


def test_stacks_share_them_and_the_last_one_takes_them_with_the_last_node(
    cluster: Cluster, tmp_path: Path
) -> None:
    one = up(cluster, tmp_path / "stack", ONE)
    uids = {name: each["uid"] for name, each in metadata(cluster).items()}
    two = up(cluster, tmp_path / "other", TWO)
    assert {name: each["uid"] for name, each in metadata(cluster).items()} == uids
    assert claims(cluster) == {ONE, TWO}
    # What one does is no change for the other.
    for stack, shares in ((one, ONE), (two, TWO)):
        run(stack, shares, "preview", "--refresh", "--expect-no-changes")

    make_node(cluster, "joined-by-hand")
    with pytest.raises(ValueError, match="leads to"):
        end(cluster, ONE, "https://another:6443")
    assert claims(cluster) == {ONE, TWO}
    line, of_approver = end(cluster, ONE, approver=True)
    assert "nobody approves the serving certificates that these nodes renew" in of_approver
    assert "joined-by-hand, which this stack does not manage, need them to renew" in line
    assert left(cluster) == set(NAMES)
    assert claims(cluster) == {TWO}
    run(two, TWO, "preview", "--refresh", "--expect-no-changes")

    cluster.request("DELETE", "/api/v1/nodes/joined-by-hand")
    assert end(cluster, TWO) == []
    assert left(cluster) == set()
    assert end(cluster, TWO) == []  # it can be run again


def test_a_node_that_can_not_be_read_needs_them_too(cluster: Cluster, tmp_path: Path) -> None:
    up(cluster, tmp_path / "stack", ONE)
    # As long as an object may be; the API server writes each of these with six characters.
    heard = {"type": "Ready", "status": "True", "message": "<" * 1_200_000}
    node = {"metadata": {"name": "long"}, "status": {"conditions": [heard]}}
    cluster.request("POST", "/api/v1/nodes", node)
    (line,) = end(cluster, ONE)
    assert "stay: long, which this stack does not manage, need them" in line
    assert left(cluster) == set(NAMES)


def test_a_stack_whose_nodes_have_not_come_yet_needs_them(cluster: Cluster, tmp_path: Path) -> None:
    up(cluster, tmp_path / "stack", ONE)
    up(cluster, tmp_path / "other", TWO)
    lines = end(cluster, ONE)
    assert len(lines) == len(NAMES)
    assert all(line.endswith(f" stays: the stack {TWO} needs it too") for line in lines)
    assert left(cluster) == set(NAMES)
    assert claims(cluster) == {TWO}
    assert end(cluster, TWO) == []
    assert left(cluster) == set()


def test_what_a_stack_has_left_behind_goes_with_the_next_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    up(cluster, tmp_path / "first", ONE)
    make_node(cluster, "by-hand")
    end(cluster, ONE)
    assert left(cluster) == {*NAMES}
    assert claims(cluster) == set()
    up(cluster, tmp_path / "second", TWO)
    cluster.request("DELETE", "/api/v1/nodes/by-hand")
    assert end(cluster, TWO) == []
    assert left(cluster) == set()


def test_what_was_made_by_hand_is_shared_and_stays(cluster: Cluster, tmp_path: Path) -> None:
    make_by_hand(cluster)
    uid = cluster.get(f"{RBAC}/{BY_HAND}")["metadata"]["uid"]
    up(cluster, tmp_path / "stack", ONE)
    assert cluster.get(f"{RBAC}/{BY_HAND}")["metadata"]["uid"] == uid
    (line,) = end(cluster, ONE)
    assert line == f"{BY_HAND} stays: kubectl-create has written it"
    assert left(cluster) == {BY_HAND}
    found = cluster.get(f"{RBAC}/{BY_HAND}")
    # As it was before: nothing of this program's is left on it.
    assert found["metadata"]["uid"] == uid
    assert "annotations" not in found["metadata"]
    managers = [entry["manager"] for entry in found["metadata"]["managedFields"]]
    assert managers == ["kubectl-create"]
    assert found["roleRef"]["name"].endswith(":selfnodeclient")
    assert found["subjects"][0]["name"] == "system:nodes"
    assert end(cluster, ONE) == [line]


def test_another_says_no_more_of_it_when_the_stack_is_renamed(
    cluster: Cluster, tmp_path: Path
) -> None:
    stack = up(cluster, tmp_path / "stack", ONE)
    run(stack, TWO)
    assert claims(cluster) == {TWO}
    assert {*metadata(cluster)[BY_HAND]["annotations"]} == {claim(TWO)}


@pytest.mark.parametrize("how", EARLIER)
def test_what_an_earlier_commit_has_made_is_taken_over_in_place(
    cluster: Cluster, tmp_path: Path, how: str
) -> None:
    commit = EARLIER[how]
    listed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    assert listed.returncode == 0, (
        f"{listed.stderr.decode()}: this test needs the commit {commit}; fetch the whole history"
        " (git fetch --unshallow)"
    )
    with tarfile.open(fileobj=io.BytesIO(listed.stdout)) as archive:
        archive.extractall(tmp_path / "earlier", filter="data")
    directory = tmp_path / "stack"
    directory.mkdir()
    stack = tokens_program.make(directory, cluster, EARLIER_PROGRAM)
    command, shares = ("up", "--yes", "--skip-preview"), {"shares": ONE}
    done = tokens_program.run(stack, *command, checkout=tmp_path / "earlier", more=shares)
    assert done.status == 0, done.said
    before = metadata(cluster)
    # Any deletion, even of what is made again, would be seen: the UIDs are others then.
    (stack.project / "__main__.py").write_text(tokens_program.PROGRAM)
    run(stack, ONE)
    after = metadata(cluster)
    assert {n: m["uid"] for n, m in after.items()} == {n: m["uid"] for n, m in before.items()}
    assert claims(cluster) == {ONE}
    run(stack, ONE, "preview", "--refresh", "--expect-no-changes")
    assert end(cluster, ONE) == []
    assert left(cluster) == set()
