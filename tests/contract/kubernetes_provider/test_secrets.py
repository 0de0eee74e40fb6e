"""Secrets: their content stays secret, and a change of it replaces them."""

import base64
import json

import pytest

from lab.plugins.kubernetes_values import UNKNOWN, Secret, plain
from tests.contract.driver import PluginError, Provider
from tests.contract.kubernetes_provider import only_own
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.manifests import SECRET, manifest

pytestmark = pytest.mark.contract

TOKEN = "0123456789abcdef"
PATH = "/api/v1/namespaces/kube-system/secrets"
IGNORED = ("data", "stringData")


def token_secret(name, **data):
    data = {"token-id": "abcdef", "token-secret": TOKEN} | data
    return manifest(
        SECRET,
        name,
        metadata={"namespace": "kube-system"},
        type="bootstrap.kubernetes.io/token",
        stringData=Secret(data),
    )


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_check_keeps_texts_as_data_and_marks_them(provider: Provider):
    inputs = provider.resource(SECRET).check(token_secret("checked"))
    assert inputs["data"] == Secret({"token-id": encoded("abcdef"), "token-secret": encoded(TOKEN)})
    assert "stringData" not in inputs


def test_texts_win_over_data(provider: Provider):
    inputs = manifest(SECRET, "both", data={"a": encoded("x"), "b": "eA=="}, stringData={"a": "y"})
    checked = provider.resource(SECRET).check(inputs)
    assert plain(checked["data"]) == {"a": encoded("y"), "b": "eA=="}


def test_data_with_line_ends_is_the_same_as_without(provider: Provider):
    checked = provider.resource(SECRET).check(manifest(SECRET, "lines", data={"a": "eHh4\neHh4\n"}))
    assert plain(checked["data"]) == {"a": "eHh4eHh4"}


def test_check_keeps_unknown_texts_as_they_are(provider: Provider):
    inputs = provider.resource(SECRET).check(token_secret("unknown", secret=UNKNOWN))
    assert isinstance(inputs["stringData"], Secret)
    assert inputs["stringData"].value["secret"] is UNKNOWN


def test_a_preview_with_unknowns_returns_the_inputs(provider: Provider):
    resource = provider.resource(SECRET)
    inputs = resource.check(token_secret("previewed", secret=UNKNOWN))
    assert resource.create(inputs, preview=True) == ("", inputs)


def test_a_preview_asks_the_server_and_makes_nothing(provider: Provider, cluster: Cluster):
    resource = provider.resource(SECRET)
    identity, state = resource.create(resource.check(token_secret("previewed")), preview=True)
    assert identity == ""
    assert state["metadata"]["uid"]
    assert isinstance(state["data"], Secret)
    assert cluster.gone(f"{PATH}/previewed")


def test_create_keeps_what_is_secret_secret_everywhere(provider: Provider, cluster: Cluster):
    identity, state = provider.resource(SECRET).up(token_secret("created"))
    assert identity == "kube-system/created"
    assert plain(state["data"])["token-secret"] == encoded(TOKEN)
    assert isinstance(state["data"], Secret)
    assert isinstance(state["__inputs"]["data"], Secret)
    hidden = repr(state)
    assert TOKEN not in hidden
    assert encoded(TOKEN) not in hidden
    assert cluster.get(f"{PATH}/created")["type"] == "bootstrap.kubernetes.io/token"


def test_state_says_who_applies_and_by_which_version(provider: Provider):
    _, state = provider.resource(SECRET).up(token_secret("managed"))
    assert state["__initialApiVersion"] == "v1"
    assert state["__fieldManager"].startswith("pulumi-kubernetes-")
    assert state["metadata"]["managedFields"][0]["manager"] == "pulumi-kubernetes"
    assert state["metadata"]["managedFields"][0]["operation"] == "Update"


def test_nothing_changed_is_no_difference(provider: Provider):
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("same"))
    again = resource.check(token_secret("same"), state["__inputs"])
    assert resource.diff(identity, state, again).changes == "DIFF_NONE"


def test_changed_content_replaces_and_deletes_first(provider: Provider):
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("replaced"))
    changed = resource.check(token_secret("replaced", **{"token-secret": "other"}))
    found = resource.diff(identity, state, changed)
    assert found.detailed == {"data.token-secret": "UPDATE_REPLACE"}
    assert found.replaces == ["data.token-secret"]
    assert found.delete_first


def test_changed_content_with_another_name_does_not_delete_first(provider: Provider):
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("first"))
    found = resource.diff(identity, state, resource.check(token_secret("second", **{"x": "y"})))
    assert found.replaces == ["data.x", "metadata.name"]
    assert not found.delete_first


def test_unknown_texts_replace(provider: Provider):
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("to-be-known"))
    new = resource.check(token_secret("to-be-known", **{"token-secret": UNKNOWN}))
    found = resource.diff(identity, state, new)
    assert found.detailed == {"data": "DELETE_REPLACE", "stringData": "ADD_REPLACE"}


def test_changed_content_updates_where_secrets_are_mutable(start, cluster: Cluster):
    resource = start(enableSecretMutable=True).resource(SECRET)
    identity, state = resource.up(token_secret("mutable"))
    changed = resource.check(token_secret("mutable", **{"token-secret": "other"}))
    found = resource.diff(identity, state, changed)
    assert found.detailed == {"data.token-secret": "UPDATE"}
    assert not found.replaces
    resource.update(identity, state, changed)
    assert cluster.get(f"{PATH}/mutable")["data"]["token-secret"] == encoded("other")


