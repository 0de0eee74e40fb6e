"""The provider itself: its version, which cluster it means, and a cluster that does not answer."""

import json

import pytest
from google.protobuf.empty_pb2 import Empty

from lab.toolchain import KUBERNETES_PROVIDER_VERSION
from tests.contract import driver
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.conftest import Start
from tests.contract.kubernetes_provider.manifests import CONFIG_MAP, config_map

pytestmark = pytest.mark.contract


def config(server: str) -> str:
    """A kubeconfig with a token."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": server}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "users": [{"name": "lab", "user": {"token": "very-secret-token"}}],
        }
    )


ONE, OTHER = config("https://one.example"), config("https://other.example")


@pytest.mark.skipif(not driver.IS_OWN, reason="an installed provider has a version of its own")
def test_the_provider_that_the_lab_builds_tells_its_version(provider: driver.Provider) -> None:
    assert provider.call("GetPluginInfo", Empty()).version == KUBERNETES_PROVIDER_VERSION


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        ({"kubeconfig": ONE}, {"kubeconfig": OTHER}, ["kubeconfig"]),
        ({"kubeconfig": ONE, "clusterIdentifier": "a"},
         {"kubeconfig": OTHER, "clusterIdentifier": "a"}, []),
        ({"kubeconfig": ONE, "clusterIdentifier": "a"},
         {"kubeconfig": ONE, "clusterIdentifier": "b"}, ["clusterIdentifier"]),
    ],
    ids=["no identifier", "same identifier", "another identifier"],
)  # fmt: skip
def test_objects_belong_to_the_cluster_that_its_identifier_names(
    provider: driver.Provider, old: dict[str, str], new: dict[str, str], replaces: list[str]
) -> None:
    assert provider.diff_config(old, new) == ("DIFF_SOME", replaces)


def test_a_kubeconfig_may_be_given_as_text(start: Start, cluster: Cluster) -> None:
    resource = start(kubeconfig=cluster.kubeconfig.read_text()).resource(CONFIG_MAP)
    assert resource.up(config_map("by-text"))[0] == "default/by-text"


def test_without_its_cluster_a_preview_passes_and_all_else_says_why(start: Start) -> None:
    provider = start(kubeconfig=config("https://127.0.0.1:1"))
    resource = provider.resource(CONFIG_MAP)
    inputs = resource.check(config_map("far"))
    assert resource.create(inputs, preview=True) == ("", inputs)
    with pytest.raises(driver.PluginError, match="cluster is unreachable") as caught:
        resource.create(inputs)
    assert "127.0.0.1:1: connect: connection refused" in str(caught.value)
    assert "very-secret-token" not in str(caught.value)
    assert not [line for line in provider.log if "very-secret-token" in line]


def test_a_user_without_rights_may_preview_and_the_error_names_the_missing_right(
    start: Start, cluster: Cluster, tmp_path: pytest.TempPathFactory
) -> None:
    path = cluster.kubeconfig_for("nobody", tmp_path)
    resource = start(kubeconfig=str(path)).resource(CONFIG_MAP)
    inputs = resource.check(config_map("forbidden"))
    assert resource.create(inputs, preview=True) == ("", inputs)
    with pytest.raises(driver.PluginError, match=r'User "nobody" cannot \w+ resource "configmaps"'):
        resource.create(inputs)
