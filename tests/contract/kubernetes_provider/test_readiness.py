"""Waiting for what controllers do after an object was written.

The control plane has no kubelet, so a thread of the test writes the pods' status.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.contract.driver import PluginError, Provider
from tests.contract.kubernetes_provider import only_own
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.contract.kubernetes_provider.manifests import DEPLOYMENT, POD, deployment, pod

pytestmark = pytest.mark.contract

PODS = "/api/v1/namespaces/default/pods"
READY = {
    "phase": "Running",
    "conditions": [
        {"type": kind, "status": "True"}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ],
}
CRASHING = {
    "phase": "Running",
    "conditions": [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        {
            "type": "Ready",
            "status": "False",
            "reason": "ContainersNotReady",
            "message": "containers with unready status: [main]",
        },
    ],
    "containerStatuses": [
        {
            "name": "main",
            "ready": False,
            "restartCount": 3,
            "image": "one",
            "imageID": "",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        }
    ],
}


@contextlib.contextmanager
def kubelet(cluster: Cluster, prefix: str, status: dict) -> Iterator[None]:
    """Write a status to every pod of a name's beginning, for as long as the block runs."""
    done = threading.Event()

    def work():
        seen = set()
        while not done.wait(0.2):
            for item in cluster.get(PODS)["items"]:
                name, uid = item["metadata"]["name"], item["metadata"]["uid"]
                if name.startswith(prefix) and uid not in seen:
                    seen.add(uid)
                    cluster.merge(f"{PODS}/{name}/status", {"status": status})

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_deployment_is_made_when_its_pods_are_ready(provider: Provider, cluster: Cluster):
    resource = provider.resource(DEPLOYMENT)
    started = time.monotonic()
    with kubelet(cluster, "rolling-", READY):
        identity, state = resource.up(deployment("rolling"))
        assert time.monotonic() - started < 20
        assert identity == "default/rolling"
        assert state["status"]["readyReplicas"] == 1
        inputs = resource.check(deployment("rolling"), state["__inputs"])
        assert resource.diff(identity, state, inputs).changes == "DIFF_NONE"
        _, read, _ = resource.read(identity, state, state["__inputs"])
        assert resource.diff(identity, read, inputs).changes == "DIFF_NONE"
        changed = resource.check(deployment("rolling", "two"), state["__inputs"])
        assert resource.diff(identity, read, changed).detailed == {
            "spec.template.spec.containers[0].image": "UPDATE"
        }
        state = resource.update(identity, read, changed)
    assert state["spec"]["template"]["spec"]["containers"][0]["image"] == "two"
    resource.delete(identity, state)
    assert cluster.gone("/apis/apps/v1/namespaces/default/deployments/rolling")


@only_own
def test_an_update_of_a_deployment_is_done_when_the_new_revision_is_out(
    provider: Provider, cluster: Cluster
):
    resource = provider.resource(DEPLOYMENT)
    with kubelet(cluster, "renewed-", READY):
        identity, state = resource.up(deployment("renewed"))
        state = resource.update(identity, state, resource.check(deployment("renewed", "two")))
    assert state["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert state["status"]["updatedReplicas"] == 1


def test_a_changed_selector_replaces_a_deployment(provider: Provider):
    resource = provider.resource(DEPLOYMENT)
    inputs = deployment("selected", annotations={"pulumi.com/skipAwait": "true"})
    identity, state = resource.up(inputs)
    other = deployment("selected", annotations={"pulumi.com/skipAwait": "true"})
    other["spec"]["selector"]["matchLabels"]["tier"] = "a"
    other["spec"]["template"]["metadata"]["labels"]["tier"] = "a"
    found = resource.diff(identity, state, resource.check(other))
    assert found.replaces == ["spec.selector.matchLabels.tier"]
    assert found.delete_first


def test_a_deployment_that_does_not_come_up_is_an_error_with_reasons(
    provider: Provider, cluster: Cluster
):
    resource = provider.resource(DEPLOYMENT)
    with kubelet(cluster, "crashing-", CRASHING), pytest.raises(PluginError) as caught:
        resource.create(resource.check(deployment("crashing")), timeout=3)
    error = caught.value
    assert "was successfully created, but the Kubernetes API server reported" in str(error)
    assert "'crashing' timed out waiting to be Ready" in str(error)
    assert error.identity == "default/crashing"
    assert error.state["metadata"]["uid"]
    assert "Minimum number of live Pods was not attained" in error.reasons
    assert any("[CrashLoopBackOff] back-off 10s" in reason for reason in error.reasons)
    with pytest.raises(PluginError, match="was created but failed to initialize"):
        resource.read(error.identity, error.state, error.state["__inputs"])


def test_the_annotation_limits_the_wait(provider: Provider):
    resource = provider.resource(DEPLOYMENT)
    inputs = deployment("limited", annotations={"pulumi.com/timeoutSeconds": "1"})
    started = time.monotonic()
    with pytest.raises(PluginError, match="timed out"):
        resource.up(inputs)
    assert time.monotonic() - started < 10


def test_a_deployment_is_not_waited_for_if_the_annotation_says_so(provider: Provider):
    started = time.monotonic()
    provider.resource(DEPLOYMENT).up(
        deployment("unawaited", annotations={"pulumi.com/skipAwait": "true"})
    )
    assert time.monotonic() - started < 5


def test_a_pod_is_made_when_it_is_ready(provider: Provider, cluster: Cluster):
    with kubelet(cluster, "lonely", READY):
        identity, state = provider.resource(POD).up(pod("lonely"))
    assert identity == "default/lonely"
    assert state["status"]["phase"] == "Running"


def test_a_pod_that_is_never_scheduled_is_an_error(provider: Provider):
    resource = provider.resource(POD)
    with pytest.raises(PluginError, match="'unplaced' timed out waiting to be Ready") as caught:
        resource.create(resource.check(pod("unplaced")), timeout=1)
    assert caught.value.identity == "default/unplaced"


def test_a_changed_image_replaces_a_pod(provider: Provider):
    resource = provider.resource(POD)
    identity, state = resource.up(pod("fixed", annotations={"pulumi.com/skipAwait": "true"}))
    changed = pod("fixed", annotations={"pulumi.com/skipAwait": "true"})
    changed["spec"]["containers"][0]["image"] = "two"
    found = resource.diff(identity, state, resource.check(changed))
    assert found.detailed == {"spec.containers[0].image": "UPDATE_REPLACE"}


def test_a_wait_ends_when_the_engine_cancels(start):
    provider = start()
    resource = provider.resource(DEPLOYMENT)
    threading.Timer(1.5, provider.cancel).start()
    started = time.monotonic()
    with pytest.raises(PluginError):
        resource.up(deployment("cancelled"))
    assert time.monotonic() - started < 15
