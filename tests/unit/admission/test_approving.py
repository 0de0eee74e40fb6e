"""Approval beside the joins: what it approves and tells, and how it ends."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from admission.api_server.api import ApiError
from admission.api_server.connection import Connection
from admission.approving import approve
from admission.gate.bootstrap_token import REVOKED
from admission.gate.checks.check import Answer, Context
from tests.unit.admission.fakes import run
from tests.unit.admission.test_main import ONE_NODE, FakeCluster


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    fake.node("node-1", "10.0.0.1", ready=False)

    async def connect(path: str, content: None, renew: object = None) -> FakeCluster:
        return fake

    monkeypatch.setattr(Connection, "open", connect)
    return fake


def approve_until_cancelled(
    cluster: FakeCluster, *asked: tuple[str, str, str], **orders: Any
) -> list[str]:
    """What is said while some nodes ask, in a minute after which it is cancelled."""
    said: list[str] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        for request in asked:
            ask = partial(cluster.ask, created=datetime.now(UTC))  # no request may be old
            loop.call_later(1, partial(ask, *request))
        document = json.dumps(ONE_NODE | orders)
        approving = asyncio.create_task(
            approve(document, said.append, activations={}, ready=lambda _: None)
        )
        done, _ = await asyncio.wait({approving}, timeout=60)
        for ended in done:
            ended.result()
        approving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await approving
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(work())
    return said


def checks(monkeypatch: pytest.MonkeyPatch, found: Mapping[str, Answer]) -> dict[str, Any]:
    """Let each check of the cluster find this, and return the orders that skip none."""

    def check(answer: Answer) -> Any:
        async def answered(_: Context) -> Answer:
            return answer

        return answered

    made = {name: check(answer) for name, answer in found.items()}
    monkeypatch.setattr("admission.gate.checks.preflight.CHECKS", made)
    return {"skipClusterChecks": []}


def test_it_approves_by_the_rules_and_goes_on_until_it_is_cancelled(cluster: FakeCluster) -> None:
    said = approve_until_cancelled(
        cluster, ("csr-1", "node-1", "10.0.0.1"), ("csr-2", "node-1", "10.0.0.66")
    )
    assert cluster.approved == ["csr-1"]
    assert said[0] == "node-1: serving CSR csr-1 approved (SANs node-1, 10.0.0.1)"
    assert said[1].startswith("node-1: serving CSR csr-2 refused: ")
    assert len(said) == 2
    assert cluster.asked[-1] == "close"
    # The end of the token is the gate's.
    assert "PATCH" not in cluster.asked


def test_with_manual_approval_it_says_what_to_type(cluster: FakeCluster) -> None:
    approval = {"client": "controller-manager", "serving": "manual"}
    said = approve_until_cancelled(cluster, ("csr-1", "node-1", "10.0.0.1"), approval=approval)
    assert cluster.approved == []
    assert said == [
        "node-1: serving CSR csr-1 passes all rules (SANs node-1, 10.0.0.1):"
        " kubectl certificate approve csr-1"
    ]


def test_another_who_approves_meanwhile_does_no_harm(cluster: FakeCluster) -> None:
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-1/approval"
    cluster.answers[f"PUT {path}"] = [ApiError(409, "PUT", path, "it has been modified")]
    said = approve_until_cancelled(cluster, ("csr-1", "node-1", "10.0.0.1"))
    assert cluster.asked.count(f"PUT {path}") == 1
    assert cluster.approved == []
    assert said == []


def test_checks_that_pass_or_warn_are_left_to_the_gate(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = checks(monkeypatch, {"version": ("passed", ""), "clock": ("warning", "it is late")})
    assert approve_until_cancelled(cluster, **orders) == []


def test_a_cluster_that_is_not_ready_ends_it_before_it_watches(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = checks(monkeypatch, {"version": ("passed", ""), "clock": ("failed", "they differ")})
    with pytest.raises(ValueError, match="the cluster is not ready for new nodes: clock; fix that"):
        approve_until_cancelled(cluster, **orders)
    assert not [call for call in cluster.asked if call.startswith("WATCH")]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ApiError(403, "GET", "/x", "no"), "give a kubeconfig whose user has this right"),
        (ssl.SSLCertVerificationError("bad"), "correct the certificate-authority"),
    ],
)
def test_each_failure_is_said_in_the_gates_words(
    cluster: FakeCluster, failure: Exception, message: str
) -> None:
    cluster.answers["WATCH /api/v1/nodes"] = [failure]
    with pytest.raises(ValueError, match=message):
        approve_until_cancelled(cluster)


def test_orders_that_can_not_be_read_are_not_quoted() -> None:
    with pytest.raises(ValueError, match=r"\Athe gate's orders on stdin are not JSON\Z"):
        run(approve("s3cret", print, activations={}, ready=print))


LIFE = {"token-secret": "czNjcmV0", "usage-bootstrap-authentication": "dHJ1ZQ=="}


def until_ready(
    activations: Mapping[str, Mapping[str, str]] | None = None, client: str = "controller-manager"
) -> Mapping[str, str]:
    """The taken names with which it says that joins may begin."""
    approval = {"client": client, "serving": "gate"}
    token = {**ONE_NODE["tokens"][0], "node": "node-1"}
    text = json.dumps({**ONE_NODE, "tokens": [token], "approval": approval})

    async def work() -> Mapping[str, str]:
        ready: asyncio.Future[Mapping[str, str]] = asyncio.Future()
        approving = asyncio.create_task(
            approve(text, print, activations=activations or {}, ready=ready.set_result)
        )
        await asyncio.wait({approving, ready}, return_when=asyncio.FIRST_COMPLETED)
        approving.cancel()
        await asyncio.gather(approving, return_exceptions=ready.done())
        return ready.result()

    found: Mapping[str, str] = run(work())
    return found


def test_a_name_that_another_living_machine_has_is_told(cluster: FakeCluster) -> None:
    assert until_ready() == {}  # not Ready, and its own
    cluster.node("node-1", "10.0.0.99", ready=False)
    assert until_ready() == {}  # of a machine that may have been reinstalled elsewhere
    cluster.node("node-1", "10.0.0.1")
    cluster.node("stranger", "10.0.0.98")
    assert until_ready() == {}
    cluster.node("node-1", "10.0.0.99")
    (why,) = until_ready().values()
    assert why.startswith("the Node node-1 belongs to a machine with the address 10.0.0.99")
    assert "give this machine another one, or run kubectl delete node node-1" in why
    assert until_ready(client="gate") == {}  # its rules refuse what such a machine asks for


TOKEN = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abc123"
ACTIVATED = {"metadata": {"resourceVersion": "7"}, "data": LIFE}


def test_tokens_are_active_before_a_join_may_begin(cluster: FakeCluster) -> None:
    cluster.token = {}
    until_ready({"abc123": LIFE, "others": LIFE})
    assert cluster.patches == [ACTIVATED]
    assert cluster.asked[:2] == ["GET", "PATCH"]


@pytest.mark.parametrize("data", [LIFE, REVOKED])
def test_a_token_whose_secret_has_data_is_left_as_it_is(
    cluster: FakeCluster, data: dict[str, str]
) -> None:
    """It was activated, or it was revoked: then nothing brings it back."""
    cluster.token = data
    assert until_ready({"abc123": LIFE}) == {}
    assert cluster.patches == []


def test_a_token_of_another_secret_is_left_to_what_tells_of_it(cluster: FakeCluster) -> None:
    cluster.token, cluster.uid = {}, "another"
    assert until_ready({"abc123": LIFE}) == {}
    assert cluster.patches == []


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (409, 2)])
def test_a_token_that_others_delete_or_change_meanwhile_keeps_nobody_else_out(
    cluster: FakeCluster, status: int, tries: int
) -> None:
    cluster.token = {}
    cluster.refusals = [ApiError(status, "PATCH", TOKEN, "no")]
    assert until_ready({"abc123": LIFE}) == {}
    assert cluster.patches == [ACTIVATED] * tries


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "give a kubeconfig whose user has this right"), (409, "abc123: 409 no")],
)
def test_no_join_begins_with_a_token_that_can_not_be_activated(
    cluster: FakeCluster, status: int, message: str
) -> None:
    cluster.token = {}
    cluster.refusals = [ApiError(status, "PATCH", TOKEN, "no")] * 9
    with pytest.raises(ValueError, match=message) as caught:
        until_ready({"abc123": LIFE})
    assert LIFE["token-secret"] not in str(caught.value)
