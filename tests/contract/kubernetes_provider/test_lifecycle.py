"""Objects of any kind: named, made, compared, changed, read and deleted."""

import threading
import time

import pytest

from lab.plugins.kubernetes_values import Secret
from tests.contract.driver import PluginError, Provider
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.manifests import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CRD,
    LEASE,
    NAMESPACE,
    POD,
    RBAC,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    binding,
    cluster_role,
    manifest,
    pod,
)

pytestmark = pytest.mark.contract

ROLES = f"/apis/{RBAC}/v1/clusterroles"
MAPS = "/api/v1/namespaces/default/configmaps"

EVERY_KIND = [
    manifest(SECRET, "any", stringData={"a": "b"}),
    manifest(CONFIG_MAP, "any", data={"a": "b"}),
    manifest(SERVICE_ACCOUNT, "any", automountServiceAccountToken=False),
    manifest(LEASE, "any", spec={"holderIdentity": "me", "leaseDurationSeconds": 15}),
    manifest(ROLE, "any", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
    manifest(
        ROLE_BINDING,
        "any",
        roleRef={"apiGroup": RBAC, "kind": "Role", "name": "any"},
        subjects=[{"kind": "ServiceAccount", "name": "any", "namespace": "default"}],
    ),
    cluster_role("any"),
    binding("any"),
]


def token_of(inputs):
    group = inputs["apiVersion"] if "/" in inputs["apiVersion"] else "core/v1"
    return f"kubernetes:{group}:{inputs['kind']}"


@pytest.mark.parametrize("inputs", EVERY_KIND, ids=lambda inputs: inputs["kind"])
def test_every_kind_is_made_stays_the_same_and_goes(provider: Provider, inputs):
    resource = provider.resource(token_of(inputs))
    identity, state = resource.up(inputs)
    again = resource.check(inputs, state["__inputs"])
    assert resource.diff(identity, state, again).changes == "DIFF_NONE"
    _, read, live = resource.read(identity, state, state["__inputs"])
    assert live == state["__inputs"]
    assert resource.diff(identity, read, again).changes == "DIFF_NONE"
    labelled = {**inputs, "metadata": {**inputs["metadata"], "labels": {"a": "b"}}}
    changed = resource.check(labelled, live)
    assert resource.diff(identity, read, changed).detailed == {"metadata.labels": "ADD"}
    state = resource.update(identity, read, changed)
    assert state["metadata"]["labels"] == {"a": "b"}
    resource.delete(identity, state)
    assert resource.read(identity, state, state["__inputs"])[0] == ""
    resource.delete(identity, state)  # what is gone is deleted


def test_what_a_server_writes_in_other_words_is_no_difference(provider: Provider):
    resource = provider.resource(POD)
    inputs = pod("reworded", annotations={"pulumi.com/skipAwait": "true"}, labels={})
    inputs["spec"]["hostNetwork"] = False
    inputs["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "1000m", "memory": "1024Mi"},
        "limits": {"cpu": 2, "memory": "2048Mi"},
    }
    identity, state = resource.up(inputs)
    again = resource.check(inputs, state["__inputs"])
    assert resource.diff(identity, state, again).changes == "DIFF_NONE"
    inputs["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1001m"
    changed = resource.diff(identity, state, resource.check(inputs, state["__inputs"]))
    assert changed.replaces == ["spec.containers[0].resources.requests.cpu"]


def test_a_namespaced_object_without_a_namespace_gets_the_kubeconfigs(provider: Provider):
    checked = provider.resource(CONFIG_MAP).check(manifest(CONFIG_MAP, "placed"))
    assert checked["metadata"]["namespace"] == "default"


def test_a_namespaced_object_without_a_namespace_gets_the_providers(start):
    resource = start(namespace="kube-public").resource(CONFIG_MAP)
    identity, _ = resource.up(manifest(CONFIG_MAP, "placed", data={"a": "b"}))
    assert identity == "kube-public/placed"


def test_a_cluster_wide_object_gets_no_namespace(provider: Provider):
    assert "namespace" not in provider.resource(CLUSTER_ROLE).check(cluster_role("x"))["metadata"]


def test_an_object_without_a_name_gets_one_and_keeps_it(provider: Provider):
    resource = provider.resource(CONFIG_MAP, "settings")
    first = resource.check(manifest(CONFIG_MAP), randomSeed=b"seed")
    name = first["metadata"]["name"]
    assert name.startswith("settings-")
    assert len(name) == len("settings-") + 8
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert resource.check(manifest(CONFIG_MAP), randomSeed=b"seed") == first
    assert resource.check(manifest(CONFIG_MAP), first, randomSeed=b"other") == first


def test_the_engines_own_naming_is_followed(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    named = resource.check(manifest(CONFIG_MAP), autonaming={"proposed_name": "mine", "mode": 0})
    assert named["metadata"]["name"] == "mine"
    with pytest.raises(PluginError, match="autonaming is disabled"):
        resource.check(manifest(CONFIG_MAP), autonaming={"mode": 2})


def test_an_autonamed_object_is_replaced_without_deleting_first(provider: Provider):
    resource = provider.resource(CONFIG_MAP, "auto")
    identity, state = resource.up(manifest(CONFIG_MAP, data={"a": "b"}))
    changed = resource.check(manifest(CONFIG_MAP, data={"a": "c"}), state["__inputs"])
    found = resource.diff(identity, state, changed)
    assert found.replaces == ["data.a"]
    assert not found.delete_first


def test_names_by_the_server_are_refused(provider: Provider):
    inputs = manifest(CONFIG_MAP, metadata={"generateName": "some-"})
    with pytest.raises(PluginError, match="generateName"):
        provider.resource(CONFIG_MAP).check(inputs)


def test_lists_are_refused(provider: Provider):
    token = "kubernetes:core/v1:ConfigMapList"
    with pytest.raises(PluginError, match="list resources exist for compatibility"):
        provider.resource(token).check(manifest(token, items=[]))


def test_what_exists_is_not_taken_over(provider: Provider, cluster: Cluster):
    resource = provider.resource(CLUSTER_ROLE)
    resource.up(cluster_role("existing"))
    with pytest.raises(PluginError) as caught:
        resource.up(cluster_role("existing", "delete"))
    message = str(caught.value)
    assert 'clusterroles.rbac.authorization.k8s.io "existing" already exists' in message
    assert "was not successfully created by the Kubernetes API server" in message
    assert "pulumi import" in message
    assert cluster.get(f"{ROLES}/existing")["rules"][0]["verbs"] == ["get"]


def test_a_preview_of_what_exists_returns_the_inputs(provider: Provider):
    resource = provider.resource(CLUSTER_ROLE)
    resource.up(cluster_role("there"))
    inputs = resource.check(cluster_role("there", "delete"))
    assert resource.create(inputs, preview=True) == ("", inputs)


def test_what_exists_is_taken_over_if_the_settings_say_so(start, cluster: Cluster):
    resource = start(upsertExistingObjects=True).resource(CLUSTER_ROLE)
    cluster.client.request("POST", ROLES, cluster_role("adopted"))
    identity, state = resource.create(
        resource.check(
            cluster_role(
                "adopted",
                "delete",
                metadata={"annotations": {"pulumi.com/patchForce": "true"}},
            )
        )
    )
    assert identity == "adopted"
    assert state["rules"][0]["verbs"] == ["delete"]


@pytest.mark.parametrize(
    ("change", "detailed", "delete_first"),
    [
        ({"metadata": {"name": "renamed"}}, {"metadata.name": "UPDATE_REPLACE"}, False),
        (
            {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"}},
            {"roleRef.name": "UPDATE_REPLACE"},
            True,
        ),
        ({"subjects": []}, {"subjects": "DELETE"}, False),
        (
            {"subjects": [{"apiGroup": RBAC, "kind": "Group", "name": "others"}]},
            {"subjects[0].name": "UPDATE"},
            False,
        ),
        (
            {"metadata": {"name": "bound", "annotations": {"a.b/c": "d"}}},
            {"metadata.annotations": "ADD"},
            False,
        ),
    ],
    ids=["name", "roleRef", "no subjects", "subject", "annotation"],
)
def test_changes_of_a_binding(provider: Provider, change, detailed, delete_first, cluster):
    resource = provider.resource(CLUSTER_ROLE_BINDING)
    if cluster.gone(f"/apis/{RBAC}/v1/clusterrolebindings/bound"):
        identity, state = resource.up(binding("bound"))
    else:
        identity, state, _ = resource.read("bound")
    found = resource.diff(identity, state, resource.check(binding("bound") | change))
    assert found.detailed == detailed
    assert found.delete_first == delete_first


def test_keys_with_dots_are_quoted_in_a_diff(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(manifest(CONFIG_MAP, "dotted", data={"a.b": "1", "c": "2"}))
    changed = resource.check(manifest(CONFIG_MAP, "dotted", data={"a.b": "2", "d": "2"}))
    assert resource.diff(identity, state, changed).detailed == {
        'data["a.b"]': "UPDATE_REPLACE",
        "data.c": "DELETE_REPLACE",
        "data.d": "ADD_REPLACE",
    }


def test_another_namespace_replaces(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(manifest(CONFIG_MAP, "moving", data={"a": "b"}))
    moved = manifest(CONFIG_MAP, "moving", data={"a": "b"}, metadata={"namespace": "kube-public"})
    found = resource.diff(identity, state, resource.check(moved))
    assert found.detailed == {"metadata.namespace": "UPDATE_REPLACE"}
    assert not found.delete_first


def test_another_kind_of_the_same_name_updates_its_kind(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(manifest(CONFIG_MAP, "kinded", data={"a": "b"}))
    changed = resource.check(manifest(CONFIG_MAP, "kinded", data={"a": "b"}))
    assert resource.diff(identity, state, changed | {"kind": "Other"}).detailed == {
        "kind": "UPDATE"
    }


def test_a_config_map_is_changed_in_place_if_the_settings_say_so(start, cluster: Cluster):
    resource = start(enableConfigMapMutable=True).resource(CONFIG_MAP)
    identity, state = resource.up(manifest(CONFIG_MAP, "soft", data={"a": "b", "c": "d"}))
    changed = resource.check(manifest(CONFIG_MAP, "soft", data={"a": "e"}))
    found = resource.diff(identity, state, changed)
    assert found.detailed == {"data.a": "UPDATE", "data.c": "DELETE"}
    resource.update(identity, state, changed)
    assert cluster.get(f"{MAPS}/soft")["data"] == {"a": "e"}


def test_ignored_paths_are_no_difference(provider: Provider):
    resource = provider.resource(CLUSTER_ROLE)
    identity, state = resource.up(cluster_role("ignoring"))
    changed = resource.check(cluster_role("ignoring", "delete"))
    for path in ("rules", "rules[0].verbs", "rules[*].verbs[0]"):
        assert resource.diff(identity, state, changed, [path]).changes == "DIFF_NONE", path
    assert resource.diff(identity, state, changed, ["metadata"]).changes == "DIFF_SOME"


def test_an_update_takes_over_what_was_created_and_leaves_others_fields(
    provider: Provider, cluster: Cluster
):
    resource = provider.resource(CONFIG_MAP)
    inputs = manifest(CONFIG_MAP, "shared", metadata={"labels": {"mine": "1", "old": "1"}})
    identity, state = resource.up(inputs)
    cluster.merge(f"{MAPS}/shared", {"metadata": {"labels": {"theirs": "1"}}})
    inputs["metadata"]["labels"] = {"mine": "2"}
    state = resource.update(identity, state, resource.check(inputs))
    live = cluster.get(f"{MAPS}/shared")
    assert live["metadata"]["labels"] == {"mine": "2", "theirs": "1"}
    managers = {entry["manager"]: entry for entry in live["metadata"]["managedFields"]}
    assert managers[state["__fieldManager"]]["operation"] == "Apply"
    assert "pulumi-kubernetes" not in managers


def test_a_preview_of_an_update_changes_nothing(provider: Provider, cluster: Cluster):
    resource = provider.resource(CLUSTER_ROLE)
    identity, state = resource.up(cluster_role("untouched"))
    inputs = resource.check(cluster_role("untouched", "delete"))
    seen = resource.update(identity, state, inputs, preview=True)
    assert seen["rules"][0]["verbs"] == ["delete"]
    assert cluster.get(f"{ROLES}/untouched")["rules"][0]["verbs"] == ["get"]


def test_a_field_that_somebody_else_applied_is_a_conflict(provider: Provider, cluster: Cluster):
    resource = provider.resource(CLUSTER_ROLE)
    identity, state = resource.up(cluster_role("fought-over"))
    cluster.merge(f"{ROLES}/fought-over", {"rules": []}, manager="rival")
    inputs = resource.check(cluster_role("fought-over", "delete"))
    with pytest.raises(PluginError) as caught:
        resource.update(identity, state, inputs)
    message = str(caught.value)
    assert "server-side apply field conflict detected" in message
    assert 'conflict with "rival"' in message
    assert ".rules" in message
    assert caught.value.identity == "fought-over"
    assert not caught.value.state["rules"]
    forced = resource.check(
        cluster_role(
            "fought-over",
            "delete",
            metadata={"annotations": {"pulumi.com/patchForce": "true"}},
        )
    )
    assert resource.update(identity, state, forced)["rules"][0]["verbs"] == ["delete"]


def test_an_update_of_what_is_gone_fails(provider: Provider, cluster: Cluster):
    resource = provider.resource(CLUSTER_ROLE)
    identity, state = resource.up(cluster_role("vanished"))
    cluster.client.request("DELETE", f"{ROLES}/vanished")
    with pytest.raises(PluginError, match='"vanished" not found'):
        resource.update(identity, state, resource.check(cluster_role("vanished", "delete")))


def test_a_deletion_waits_for_the_object_to_be_gone(provider: Provider, cluster: Cluster):
    resource = provider.resource(CONFIG_MAP)
    inputs = manifest(CONFIG_MAP, "held", metadata={"finalizers": ["test/hold"]})
    identity, state = resource.up(inputs)
    done = threading.Event()

    def release():
        time.sleep(1)
        assert not done.is_set()
        cluster.merge(f"{MAPS}/held", {"metadata": {"finalizers": None}})

    releasing = threading.Thread(target=release)
    releasing.start()
    resource.delete(identity, state)
    done.set()
    releasing.join()
    assert cluster.gone(f"{MAPS}/held")


def test_a_deletion_that_does_not_end_is_an_error_with_the_object(
    provider: Provider, cluster: Cluster
):
    resource = provider.resource(CONFIG_MAP)
    identity, state = resource.up(
        manifest(CONFIG_MAP, "stuck", metadata={"finalizers": ["test/hold"]})
    )
    with pytest.raises(PluginError, match="timed out waiting for the condition") as caught:
        resource.delete(identity, state, timeout=1)
    assert caught.value.identity == "default/stuck"
    assert any("finalizers might be preventing deletion" in line for line in provider.log)
    cluster.merge(f"{MAPS}/stuck", {"metadata": {"finalizers": None}})


def test_a_namespace_is_deleted_with_what_is_in_it(provider: Provider, cluster: Cluster):
    resource = provider.resource(NAMESPACE)
    identity, state = resource.up(manifest(NAMESPACE, "full"))
    provider.resource(SECRET).up(
        manifest(SECRET, "inside", metadata={"namespace": "full"}, stringData={"a": "b"})
    )
    resource.delete(identity, state)
    assert cluster.gone("/api/v1/namespaces/full")


def test_a_preview_in_a_namespace_that_is_still_to_come_returns_the_inputs(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    inputs = resource.check(manifest(CONFIG_MAP, "early", metadata={"namespace": "later"}))
    assert resource.create(inputs, preview=True) == ("", inputs)


def test_a_create_waits_for_its_namespace(provider: Provider, cluster: Cluster):
    resource = provider.resource(CONFIG_MAP)
    inputs = resource.check(manifest(CONFIG_MAP, "patient", metadata={"namespace": "soon"}))
    space = manifest(NAMESPACE, "soon")
    timer = threading.Timer(0.5, cluster.client.request, ("POST", "/api/v1/namespaces", space))
    timer.start()
    assert resource.create(inputs)[0] == "soon/patient"


def test_custom_kinds_come_and_go_with_their_definition(provider: Provider, cluster: Cluster):
    custom = "kubernetes:lab.example/v1:Widget"
    inputs = manifest(custom, "one", spec={"size": 1})
    widget = provider.resource(custom)
    unseen = widget.check(inputs)
    assert widget.create(unseen, preview=True) == ("", unseen)
    definition = provider.resource(CRD)
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x_kubernetes_preserve_unknown_fields": True}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    defined = manifest(
        CRD,
        "widgets.lab.example",
        spec={"group": "lab.example", "scope": "Namespaced", "names": names, "versions": [version]},
    )
    crd_id, crd_state = definition.up(defined)
    again = definition.check(defined, crd_state["__inputs"])
    assert definition.diff(crd_id, crd_state, again).changes == "DIFF_NONE"
    identity, state = widget.up(inputs)
    assert identity == "default/one"
    bigger = widget.check(inputs | {"spec": {"size": 2}})
    assert widget.diff(identity, state, bigger).detailed == {"spec.size": "UPDATE"}
    state = widget.update(identity, state, bigger)
    assert state["spec"] == {"size": 2}
    definition.delete(crd_id, crd_state)
    assert widget.read(identity, state, state["__inputs"])[0] == ""
    widget.delete(identity, state)


def test_a_patch_changes_an_object_of_others_and_gives_it_back(
    provider: Provider, cluster: Cluster
):
    resource = provider.resource(f"{CONFIG_MAP}Patch")
    theirs = manifest(CONFIG_MAP, "theirs", data={"a": "b"})
    cluster.client.request("POST", MAPS, theirs)
    inputs = manifest(CONFIG_MAP, "theirs", metadata={"labels": {"mine": "1"}})
    identity, state = resource.up(inputs)
    live = cluster.get(f"{MAPS}/theirs")
    assert live["metadata"]["labels"] == {"mine": "1"}
    assert live["data"] == {"a": "b"}
    resource.delete(identity, state)
    assert "labels" not in cluster.get(f"{MAPS}/theirs")["metadata"]
    with pytest.raises(PluginError, match="patch resources require"):
        resource.check(manifest(CONFIG_MAP))


def test_secret_marks_of_the_program_reach_the_state(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    inputs = manifest(CONFIG_MAP, "marked", data={"a": Secret("hidden"), "b": "seen"})
    checked = resource.check(inputs)
    assert checked["data"] == {"a": Secret("hidden"), "b": "seen"}
    _, state = resource.create(checked)
    assert state["data"] == {"a": Secret("hidden"), "b": "seen"}
    assert state["__inputs"]["data"] == {"a": Secret("hidden"), "b": "seen"}


def test_a_refused_object_says_what_the_server_said(provider: Provider):
    resource = provider.resource(CONFIG_MAP)
    with pytest.raises(PluginError, match="a lowercase RFC 1123 subdomain"):
        resource.create(resource.check(manifest(CONFIG_MAP, "Not_A_Name")))
