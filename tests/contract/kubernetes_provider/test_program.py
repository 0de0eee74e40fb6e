"""The provider and the real engine, on a small program."""

import base64
import sys
from collections.abc import Iterator

import pytest

from tests.contract.engine import STACK, Stack
from tests.contract.kubernetes_provider.cluster import Cluster

pytestmark = pytest.mark.contract

TOKEN, OTHER_TOKEN = "0123456789abcdef", "fedcba9876543210"
OBJECTS = "/api/v1/namespaces/default"
PROGRAM = """
import pulumi
import pulumi_kubernetes as kubernetes

config = pulumi.Config()
cluster = kubernetes.Provider(
    "cluster",
    kubeconfig=config.require("kubeconfig"),
    cluster_identifier="lab",
    enable_config_map_mutable=True,
)
token = kubernetes.core.v1.Secret(
    "token",
    metadata={"name": "program-token"},
    string_data={"token-secret": config.require_secret("token")},
    opts=pulumi.ResourceOptions(provider=cluster, ignore_changes=["data", "stringData"]),
)
kubernetes.core.v1.ConfigMap(
    "note",
    metadata={"name": "program-note"},
    data={"uid": token.metadata.uid},
    opts=pulumi.ResourceOptions(provider=cluster),
)
"""


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that has been previewed and brought up."""
    stack = Stack(tmp_path_factory.mktemp("program"), ("pulumi-resource-kubernetes",))
    options = {"virtualenv": sys.prefix}
    stack.write(PROGRAM, runtime={"name": "python", "options": options})
    stack.select()
    stack.run("config", "set", "kubeconfig", str(cluster.kubeconfig), "--stack", STACK)
    stack.run("config", "set", "--secret", "token", TOKEN, "--stack", STACK)
    previewed = stack.run("preview", "--diff", "--stack", STACK)
    assert previewed.status == 0, previewed.said
    done = stack.up()
    assert done.status == 0, done.said
    (stack.directory / "said").write_text(previewed.said + done.said)
    yield stack


def refreshed(stack: Stack, *more: str) -> int:
    """Return the exit status of an `up` that first reads the cluster."""
    return stack.run("up", "--yes", "--skip-preview", "--refresh", *more, "--stack", STACK).status


def test_a_secret_is_in_no_output_and_only_encrypted_in_the_state(stack: Stack) -> None:
    said = (stack.directory / "said").read_text()
    assert "[secret]" in said
    exported = stack.run("stack", "export", "--stack", STACK).said
    assert "program-token" in exported
    for text in (TOKEN, base64.b64encode(TOKEN.encode()).decode()):
        assert text not in said
        assert text not in exported


def test_what_is_ignored_of_a_secret_stays_as_somebody_left_it(
    stack: Stack, cluster: Cluster
) -> None:
    cluster.change(f"{OBJECTS}/secrets/program-token", {"data": {"token-secret": ""}})
    stack.run("config", "set", "--secret", "token", OTHER_TOKEN, "--stack", STACK)
    assert stack.run("up", "--yes", "--expect-no-changes", "--stack", STACK).status == 0
    assert refreshed(stack) == 0
    assert cluster.get(f"{OBJECTS}/secrets/program-token")["data"] == {"token-secret": ""}


def test_what_somebody_deleted_is_made_again_after_a_refresh(
    stack: Stack, cluster: Cluster
) -> None:
    cluster.request("DELETE", f"{OBJECTS}/configmaps/program-note")
    assert refreshed(stack) == 0
    assert not cluster.gone(f"{OBJECTS}/configmaps/program-note")
    assert refreshed(stack, "--expect-no-changes") == 0


def test_what_depends_on_an_object_is_deleted_before_it(stack: Stack, cluster: Cluster) -> None:
    done = stack.run("destroy", "--yes", "--skip-preview", "--stack", STACK)
    assert done.status == 0, done.said
    deleted = [line for line in done.said.splitlines() if " deleted (" in line]
    order = [kind for line in deleted for kind in ("ConfigMap", "Secret") if f":{kind} " in line]
    assert order == ["ConfigMap", "Secret"]
    assert cluster.gone(f"{OBJECTS}/secrets/program-token")
