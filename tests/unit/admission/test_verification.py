"""Whom the program trusts is whom kubectl and kubelets trust with the same CA file."""

import asyncio
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

from admission.api_server import credentials
from admission.api_server.brief_connection import BriefConnection, open_briefly
from admission.api_server.connection import Connection
from tests.unit.admission import tls_api_server
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
        trust = connection.trust()
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
