"""The provider itself: its settings, and a cluster that does not answer or does not know us."""

import datetime
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.pki import Authority, kubeconfig
from lab.plugins.kubernetes_values import UNKNOWN
from tests.contract.driver import PluginError, Provider
from tests.contract.kubernetes_provider import only_own
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.manifests import CLUSTER_ROLE, CONFIG_MAP, cluster_role
from tests.contract.kubernetes_provider.manifests import manifest as manifest_of

pytestmark = pytest.mark.contract

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@pytest.mark.parametrize(
    "settings",
    [
        {"kubeconfig": "a", "context": "b", "clusterIdentifier": "c", "namespace": "d"},
        {"enableServerSideApply": True, "enableSecretMutable": True, "upsertExistingObjects": True},
        {"deleteUnreachable": True, "skipUpdateUnreachable": False, "enablePatchForce": True},
        {
            "suppressDeprecationWarnings": True,
            "suppressHelmHookWarnings": True,
            "version": "4.34.2",
        },
    ],
)
def test_settings_that_programs_use_are_accepted(provider: Provider, settings):
    assert provider.check_config(settings) == []


@only_own
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"renderYamlToDirectory": "out"}, '"renderYamlToDirectory" is not supported'),
        ({"kubeClientSettings": {"qps": 5}}, '"kubeClientSettings" is not supported'),
        ({"helmReleaseSettings": {"driver": "x"}}, '"helmReleaseSettings" is not supported'),
        ({"enableServerSideApply": False}, "server-side apply only"),
    ],
)
def test_settings_that_are_not_supported_are_refused_by_name(provider: Provider, settings, reason):
    [(name, said)] = provider.check_config(settings)
    assert name in settings
    assert reason in said


def test_strict_mode_wants_a_kubeconfig_and_a_context(provider: Provider):
    found = provider.check_config({"strictMode": True})
    assert [name for name, _ in found] == ["kubeconfig", "context"]


def config(server, name="lab"):
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": server}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {"token": "very-secret-token"}}],
        }
    )


ONE, OTHER = config("https://one.example"), config("https://other.example")


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        ({"kubeconfig": ONE}, {"kubeconfig": OTHER}, ["kubeconfig"]),
        ({"kubeconfig": ONE}, {"kubeconfig": config("https://one.example", "x")}, []),
        ({"kubeconfig": ONE}, {"kubeconfig": ONE, "namespace": "x"}, []),
        (
            {"kubeconfig": ONE, "clusterIdentifier": "a"},
            {"kubeconfig": OTHER, "clusterIdentifier": "a"},
            [],
        ),
        ({"clusterIdentifier": "a"}, {"clusterIdentifier": "b"}, ["clusterIdentifier"]),
        ({"kubeconfig": ONE}, {"kubeconfig": ONE, "clusterIdentifier": "b"}, []),
        ({"kubeconfig": ONE}, {"kubeconfig": UNKNOWN}, ["kubeconfig"]),
    ],
    ids=["server", "names", "namespace", "same id", "other id", "first id", "unknown"],
)
def test_another_cluster_replaces_everything(provider: Provider, old, new, replaces):
    assert provider.diff_config(old, new) == ("DIFF_SOME", replaces)


def test_the_same_settings_are_no_difference(provider: Provider):
    assert provider.diff_config({"kubeconfig": ONE}, {"kubeconfig": ONE}) == ("DIFF_NONE", [])


def test_a_kubeconfig_may_be_given_as_text(start, cluster: Cluster):
    resource = start(kubeconfig=cluster.kubeconfig.read_text()).resource(CLUSTER_ROLE)
    assert resource.up(cluster_role("by-text"))[0] == "by-text"


def test_a_context_chooses_the_cluster(start, cluster: Cluster):
    both = json.loads(cluster.kubeconfig.read_text())
    other = json.loads(config("https://127.0.0.1:1", "other"))
    for key in ("clusters", "contexts", "users"):
        both[key] += other[key]
    both["current-context"] = "other"
    resource = start(kubeconfig=json.dumps(both), context="lab").resource(CLUSTER_ROLE)
    assert resource.up(cluster_role("by-context"))[0] == "by-context"
    with pytest.raises(PluginError, match='context "nowhere" does not exist'):
        start(kubeconfig=json.dumps(both), context="nowhere").resource(CLUSTER_ROLE).up(
            cluster_role("x")
        )


@pytest.fixture
def unreachable():
    """Nobody listens on port 1."""
    return {"kubeconfig": config("https://127.0.0.1:1")}


@pytest.fixture
def existing(provider: Provider, request):
    """A role in the cluster, as state has it."""
    name = f"out-of-reach-{abs(hash(request.node.name))}"
    identity, state = provider.resource(CLUSTER_ROLE).up(cluster_role(name))
    return name, identity, state


def test_a_preview_passes_without_a_cluster(start, unreachable, existing):
    resource = start(**unreachable).resource(CLUSTER_ROLE)
    name, identity, state = existing
    inputs = resource.check(cluster_role("new"))
    assert resource.create(inputs, preview=True) == ("", inputs)
    changed = resource.check(cluster_role(name, "delete"))
    assert resource.diff(identity, state, changed).detailed == {"rules[0].verbs[0]": "UPDATE"}
    assert resource.update(identity, state, changed, preview=True) == changed


