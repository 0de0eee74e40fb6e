"""The end of roles and bindings on a real API server: with the last Node, and only what is ours."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.release import RBAC, release
from admission.stack_settings import Kubeconfig, StackSettings
from components.bootstrap_rbac import BINDINGS, SERVING_ROLE
from tests.contract import tokens_program
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.tokens_program import token

pytestmark = pytest.mark.contract

NAMES = [*(f"clusterrolebindings/{name}" for name in BINDINGS), f"clusterroles/{SERVING_ROLE}"]
BY_HAND = "clusterrolebindings/node-client-cert-renewal"


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
    cluster.request("POST", f"{RBAC}/clusterrolebindings", binding)


def make_node(cluster: Cluster, name: str) -> None:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    cluster.request("POST", "/api/v1/nodes", body)


def left(cluster: Cluster) -> set[str]:
    return {name for name in NAMES if not cluster.gone(f"{RBAC}/{name}")}


def up(cluster: Cluster, directory: Path, **tokens: dict[str, Any]) -> None:
    """Run `pulumi up` of a stack of its own."""
    directory.mkdir()
    stack = tokens_program.make(directory, cluster)
    # What is there and says the same is taken over, by newer providers only if they are told to.
    taking = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
    command = ("up", "--yes", "--skip-preview")
    done = tokens_program.run(stack, *command, variables=taking, **tokens)
    assert done.status == 0, done.said


def end(server: str) -> list[str]:
    """End them as the last Node does, and return what is said."""
    said: list[str] = []
    asyncio.run(release(NAMES, stack="o/p/s", server=server, say=said.append))
    return said


def test_they_end_with_the_last_node_but_for_those_that_somebody_else_has_made(
    cluster: Cluster, tmp_path: Path
) -> None:
    make_by_hand(cluster)
    up(cluster, tmp_path / "stack", n1_token=token("a", node="n1"))
    up(cluster, tmp_path / "other", n2_token=token("b", node="n2"))
    assert left(cluster) == set(NAMES)

    make_node(cluster, "joined-by-hand")
    (line,) = end(cluster.server)
    assert "joined-by-hand, which this stack does not manage, need them to renew" in line
    assert left(cluster) == set(NAMES)

    cluster.request("DELETE", "/api/v1/nodes/joined-by-hand")
    with pytest.raises(ValueError, match="leads to"):
        end("https://another:6443")
    assert left(cluster) == set(NAMES)
    # A stack whose nodes have not come yet needs them too.
    lines = end(cluster.server)
    assert len(lines) == len(NAMES)
    assert all(" stays: " in line and line.endswith(" have written it") for line in lines)
    assert left(cluster) == set(NAMES)


def test_those_of_one_stack_alone_end_and_what_was_made_by_hand_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    make_by_hand(cluster)
    up(cluster, tmp_path / "stack", n1_token=token("a", node="n1"))
    (line,) = end(cluster.server)
    assert line.startswith(f"{BY_HAND} stays: ")
    assert left(cluster) == {BY_HAND}
    assert end(cluster.server) == [line]  # it can be run again
