"""Objects of the kinds that the program declares: made, compared, changed, read and deleted."""

import threading
import time

import pytest
from google.protobuf.empty_pb2 import Empty

from tests.contract.driver import PluginError, Provider
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.conftest import Start
from tests.contract.kubernetes_provider.manifests import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    RBAC,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    binding,
    config_map,
    deployment,
    manifest,
)

pytestmark = pytest.mark.contract

MAPS = "/api/v1/namespaces/default/configmaps"
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
REFERENCE = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
GROUP = {"apiGroup": RBAC, "kind": "Group", "name": "system:bootstrappers"}
EVERY_KIND = {
    SECRET: {"stringData": {"a": "b"}},
    CONFIG_MAP: {"data": {"a": "b"}},
    SERVICE_ACCOUNT: {"automountServiceAccountToken": False},
    DISRUPTION_BUDGET: {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    ROLE: {"rules": RULES},
    ROLE_BINDING: {"roleRef": REFERENCE, "subjects": [GROUP]},
    CLUSTER_ROLE: {"rules": RULES, "metadata": {"namespace": None}},
    CLUSTER_ROLE_BINDING: {
        "roleRef": REFERENCE, "subjects": [GROUP], "metadata": {"namespace": None},
    },
}  # fmt: skip


@pytest.mark.parametrize("token", EVERY_KIND, ids=lambda token: token.rpartition(":")[2])
def test_every_kind_is_made_stays_the_same_changes_and_goes(provider: Provider, token: str) -> None:
    resource = provider.resource(token)
    inputs = manifest(token, "any", **EVERY_KIND[token])
    identity, state = resource.up(inputs)
    again = resource.check(inputs, state["__inputs"])
    _, read, live = resource.read(identity, state, state["__inputs"])
    for known in (state, read):
        assert resource.diff(identity, known, again).changes == "DIFF_NONE"
    inputs["metadata"]["labels"] = {"a": "b"}
    labelled = resource.check(inputs, live)
    assert resource.diff(identity, read, labelled).detailed == {"metadata.labels": "ADD"}
    state = resource.update(identity, read, labelled)
    assert state["metadata"]["labels"] == {"a": "b"}
    resource.delete(identity, state)
    assert resource.read(identity, state, state["__inputs"])[0] == ""
    resource.delete(identity, state)  # what is gone is deleted


def test_what_exists_with_other_content_is_not_overwritten(
    provider: Provider, cluster: Cluster
) -> None:
    """Needed of every version: since 4.29 creating what exists fails, before on a conflict."""
    cluster.request("POST", f"{MAPS}?fieldManager=someone", config_map("theirs", "theirs"))
    with pytest.raises(PluginError, match=r"conflict with \"someone\"|already exists"):
        provider.resource(CONFIG_MAP).up(config_map("theirs", "ours"))
    assert cluster.get(f"{MAPS}/theirs")["data"] == {"text": "theirs"}


def test_what_exists_with_the_same_content_is_taken_over_or_refused(
    provider: Provider, cluster: Cluster
) -> None:
    """Before 4.29 it is taken over, since then it is refused. The program needs neither."""
    cluster.request("POST", f"{MAPS}?fieldManager=someone", config_map("equal"))
    version = provider.call("GetPluginInfo", Empty()).version
    major, minor, _ = map(int, version.removeprefix("v").split("."))
    if (major, minor) < (4, 29):
        assert provider.resource(CONFIG_MAP).up(config_map("equal"))[0] == "default/equal"
    else:
        with pytest.raises(PluginError, match="already exists"):
            provider.resource(CONFIG_MAP).up(config_map("equal"))


def test_another_name_replaces_and_the_old_object_goes_last(provider: Provider) -> None:
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(config_map("old"))
    found = resource.diff(identity, state, resource.check(config_map("new")))
    assert (found.replaces, found.delete_first) == (["metadata.name"], False)


def test_another_role_replaces_a_binding_and_the_old_one_goes_first(provider: Provider) -> None:
    resource = provider.resource(ROLE_BINDING)
    identity, state = resource.up(binding("same"))
    found = resource.diff(identity, state, resource.check(binding("same", "edit")))
    assert (found.replaces, found.delete_first) == (["roleRef.name"], True)


@pytest.mark.parametrize(
    ("mutable", "kind"), [(True, "UPDATE"), (False, "UPDATE_REPLACE")], ids=["mutable", "not"]
)
def test_a_config_map_changes_in_place_where_the_settings_say_so(
    start: Start, cluster: Cluster, mutable: bool, kind: str
) -> None:
    resource = start(enableConfigMapMutable=mutable).resource(CONFIG_MAP)
    name = f"mutable-{mutable}".lower()
    identity, state = resource.up(config_map(name))
    changed = resource.check(config_map(name, "two"))
    assert resource.diff(identity, state, changed).detailed == {"data.text": kind}
    if mutable:
        resource.update(identity, state, changed)
        assert cluster.get(f"{MAPS}/{name}")["data"] == {"text": "two"}


def test_an_update_owns_what_it_sets_and_leaves_the_fields_of_others(
    provider: Provider, cluster: Cluster
) -> None:
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(config_map("shared", labels={"mine": "1", "old": "1"}))
    cluster.change(f"{MAPS}/shared", {"metadata": {"labels": {"theirs": "1"}}})
    state = resource.update(
        identity, state, resource.check(config_map("shared", "two", labels={"mine": "2"}))
    )
    live = cluster.get(f"{MAPS}/shared")
    assert live["metadata"]["labels"] == {"mine": "2", "theirs": "1"}
    owners = {entry["manager"]: entry for entry in live["metadata"]["managedFields"]}
    ours = owners[state["__fieldManager"]]
    assert ours["operation"] == "Apply"
    assert ours["fieldsV1"]["f:data"] == {"f:text": {}}
    assert owners["someone"]["fieldsV1"] == {"f:metadata": {"f:labels": {"f:theirs": {}}}}


def test_a_field_that_somebody_else_has_set_is_a_conflict(
    provider: Provider, cluster: Cluster
) -> None:
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(config_map("fought-over"))
    cluster.change(f"{MAPS}/fought-over", {"data": {"text": "theirs"}})
    _, read, _ = resource.read(identity, state, state["__inputs"])
    ours = resource.check(config_map("fought-over"), state["__inputs"])
    assert resource.diff(identity, read, ours).detailed == {"data.text": "UPDATE"}
    with pytest.raises(PluginError, match='conflict with "someone"') as caught:
        resource.update(identity, read, ours)
    assert ".data.text" in str(caught.value)


def test_a_deletion_waits_until_the_object_is_gone(provider: Provider, cluster: Cluster) -> None:
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(config_map("held", finalizers=["test.example/hold"]))
    deleted = threading.Thread(target=resource.delete, args=(identity, state))
    deleted.start()
    while not cluster.get(f"{MAPS}/held")["metadata"].get("deletionTimestamp"):
        time.sleep(0.05)
    assert deleted.is_alive()
    cluster.change(f"{MAPS}/held", {"metadata": {"finalizers": None}})
    deleted.join()
    assert cluster.gone(f"{MAPS}/held")


def test_a_deployment_that_does_not_become_ready_fails_and_is_kept(provider: Provider) -> None:
    """As the resident approver's would. No kubelet here ever starts a pod."""
    resource = provider.resource(DEPLOYMENT)
    with pytest.raises(PluginError, match="timed out") as caught:
        resource.create(resource.check(deployment("waiting")), timeout=2)
    assert caught.value.identity == "default/waiting"
    assert caught.value.state["metadata"]["uid"]