def test_everything_else_fails_without_a_cluster_and_says_why(start, unreachable, existing):
    provider = start(**unreachable)
    resource = provider.resource(CLUSTER_ROLE)
    name, identity, state = existing
    inputs = resource.check(cluster_role(name, "delete"))
    why = "configured Kubernetes cluster is unreachable: unable to load schema information"
    with pytest.raises(PluginError, match=why) as caught:
        resource.create(inputs)
    assert "127.0.0.1:1: connect: connection refused" in str(caught.value)
    assert "very-secret-token" not in str(caught.value)
    with pytest.raises(PluginError, match=why):
        resource.update(identity, state, inputs)
    with pytest.raises(PluginError, match="PULUMI_K8S_DELETE_UNREACHABLE"):
        resource.read(identity, state, state["__inputs"])
    with pytest.raises(PluginError, match="PULUMI_K8S_DELETE_UNREACHABLE"):
        resource.delete(identity, state)
    assert any(why in line for line in provider.log)


def test_what_is_out_of_reach_is_forgotten_if_the_settings_say_so(start, unreachable, existing):
    resource = start(**unreachable, deleteUnreachable=True).resource(CLUSTER_ROLE)
    _, identity, state = existing
    assert resource.read(identity, state, state["__inputs"])[0] == ""
    resource.delete(identity, state)


def test_what_is_out_of_reach_is_left_if_the_settings_say_so(start, unreachable, existing):
    resource = start(**unreachable, skipUpdateUnreachable=True).resource(CLUSTER_ROLE)
    name, identity, state = existing
    inputs = state["__inputs"]
    assert resource.read(identity, state, inputs) == (identity, state, inputs)
    assert resource.check(cluster_role(name, "delete"), inputs) == inputs


def failure(provider):
    resource = provider.resource(CLUSTER_ROLE)
    with pytest.raises(PluginError) as caught:
        resource.create(resource.check(cluster_role("never")))
    return str(caught.value)


def test_a_server_of_another_authority_is_not_talked_to(start, cluster: Cluster):
    other = Authority("other-ca", datetime.datetime.now(datetime.UTC))
    text = kubeconfig(cluster.server, other.pair.certificate, "x", other.sign("x"))
    said = failure(start(kubeconfig=text))
    assert (
        "tls: failed to verify certificate: x509: certificate signed by unknown authority" in said
    )


def test_a_server_of_another_name_is_not_talked_to(start, cluster: Cluster):
    settings = json.loads(cluster.kubeconfig.read_text())
    settings["clusters"][0]["cluster"]["tls-server-name"] = "other.example"
    said = failure(start(kubeconfig=json.dumps(settings)))
    assert "tls: failed to verify certificate: x509: certificate is " in said
    assert "other.example" in said


def test_a_token_that_is_not_known_is_said_to_be_so(start, cluster: Cluster):
    settings = json.loads(cluster.kubeconfig.read_text())
    settings["users"][0]["user"] = {"token": "very-secret-token"}
    said = failure(start(kubeconfig=json.dumps(settings)))
    assert "the server has asked for the client to provide credentials" in said
    assert "very-secret-token" not in said


@only_own
def test_a_login_by_a_program_is_refused_by_name(start, cluster: Cluster):
    settings = json.loads(cluster.kubeconfig.read_text())
    settings["users"][0]["user"] = {"exec": {"command": "login"}}
    assert "exec is not supported" in failure(start(kubeconfig=json.dumps(settings)))


@only_own
def test_conditions_to_wait_for_are_refused_before_anything_is_made(provider: Provider):
    wanted = {"annotations": {"pulumi.com/waitFor": "condition=Ready"}}
    with pytest.raises(PluginError, match="waitFor is not supported"):
        provider.resource(CLUSTER_ROLE).check(cluster_role("waiting", metadata=wanted))


def test_a_kubeconfig_that_is_none_is_said_to_be_so(start, tmp_path):
    said = failure(start(kubeconfig=str(tmp_path / "missing")))
    assert "failed to parse kubeconfig data in `kubernetes:config:kubeconfig`-" in said


def test_a_broken_kubeconfig_is_not_quoted(start):
    said = failure(start(kubeconfig="token: very-secret-token\n\tbroken"))
    assert "failed to parse kubeconfig data" in said
    assert "very-secret-token" not in said


def test_a_user_without_rights_gets_a_preview_of_the_inputs_and_the_servers_word(
    start, cluster: Cluster, tmp_path
):
    path = cluster.kubeconfig_for("nobody", tmp_path)
    resource = start(kubeconfig=str(path)).resource(CLUSTER_ROLE)
    inputs = resource.check(cluster_role("forbidden"))
    assert resource.create(inputs, preview=True) == ("", inputs)
    with pytest.raises(PluginError, match=r'User "nobody" cannot create resource "clusterroles"'):
        resource.create(inputs)


def test_many_resources_are_worked_on_at_the_same_time(provider: Provider, cluster: Cluster):
    def make(number):
        resource = provider.resource(CONFIG_MAP, f"many-{number}")
        return resource.up(manifest_of(CONFIG_MAP, f"many-{number}", data={"a": "b"}))[0]

    with ThreadPoolExecutor(32) as pool:
        assert len(set(pool.map(make, range(64)))) == 64
