"""What `status` tells of nodes, requests and tokens, for a person and for a program."""

import argparse
import base64
import json
import ssl
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from admission import process
from admission.api_server.api import (
    CLIENT_CSRS,
    CSRS,
    NODES,
    SERVING_CSRS,
    Keep,
    NewBound,
    no_bound,
)
from admission.api_server.connection import Connection
from admission.api_server.lists import Listed
from admission.inventory import InventoryNode
from admission.objects.token_secret import POOL_LABEL
from admission.pool_inventory import Inventory
from admission.rules import MOST_PENDING
from admission.status import table
from admission.status.document import FORMAT, document
from admission.status.snapshot import MOST_TOLD, OUR_TOKENS, take
from admission.status.table import MOST_OF_ONE
from command_line import status as status_command
from tests.unit.admission.approver_fakes import MAPS, NAMESPACE, ApproverApi, inventory_map
from tests.unit.admission.fakes import CLIENT, END, KEY, NOW, Ports, listed, run


class StatusApi(ApproverApi):
    """Also answers the lists that `status` reads."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[dict[str, Any]] = []

    async def list(self, path: str, keep: Keep, bound: NewBound = no_bound) -> Listed:
        self.asked.append(f"GET {path}")
        base, _, signer = path.partition("?fieldSelector=spec.signerName=")
        items = self.tokens if path == OUR_TOKENS else [*self.objects[base].values()]
        items = [item for item in items if not signer or item["spec"]["signerName"] == signer]
        return listed(items, keep, bound)

    def token(self, name: str, **data: str) -> None:
        plain = {
            "description": "joins the nodes of the pool workers",
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            **data,
        }
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        metadata = {"name": f"bootstrap-token-{name}", "labels": {POOL_LABEL: "workers"}}
        self.tokens.append({"metadata": metadata, "data": encoded})


def certificate(user: str, *, hours: int) -> str:
    """An issued client certificate, as a request's status holds it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(hours=hours))
        .sign(KEY, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(Encoding.PEM)).decode()


class Look:
    def __init__(self) -> None:
        self.api = StatusApi()
        self.ports = Ports()
        self.inventory: Inventory | None = None

    def document(self) -> Any:
        async def work() -> Any:
            snapshot = await take(self.api, NAMESPACE, self.inventory)
            return await document(snapshot, self.api, self.ports.look, "10.0.0.9", NOW)

        return run(work())

    def node(self, name: str) -> Mapping[str, Any]:
        (found,) = [node for node in self.document()["nodes"] if node["name"] == name]
        return dict(found)

    def pending(self) -> dict[str, tuple[str, str]]:
        found = self.document()["pendingRequests"]
        return {item["name"]: (item["decision"], item["reason"]) for item in found}

    def text(self) -> list[str]:
        return list(table.lines(self.document()))


@pytest.fixture
def it() -> Look:
    look = Look()
    look.api.inventory("workers", node_1="10.0.0.1")
    look.api.node("node-1", "10.0.0.1")
    return look


def test_a_node_that_is_well(it: Look) -> None:
    it.api.ask(
        "csr-1", "node-1", signer=CLIENT, certificate=certificate("system:node:node-1", hours=5)
    )
    assert it.node("node-1") == {
        "name": "node-1",
        "pool": "workers",
        "ready": "yes",
        "servingCertificate": {"end": END.strftime(FORMAT), "problem": ""},
        "clientCertificate": {"end": "2026-11-24T17:00:00Z", "problem": ""},
    }


def test_the_latest_client_certificate_of_this_node_counts(it: Look) -> None:
    for number, (user, hours) in enumerate(
        [("system:node:node-1", 5), ("system:node:node-1", 3), ("system:node:node-12", 9)]
    ):
        it.api.ask(f"csr-{number}", "x", signer=CLIENT, certificate=certificate(user, hours=hours))
    it.api.ask("csr-odd", "x", signer=CLIENT, certificate="bm8gUEVN")
    assert it.node("node-1")["clientCertificate"]["end"] == "2026-11-24T17:00:00Z"