def test_an_immutable_secret_is_replaced_all_the_same(start):
    resource = start(enableSecretMutable=True).resource(SECRET)
    inputs = token_secret("frozen") | {"immutable": True}
    identity, state = resource.up(inputs)
    changed = resource.check(token_secret("frozen", **{"x": "y"}) | {"immutable": True})
    assert resource.diff(identity, state, changed).replaces == ["data.x"]


def test_a_changed_type_replaces(start):
    resource = start(enableSecretMutable=True).resource(SECRET)
    identity, state = resource.up(token_secret("typed"))
    changed = resource.check(token_secret("typed") | {"type": "Opaque"})
    assert resource.diff(identity, state, changed).detailed == {"type": "UPDATE_REPLACE"}


@pytest.fixture
def revoked(provider: Provider, cluster: Cluster, request):
    """A token that was emptied in place behind Pulumi's back, as state and inputs had it."""
    name = f"revoked-{abs(hash(request.node.name))}"
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret(name))
    emptied = {"token-secret": "", "usage-bootstrap-authentication": encoded("false")}
    cluster.merge(f"{PATH}/{name}", {"data": emptied})
    return resource, identity, state, state["__inputs"]


def test_ignored_content_emptied_in_place_is_no_difference(revoked):
    resource, identity, state, inputs = revoked
    assert resource.diff(identity, state, inputs, IGNORED).changes == "DIFF_NONE"


def test_ignored_content_emptied_in_place_is_no_difference_after_a_refresh(revoked):
    resource, identity, state, inputs = revoked
    _, read, live = resource.read(identity, state, inputs)
    assert plain(read["data"])["token-secret"] == ""
    assert isinstance(live["data"], Secret)
    # The engine puts the refreshed inputs in the place of what is ignored.
    again = resource.check(live, live)
    assert resource.diff(identity, read, again, IGNORED).changes == "DIFF_NONE"


def test_a_refresh_shows_content_that_changed(revoked):
    resource, identity, state, inputs = revoked
    _, read, _ = resource.read(identity, state, inputs)
    assert resource.diff(identity, read, inputs).detailed == {"data.token-secret": "UPDATE_REPLACE"}


def test_a_refresh_itself_reports_content_with_a_dash_in_its_key_though_ignored(revoked):
    resource, identity, state, inputs = revoked
    _, read, _ = resource.read(identity, state, inputs)
    found = resource.diff(identity, read, inputs, IGNORED)
    assert found.detailed == {"data.token-secret": "UPDATE_REPLACE"}


def test_content_without_a_dash_in_its_key_is_ignored_then_too(
    provider: Provider, cluster: Cluster
):
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("plain-key", expiration="2030-01-01T00:00:00Z"))
    cluster.merge(f"{PATH}/plain-key", {"data": {"expiration": ""}})
    _, read, _ = resource.read(identity, state, state["__inputs"])
    assert resource.diff(identity, read, state["__inputs"], IGNORED).changes == "DIFF_NONE"


def test_an_update_leaves_ignored_content_as_it_is(revoked, cluster: Cluster):
    resource, identity, state, inputs = revoked
    labelled = inputs | {"metadata": inputs["metadata"] | {"labels": {"a": "b"}}}
    changed = resource.check(labelled, inputs)
    found = resource.diff(identity, state, changed, IGNORED)
    assert found.detailed == {"metadata.labels": "ADD"}
    resource.update(identity, state, changed, ignore=IGNORED)
    live = cluster.get(f"{PATH}/{identity.rpartition('/')[2]}")
    assert live["metadata"]["labels"] == {"a": "b"}
    assert live["data"]["token-secret"] == ""
    assert live["data"]["token-id"] == encoded("abcdef")


def test_a_refusal_does_not_quote_what_is_secret(provider: Provider, engine):
    resource = provider.resource(SECRET)
    inputs = manifest(SECRET, "bad", data=Secret({"key": "n%t-base64-" + TOKEN}))
    with pytest.raises(PluginError) as caught:
        resource.create(resource.check(inputs))
    assert TOKEN not in str(caught.value)
    assert not [line for line in engine.lines if TOKEN in line]


def test_a_service_account_token_is_waited_for(provider: Provider):
    token = manifest(
        SECRET,
        "account-token",
        metadata={"annotations": {"kubernetes.io/service-account.name": "default"}},
        type="kubernetes.io/service-account-token",
    )
    _, state = provider.resource(SECRET).up(token)
    assert plain(state["data"])["token"]


def test_an_import_reads_inputs_out_of_the_cluster(provider: Provider):
    resource = provider.resource(SECRET)
    identity, _ = resource.up(token_secret("imported"))
    found, state, inputs = resource.read(identity)
    assert found == identity
    assert isinstance(state["data"], Secret)
    assert plain(inputs) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "imported", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {"token-id": encoded("abcdef"), "token-secret": encoded(TOKEN)},
    }


@only_own
def test_kubectls_annotation_is_as_secret_as_the_content(provider: Provider, cluster: Cluster):
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("applied"))
    note = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": TOKEN})}
    cluster.merge(f"{PATH}/applied", {"metadata": {"annotations": note}})
    _, read, _ = resource.read(identity, state, state["__inputs"])
    assert TOKEN not in repr(read)
