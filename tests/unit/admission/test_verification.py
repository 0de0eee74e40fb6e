"""Whom the program trusts is whom kubectl and kubelets trust with the same CA file."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from admission import serving_certificate
from admission.api_server import credentials
from admission.api_server.brief_connection import BriefConnection, open_briefly
from admission.api_server.connection import Connection
from admission.gate.session import session
from admission.serving_certificate import Untrusted
from tests.unit.admission import tls_api_server
from tests.unit.admission.fakes import entry
from tests.unit.admission.test_main import ONE_NODE
from tests.unit.admission.tls_api_server import ApiServer, kubeconfig, url


class Signed:
    """A certificate with its key. None has an extension that Go does not ask for."""

    def __init__(self, name: str, by: "Signed | None" = None, *, ca: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer, now = by or self, datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        self.pem = builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    @property
    def with_key(self) -> bytes:
        return self.pem + self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


ROOT = Signed("company")
INTERMEDIATE = Signed("kubernetes", ROOT)
SERVER = Signed("kube-apiserver", INTERMEDIATE, ca=False)
STRANGER = Signed("kubernetes", ROOT)


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[ApiServer]:
    """Its certificate is signed by an intermediate CA, which it does not send."""
    with tls_api_server.serving(tmp_path, SERVER.with_key) as started:
        yield started


def config(tmp_path: Path, api_server: ApiServer, ca: bytes) -> str:
    return kubeconfig(tmp_path, url(api_server), {"token": "t"}, ca=ca)


async def with_the_standard_library(path: str) -> None:
    connection = await open_briefly(path)
    assert isinstance(connection, BriefConnection)
    await asyncio.to_thread(connection._exchange, "GET", "/version", None, {})
    await connection.close()


async def with_the_clients_library(path: str) -> None:
    connection = await Connection.open(path, None)
    try:
        await connection.request("GET", "/version")
    finally:
        await connection.close()


async def at_a_kubelets_port(path: str) -> None:
    connection = await Connection.open(path, None)
    try:
        host, _, port = connection.server.removeprefix("https://").partition(":")
        trust = connection.kubelets_trust()
        _, writer = await asyncio.open_connection(host, int(port), ssl=trust)
        writer.transport.abort()
    finally:
        await connection.close()


WAYS = (with_the_standard_library, with_the_clients_library, at_a_kubelets_port)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ca", [INTERMEDIATE.pem, INTERMEDIATE.pem + ROOT.pem])
def test_an_intermediate_ca_is_an_anchor(
    tmp_path: Path, api_server: ApiServer, way: object, ca: bytes
) -> None:
    api_server.answers["GET /version"] = {"kind": "Status"}
    asyncio.run(way(config(tmp_path, api_server, ca)))  # type: ignore[operator]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ca", [STRANGER.pem, ROOT.pem])
def test_another_ca_is_none_though_it_has_the_same_name_or_the_same_root(
    tmp_path: Path, api_server: ApiServer, way: object, ca: bytes
) -> None:
    with pytest.raises(Exception, match="certificate verify failed"):
        asyncio.run(way(config(tmp_path, api_server, ca)))  # type: ignore[operator]


def test_a_ca_without_the_extensions_that_newer_pythons_ask_for_is_taken() -> None:
    """VERIFY_X509_STRICT is a default of ssl.create_default_context since 3.13."""
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert not credentials.verifying_as_go(context).verify_flags & ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize(
    ("kubeconfigs", "machines", "proven"),
    [
        (ROOT, INTERMEDIATE, True),  # cluster.caPath
        (INTERMEDIATE, ROOT, True),
        (INTERMEDIATE, None, True),
        (None, INTERMEDIATE, True),  # the API server's certificate is one that the system trusts
        (ROOT, STRANGER, False),
        (ROOT, None, False),
    ],
)
def test_a_gate_proves_kubelets_by_the_machines_ca_too(  # noqa: PLR0917
    tmp_path: Path,
    api_server: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    kubeconfigs: Signed | None,
    machines: Signed | None,
    proven: bool,
) -> None:
    """What is asked at the kubelet's port here has a certificate by INTERMEDIATE."""
    host, _, port = url(api_server).removeprefix("https://").partition(":")
    monkeypatch.setattr(serving_certificate, "KUBELET_PORT", int(port))
    ca = kubeconfigs.pem if kubeconfigs else b""
    path = kubeconfig(tmp_path, "https://10.0.0.9:6443", {"token": "t"}, ca=ca)
    orders = (
        {**ONE_NODE, "kubeconfig": {"path": path}, "ca": f"# für alle\n{machines.pem.decode()}"}
        if machines
        else {**ONE_NODE, "kubeconfig": {"path": path}}
    )

    async def work() -> None:
        async with session(json.dumps(orders)) as (_, _, look):
            await look(entry("node-1", host))

    if proven:
        asyncio.run(work())
    else:
        with pytest.raises(Untrusted):
            asyncio.run(work())
