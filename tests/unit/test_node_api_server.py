"""The machine asks a real TLS server for its version and time, by `openssl` and by `curl`."""

import contextlib
import dataclasses
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import node_files
from node_files import Cluster
from tests.unit.certificates import authority
from tests.unit.node_machine import INSTALL, Machine

ADDRESS = "127.0.0.1"


class ApiServer(http.server.BaseHTTPRequestHandler):
    """Answers as `GET /version` does, and hangs up."""

    def do_GET(self) -> None:
        body = json.dumps({"major": "1", "emulationMinor": "9", "minor": "37+"}, indent=2)
        self.send_response(200 if self.path in ("/version", "/k8s/c-1/version") else 404)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def api_server(
    directory: Path, *, address: str = ADDRESS, begins_h: int = -1, ends_h: int = 1
) -> Iterator[Cluster]:
    """Give a cluster whose API server runs here, with a certificate that is its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    now = datetime.now(UTC)
    san = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(hours=begins_h))
        .not_valid_after(now + timedelta(hours=ends_h))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(san, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    both = directory / "both.pem"
    both.write_text(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    )
    server = http.server.ThreadingHTTPServer((ADDRESS, 0), ApiServer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Cluster(name="k", server=f"https://{ADDRESS}:{server.server_port}", ca_certificate=pem)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with api_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(params=["openssl", "curl"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine that has this program only of the two."""
    made = Machine(tmp_path, ("dash",))
    (tmp_path / "systemd").mkdir()
    tools = tmp_path / "fake/bin"
    (tools / "curl").unlink()
    other = {"openssl", "curl"} - {request.param}
    for program in Path("/usr/bin").iterdir():
        if program.name not in other and not (tools / program.name).exists():
            (tools / program.name).symlink_to(program)
    made.env["PATH"] = f"{tools}:/usr/sbin"
    return made


def install(machine: Machine, cluster: Cluster, was: str = "", now: str = "") -> str:
    """What an install says, with one text of its bundle replaced."""
    text = node_files.bundle(cluster, machine.node())
    assert was in text
    done = machine.run(INSTALL, text.replace(was, now))
    return done.stdout + done.stderr


def test_a_server_of_this_cluster_now_and_of_this_version_passes(
    machine: Machine, cluster: Cluster
) -> None:
    assert json.loads(install(machine, cluster))["notes"] == []


def test_a_certificate_that_the_ca_did_not_sign_is_reported(
    machine: Machine, cluster: Cluster
) -> None:
    other = dataclasses.replace(cluster, ca_certificate=authority(days=5).decode())
    said = install(machine, other)
    assert "\nserver: https://127.0.0.1:" in said
    assert "presents a certificate that the CA did not sign" in said
    assert "\nclock: " not in said


@pytest.mark.parametrize(
    ("certificate", "cause"),
    [
        ({"address": "127.0.0.2"}, "does not hold the name or address in that URL"),
        ({"begins_h": -2, "ends_h": -1}, "is not valid at this machine's time, "),
        ({"begins_h": 1, "ends_h": 2}, "is not valid at this machine's time, "),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(
    machine: Machine, tmp_path: Path, certificate: dict[str, Any], cause: str
) -> None:
    with api_server(tmp_path, **certificate) as cluster:
        said = install(machine, cluster)
    assert f"\nserver: {cluster.server} presents a certificate that {cause}" in said
    assert "did not sign" not in said


def test_a_name_is_looked_for_as_a_name(machine: Machine, cluster: Cluster) -> None:
    """And its certificate has an address alone."""
    named = dataclasses.replace(cluster, server=cluster.server.replace(ADDRESS, "localhost"))
    assert "does not hold the name or address in that URL" in install(machine, named)


@pytest.mark.parametrize("below", ["/", "/k8s/c-1", "/k8s/c-1/"])
def test_a_server_may_be_below_a_path(machine: Machine, cluster: Cluster, below: str) -> None:
    deep = dataclasses.replace(cluster, server=f"{cluster.server}{below}")
    assert json.loads(install(machine, deep))["notes"] == []


def test_a_clock_that_is_off_is_reported(machine: Machine, cluster: Cluster) -> None:
    said = install(machine, cluster, "most_off_s=30", "most_off_s=-1")
    assert "\nclock: this machine's clock is " in said
    assert "\nserver: " not in said


def test_a_kubelet_that_is_newer_than_the_server_is_reported(
    machine: Machine, cluster: Cluster
) -> None:
    said = install(machine, cluster, "/kubelet 1.37\n", "/kubelet 1.38\n")
    assert "\nskew: the API server is 1.37 and supports kubelets 1.34 to 1.37" in said
