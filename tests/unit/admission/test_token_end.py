"""What the process does that outlives a run: it ends the tokens that are alive, and no others."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from admission import token_end
from admission.api_server.api import ApiError
from admission.gate.bootstrap_token import REVOKED
from admission.stack_settings import Kubeconfig, StackSettings
from tests.unit.admission.fakes import run

SECRETS = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-"
OURS = {
    "app.kubernetes.io/managed-by": "kubelet-tls-bootstrap",
    "kubelet-tls-bootstrap/pool": "workers",
}


def secret(labels: Mapping[str, str] = OURS, **data: str) -> dict[str, Any]:
    values = {"token-secret": "s", "usage-bootstrap-authentication": "true", **data}
    return {
        "metadata": {"uid": "uid", "labels": dict(labels)},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in values.items()},
    }


class Cluster:
    """An API server with Secrets of tokens, by their ids."""

    server = "https://api:6443"

    def __init__(self, **secrets: dict[str, Any]) -> None:
        self.secrets = secrets
        self.patched: dict[str, Any] = {}
        self.closed = False
        self.failing: dict[str, list[Exception]] = {}

    async def insist(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any
    ) -> Any:
        token_id = path.removeprefix(SECRETS)
        if failures := self.failing.get(token_id):
            raise failures.pop(0)
        if token_id not in self.secrets:
            raise ApiError(404, method, path, "not found")
        if method == "PATCH":
            self.patched[token_id] = body
        return self.secrets[token_id]

    async def close(self) -> None:
        self.closed = True


def end(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, *ids: str, server: str = Cluster.server
) -> tuple[int, list[str]]:
    async def kubeconfig(_: StackSettings) -> Kubeconfig:
        return Kubeconfig(path="kubeconfig")

    class Connecting:
        @staticmethod
        async def open(*_: Any) -> Cluster:
            return cluster

    monkeypatch.setattr(StackSettings, "kubeconfig", kubeconfig)
    monkeypatch.setattr(token_end, "Connection", Connecting)
    said: list[str] = []
    work = token_end.end_tokens(ids, stack="s", server=server, pool="workers", say=said.append)
    return run(work), said


def test_live_tokens_are_revoked_and_dead_and_gone_ones_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(alive1=secret(), dead12=secret(**{"token-secret": ""}))
    assert end(monkeypatch, cluster, "alive1", "dead12", "gone12", "alive1") == (
        0,
        ["token alive1: revoked at the end of the run"],
    )
    assert cluster.patched == {"alive1": {"metadata": {"uid": "uid"}, "data": REVOKED}}
    assert cluster.closed


def test_one_that_was_not_activated_is_revoked_so_that_it_never_will_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = {"metadata": secret()["metadata"]}
    cluster = Cluster(empty1=empty)
    assert end(monkeypatch, cluster, "empty1")[0] == 0
    assert cluster.patched == {"empty1": {"metadata": {"uid": "uid"}, "data": REVOKED}}


def test_what_can_not_be_told_is_told_later_and_keeps_no_other_token_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(alive1=secret(), alive2=secret())
    cluster.failing = {"alive1": [OSError("no route"), ApiError(403, "GET", "x", "no"), OSError()]}
    status, said = end(monkeypatch, cluster, "alive1", "alive2")
    assert status == 0
    assert said == [
        "token alive1: OSError no route",
        "token alive2: revoked at the end of the run",
        "token alive1: ApiError GET x: 403 no",
        "token alive1: OSError ",
        "token alive1: revoked at the end of the run",
    ]


def test_after_an_hour_it_gives_up_and_names_what_may_be_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(alive1=secret())
    cluster.failing = {"alive1": [OSError("no route")] * 1000}
    status, said = end(monkeypatch, cluster, "alive1")
    assert status == 1
    assert said == [
        "token alive1: OSError no route",
        "tokens that may be alive until they expire: alive1",
    ]


def test_a_secret_that_is_made_after_the_run_has_ended_is_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    cluster.failing = {"late12": [ApiError(404, "GET", "x", "not found")]}
    cluster.secrets = {"late12": secret()}
    assert end(monkeypatch, cluster, "late12")[0] == 0
    assert list(cluster.patched) == ["late12"]


@pytest.mark.parametrize("labels", [{}, {**OURS, "kubelet-tls-bootstrap/pool": "others"}])
def test_a_secret_of_somebody_else_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, labels: Mapping[str, str]
) -> None:
    cluster = Cluster(theirs=secret(labels))
    status, said = end(monkeypatch, cluster, "theirs")
    assert status == 1
    assert said == ["token theirs: left alone, because its Secret is not of the pool workers"]
    assert cluster.patched == {}


def test_another_cluster_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(alive1=secret())
    with pytest.raises(ValueError, match="leads to https://api:6443 now"):
        end(monkeypatch, cluster, "alive1", server="https://other")
    assert cluster.patched == {}
    assert cluster.closed


def test_a_run_without_tokens_reads_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StackSettings, "kubeconfig", None)
    work = token_end.end_tokens([], stack="s", server="x", pool="w", say=print)
    assert run(work) == 0