def test_what_only_the_machine_knows_is_said_to_be_unknown(it: Look) -> None:
    found = it.node("node-1")["clientCertificate"]
    assert found["end"] is None
    assert "known only on its machine" in found["problem"]


def test_a_certificate_that_has_ended_is_reported(it: Look) -> None:
    it.api.ask(
        "csr-1", "node-1", signer=CLIENT, certificate=certificate("system:node:node-1", hours=-1)
    )
    assert it.node("node-1")["clientCertificate"]["problem"] == "it has expired"


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (
            ValueError("presents a certificate that fails: expired"),
            "its port presents a certificate",
        ),
        (TimeoutError(), "its port does not answer here (TimeoutError)"),
    ],
)
def test_a_port_that_fails_is_reported(it: Look, failure: Exception, problem: str) -> None:
    it.ports.failing["node-1"] = failure
    assert it.node("node-1")["servingCertificate"]["end"] is None
    assert it.node("node-1")["servingCertificate"]["problem"].startswith(problem)


def test_a_node_that_has_not_come_and_one_that_nobody_knows_are_listed(it: Look) -> None:
    it.api.inventory("others", node_2="10.0.0.2")
    it.api.node("node-3", "10.0.0.3", ready=False)
    assert it.node("node-2")["ready"] == "absent"
    unknown = it.node("node-3")
    assert (unknown["pool"], unknown["ready"]) == (None, "no")
    assert unknown["servingCertificate"]["problem"] == "it is not in any inventory"


def test_the_rules_say_what_they_think_of_each_undecided_request(it: Look) -> None:
    it.api.ask("good", "node-1", "10.0.0.1")
    it.api.ask("bad", "node-1", "10.0.0.5")
    it.api.ask("early", "node-2", "10.0.0.2")
    it.api.ask("client", "node-1", signer=CLIENT)
    it.api.ask("issued", "node-1", "10.0.0.1", certificate="eA==")
    it.api.inventory("others", node_2="10.0.0.2")
    found = it.pending()
    assert found.keys() == {"good", "bad", "early", "client"}
    assert found["good"] == ("approve", "")
    assert found["bad"][0] == "refuse"
    assert "10.0.0.5" in found["bad"][1]
    assert found["early"] == ("wait", "the Node node-2 does not exist yet")
    assert found["client"][0] == "none"
    assert it.api.approved == []


def test_what_is_no_flood_to_the_approver_is_none_here(it: Look) -> None:
    for number in range(30):
        it.api.ask(f"client-{number}", "node-1", signer=CLIENT)
        it.api.ask(f"old-{number}", "node-1", "10.0.0.1", created=NOW - timedelta(hours=2))
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    assert it.pending()["csr-1"] == ("approve", "")


def test_requests_of_other_signers_are_not_read(it: Look) -> None:
    it.api.ask("other", "node-1", signer="example.org/other")
    assert it.pending() == {}


def test_a_flood_is_refused_and_hides_no_request_of_another_kind_or_node(it: Look) -> None:
    it.api.inventory("others", node_2="10.0.0.2")
    it.api.node("node-2", "10.0.0.2")
    for number in range(3 * MOST_PENDING):
        user = "system:node:node-2"
        it.api.ask(f"client-{number}", "node-2", signer=CLIENT, user=user)
        it.api.ask(f"junk-{number}", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "node-2", "10.0.0.2", created=NOW - timedelta(minutes=5))
    found = it.pending()
    assert len(found) == 6 * MOST_PENDING + 1
    assert found["csr-2"] == ("approve", "")
    junk = {found[f"junk-{number}"][1] for number in range(3 * MOST_PENDING)}
    assert junk == {
        "more than 20 requests of system:node:node-1 are pending; find out who makes them, and"
        " delete them"
    }
    assert it.api.asked.count("REVIEW system:node:node-1") == MOST_PENDING


