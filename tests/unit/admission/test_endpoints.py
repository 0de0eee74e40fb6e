"""The approver from its outside: its command line, its port, and its account."""

import asyncio
import json
import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.config import incluster_config

from admission import __main__ as module
from admission.api_server.connection import Connection
from admission.approver import endpoints
from tests.unit.admission.approver_fakes import ApproverApi
from tests.unit.certificates import authority

HOST = "10.0.0.9"


class FakeCluster(ApproverApi):
    host, server = HOST, f"https://{HOST}:6443"
    closed = False
    ahead = timedelta()

    async def close(self) -> None:
        self.closed = True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()

    async def connect() -> FakeCluster:
        return fake

    monkeypatch.setattr(Connection, "in_cluster", connect)
    return fake


def serve(monkeypatch: pytest.MonkeyPatch, port: int) -> int:
    monkeypatch.setattr("sys.argv", ["admission", "serve", "--identity=me", f"--port={port}"])
    return module.main()


def test_it_answers_on_its_port_until_it_is_reported_to_stop(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port, answers = free_port(), {}
    leases = cluster.leases

    async def visit() -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("healthz", "readyz", "metrics"):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                    answers[path] = (answer.status, await answer.text())
        os.kill(os.getpid(), signal.SIGTERM)

    visits: list[asyncio.Task[None]] = []
    put = leases.put

    def first_put(lease: dict[str, Any]) -> dict[str, Any]:
        if not visits:
            visits.append(asyncio.create_task(visit()))
        return put(lease)

    monkeypatch.setattr(leases, "put", first_put)
    assert serve(monkeypatch, port) == 0
    assert answers["healthz"] == (200, "ok\n")
    assert answers["readyz"] == (200, "ok\n")
    assert "kubelet_serving_approver_leader 1\n" in answers["metrics"][1]
    assert cluster.closed
    assert leases.holder == ""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == [
        "started",
        "this replica approves",
        "stopping",
    ]


def test_the_time_is_that_of_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def made(*_: Any, **arguments: Any) -> None:
        given.update(arguments)
        raise OSError("that is enough")

    api: Any = SimpleNamespace(host="api", ahead=timedelta(hours=-3))
    monkeypatch.setattr(endpoints, "Approver", made)
    with pytest.raises(OSError, match="that is enough"):
        asyncio.run(endpoints.serve(api, "kube-system", "one", 0))
    api.ahead = timedelta(hours=2)  # by its last answer
    assert abs(given["now"]() - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)


def test_a_port_that_is_taken_is_an_error(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104 - as the approver does
        listener.listen()
        assert serve(monkeypatch, listener.getsockname()[1]) == 1
    assert "address already in use" in capsys.readouterr().err
    assert cluster.closed


def test_outside_a_pod_a_kubeconfig_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert serve(monkeypatch, free_port()) == 1
    assert "elsewhere, give --kubeconfig" in capsys.readouterr().err


def test_in_a_pod_the_account_s_token_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_bytes(authority(days=10))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.98.0.10")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    # The library reads it again after a minute; here, each time.
    never = SimpleNamespace(datetime=datetime, timedelta=lambda **_: timedelta(minutes=-1))
    monkeypatch.setattr(incluster_config, "datetime", never)
    sent = []

    async def work() -> None:
        cluster = await Connection.in_cluster()
        assert cluster.server == "https://10.98.0.10:6443"
        assert cluster.host == "10.98.0.10"
        cluster.kubelets_trust()

        async def call(_method: str, _url: str, headers: dict[str, str], *_: Any) -> Any:
            sent.append(headers.get("authorization"))
            raise OSError("no network here")

        monkeypatch.setattr(cluster._transport.client, "call_api", call)
        for token in ("first", "second"):
            (tmp_path / "token").write_text(token)
            with pytest.raises(OSError, match="no network"):
                await cluster.request("GET", "/api")
        await cluster.close()

    asyncio.run(work())
    assert sent == ["bearer first", "bearer second"]
