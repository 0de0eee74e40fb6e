"""Bootstrap tokens: their content stays secret, and what is ignored of them is left as it is."""

import base64

import pytest

from lab.plugins.property_values import UNKNOWN, Object, Secret, plain
from tests.contract.driver import PluginError, Provider, Resource
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.manifests import SECRET, manifest

pytestmark = pytest.mark.contract

TOKEN = "0123456789abcdef"
PATH = "/api/v1/namespaces/kube-system/secrets"
IGNORED = ("data", "stringData")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HIDDEN = (TOKEN, encoded(TOKEN))


def token_secret(name: str, **data: object) -> Object:
    content = {"token-id": "abcdef", "token-secret": TOKEN} | data
    return manifest(
        SECRET,
        name,
        metadata={"namespace": "kube-system"},
        type="bootstrap.kubernetes.io/token",
        stringData=Secret(content),
    )


def test_what_is_secret_is_marked_everywhere(provider: Provider, cluster: Cluster) -> None:
    resource = provider.resource(SECRET)
    _, previewed = resource.create(resource.check(token_secret("created")), preview=True)
    assert cluster.gone(f"{PATH}/created")
    identity, state = resource.up(token_secret("created"))
    _, read, live = resource.read(identity, state, state["__inputs"])
    assert plain(read["data"])["token-secret"] == encoded(TOKEN)
    for known in (previewed, state, read, live):
        assert isinstance(known["data"], Secret)
        assert not [text for text in HIDDEN if text in repr(known)]


def test_what_is_not_known_yet_is_previewed(provider: Provider) -> None:
    resource = provider.resource(SECRET)
    inputs = resource.check(token_secret("unknown", **{"token-secret": UNKNOWN}))
    identity, _ = resource.create(inputs, preview=True)
    assert identity == ""


def test_a_refusal_does_not_quote_what_is_secret(provider: Provider) -> None:
    resource = provider.resource(SECRET)
    inputs = manifest(SECRET, "bad", data=Secret({"key": f"n%t-base64-{TOKEN}"}))
    with pytest.raises(PluginError) as caught:
        resource.create(resource.check(inputs))
    assert TOKEN not in str(caught.value)
    assert not [line for line in provider.log if TOKEN in line]


def test_another_token_has_another_name_and_replaces_without_deleting_first(
    provider: Provider,
) -> None:
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret("first"))
    found = resource.diff(identity, state, resource.check(token_secret("second")), IGNORED)
    assert found.replaces == ["metadata.name"]
    assert not found.delete_first


@pytest.fixture
def revoked(provider: Provider, cluster: Cluster, request: pytest.FixtureRequest) -> tuple:
    """A token that the gate has emptied: its resource, identity, state and inputs."""
    name = f"revoked-{abs(hash(request.node.name))}"
    resource = provider.resource(SECRET)
    identity, state = resource.up(token_secret(name, expiration="2030-01-01T00:00:00Z"))
    cluster.change(f"{PATH}/{name}", {"data": {"token-secret": "", "expiration": ""}})
    return resource, identity, state, state["__inputs"]


Revoked = tuple[Resource, str, Object, Object]


def test_a_revoked_token_is_no_difference(revoked: Revoked) -> None:
    resource, identity, state, inputs = revoked
    again = resource.check(token_secret(identity.rpartition("/")[2], expiration="later"), inputs)
    assert resource.diff(identity, state, again, IGNORED).changes == "DIFF_NONE"


def test_a_revoked_token_is_no_difference_after_a_refresh(revoked: Revoked) -> None:
    resource, identity, state, inputs = revoked
    _, read, live = resource.read(identity, state, inputs)
    assert plain(read["data"])["token-secret"] == ""
    # The engine puts the refreshed inputs in the place of what is ignored.
    again = resource.check(live, live)
    assert resource.diff(identity, read, again, IGNORED).changes == "DIFF_NONE"


def test_an_update_does_not_undo_a_revocation(revoked: Revoked, cluster: Cluster) -> None:
    resource, identity, state, inputs = revoked
    inputs = inputs | {"metadata": inputs["metadata"] | {"labels": {"a": "b"}}}
    changed = resource.check(inputs, state["__inputs"])
    found = resource.diff(identity, state, changed, IGNORED)
    assert found.detailed == {"metadata.labels": "ADD"}
    resource.update(identity, state, changed, ignore=IGNORED)
    live = cluster.get(f"{PATH}/{identity.rpartition('/')[2]}")
    assert live["metadata"]["labels"] == {"a": "b"}
    assert live["data"]["token-secret"] == ""
    assert live["data"]["token-id"] == encoded("abcdef")