def test_each_of_many_issued_certificates_of_one_requester_counts(it: Look) -> None:
    hours = {f"node-{number}": number for number in range(1, 3 * MOST_PENDING)}
    for name, number in hours.items():
        issued = certificate(f"system:node:{name}", hours=number)
        it.api.node(name, "10.0.0.1")
        it.api.ask(name, name, signer=CLIENT, user="system:bootstrap:abc123", certificate=issued)
    ends = {node["name"]: node["clientCertificate"]["end"] for node in it.document()["nodes"]}
    assert ends == {
        name: (NOW + timedelta(hours=number)).strftime(FORMAT) for name, number in hours.items()
    }


def test_a_disputed_node_is_refused(it: Look) -> None:
    it.api.inventory("others", node_1="10.0.0.2")
    it.api.ask("csr-1", "node-1", "10.0.0.1")
    assert it.pending()["csr-1"][0] == "refuse"
    assert it.document()["problems"]


def test_the_state_of_each_token_of_ours_and_no_secret(it: Look) -> None:
    it.api.token("aaaaaa", expiration="2026-11-24T13:00:00Z")
    it.api.token("bbbbbb", expiration="2026-11-24T11:00:00Z")
    it.api.token("cccccc", **{"token-secret": "", "usage-bootstrap-authentication": "false"})
    it.api.token("eeeeee", expiration="tomorrow")
    it.api.token("ffffff")
    del it.api.tokens[-1]["data"]  # as a node's is until the pool's first join
    document = it.document()
    assert {token["id"]: token["state"] for token in document["tokens"]} == {
        "aaaaaa": "alive",
        "bbbbbb": "expired",
        "cccccc": "revoked",
        "eeeeee": "expired",
        "ffffff": "inactive",
    }
    assert "0123456789abcdef" not in json.dumps(document)
    assert {token["pool"] for token in document["tokens"]} == {"workers"}


def test_a_given_inventory_is_used_instead_of_the_clusters(it: Look) -> None:
    entry = InventoryNode(name="node-9", addresses=(), dns_names=())
    it.inventory = Inventory(nodes={"node-9": entry}, pools={"node-9": "given"})
    assert it.node("node-9")["pool"] == "given"
    assert it.node("node-1")["pool"] is None
    assert f"GET {MAPS}" not in it.api.asked


def test_a_person_reads_a_table(it: Look) -> None:
    it.api.ask("bad", "node-1", "10.0.0.5")
    it.api.token("aaaaaa", expiration="2026-11-24T13:00:00Z")
    text = it.text()
    assert text[0].split("  ")[0] == "node"
    assert any(line.startswith("node-1  workers  yes    2027-11-24T00:00:00Z") for line in text)
    assert any(line.startswith("bad  ") and "refuse: the address" in line for line in text)
    assert any(
        line.startswith("aaaaaa  alive  2026-11-24T13:00:00Z  joins the nodes") for line in text
    )


def test_a_person_reads_that_there_is_nothing() -> None:
    text = Look().text()
    assert "no undecided request" in text
    assert "no token of this program" in text


def test_little_is_kept_of_each_of_many_nodes(it: Look) -> None:
    it.api.node("node-1", "10.0.0.1", annotations={"long": "x" * 10_000}, deletionTimestamp="now")
    stored = it.api.objects[NODES]["node-1"]
    stored["status"]["images"] = [{"names": ["y" * 10_000]}]
    stored["status"]["conditions"] += [{"type": "Odd", "message": "z" * 10_000}]
    snapshot = run(take(it.api, NAMESPACE, None))
    kept = snapshot.nodes["node-1"]
    assert len(json.dumps(kept)) < 300
    assert kept["metadata"]["deletionTimestamp"] == "now"
    assert it.node("node-1")["ready"] == "yes"


def test_all_requests_and_nodes_are_read_once(it: Look) -> None:
    it.document()
    assert sorted(it.api.asked) == sorted(
        f"GET {path}" for path in (MAPS, NODES, SERVING_CSRS, CLIENT_CSRS, OUR_TOKENS)
    )


def test_of_many_that_are_left_out_only_some_are_told(it: Look) -> None:
    for number in range(MOST_TOLD + 5):
        it.api.objects[NODES][f"odd-{number}"] = {
            "metadata": {"name": f"odd-{number}"},
            "status": 7,
        }
        it.api.ask(f"csr-{number}", "node-1", signer=CLIENT)
        del it.api.objects[CSRS][f"csr-{number}"]["spec"]["request"]
    it.api.put(MAPS, inventory_map("broken", "{"))
    problems = it.document()["problems"]
    assert len(problems) == 2 * (MOST_TOLD + 1) + 1
    assert "5 more nodes are left out" in problems
    assert "5 more certificatesigningrequests are left out" in problems
    assert "broken" in problems[-1]


def test_a_person_reads_little_of_a_requesters_flood_and_all_of_the_others(it: Look) -> None:
    for number in range(MOST_OF_ONE + 7):
        it.api.ask(f"junk-{number}", "node-1", "10.0.0.1")
    it.api.ask("csr-2", "node-2", "10.0.0.2")
    text = it.text()
    assert sum(line.startswith("junk-") for line in text) == MOST_OF_ONE
    assert any(line.startswith("csr-2 ") for line in text)
    assert "and 7 more undecided requests of system:node:node-1 (--json shows all)" in text
    assert len(it.document()["pendingRequests"]) == MOST_OF_ONE + 8


# The command line


class Connected(StatusApi):
    host, closed = "10.0.0.9", False

    def kubelets_trust(self, ca: str = "") -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Connected:
    fake, ports = Connected(), Ports()

    async def connect(path: str, content: None) -> Connected:
        assert path == "some/kubeconfig"
        return fake

    async def look(entry: InventoryNode, trust: ssl.SSLContext) -> Any:
        return await ports.look(entry)

    monkeypatch.setattr(Connection, "open", connect)
    monkeypatch.setattr(status_command, "look_at", look)
    fake.inventory("workers", node_1="10.0.0.1")
    return fake


def status(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    status_command.add_arguments(parser)
    given = parser.parse_args(["--kubeconfig", "some/kubeconfig", *arguments])
    return process.run(partial(status_command.status, given))


def test_the_command_prints_a_document_or_a_table(
    cluster: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in found["nodes"]] == ["node-1"]
    assert status() == 0
    assert capsys.readouterr().out.splitlines() == list(table.lines(found))
    assert cluster.closed


def test_the_command_takes_an_inventory_from_a_file(
    cluster: Connected,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    cluster.inventory("given", node_9="10.0.0.9")
    given = cluster.objects[MAPS]["kubelet-tls-bootstrap-given"]["data"]["inventory.json"]
    (tmp_path / "inventory.json").write_text(given)
    assert status("--json", f"--inventory={tmp_path}/inventory.json") == 0
    assert [n["name"] for n in json.loads(capsys.readouterr().out)["nodes"]] == ["node-9"]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("content", "message"), [(None, "can't be read: No such file"), ("{}", "has no 'pool'")]
)
def test_an_inventory_that_can_not_be_used_is_one_clear_error(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: str | None,
    message: str,
) -> None:
    if content is not None:
        (tmp_path / "inventory.json").write_text(content)
    assert status(f"--inventory={tmp_path}/inventory.json") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert f"{tmp_path}/inventory.json" in line
    assert message in line


def test_the_machines_ca_counts_for_kubelets_if_it_is_given(
    cluster: Connected, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str] = []

    def trust(ca: str = "") -> ssl.SSLContext:
        seen.append(ca)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(cluster, "kubelets_trust", trust)
    (tmp_path / "ca.crt").write_text("a CA")
    assert status(f"--ca={tmp_path}/ca.crt") == 0
    assert status(f"--ca={tmp_path}/missing") == 1
    assert seen == ["a CA"]


def test_a_list_of_kubeconfigs_is_told_to_be_merged(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--kubeconfig", "/nowhere/a:/nowhere/b") == 1
    assert "the kubeconfig is a list of files; give one" in capsys.readouterr().err
