"""Which live certificate is a node's own."""

import asyncio
import ipaddress
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from admission.inventory import InventoryNode
from admission.serving_certificate import Untrusted, look_at, read
from tests.unit.admission.fakes import entry

NODE = entry("node-1", "10.0.0.1", "fd00::1")
END = datetime(2027, 1, 1, tzinfo=UTC)


def certificate(names: Sequence[str] | None, addresses: Sequence[str]) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:node-1")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(END - timedelta(days=1))
        .not_valid_after(END)
    )
    if names is not None:
        sans: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        sans += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_the_nodes_own_certificate_is_read() -> None:
    found = read(certificate(["node-1"], ["10.0.0.1", "fd00::1"]), NODE)
    assert found.end == END


@pytest.mark.parametrize(
    ("names", "addresses"),
    [(["node-1"], ["10.0.0.1"]), ([], ["10.0.0.1", "fd00::1"]), ([], ["10.0.0.1"])],
    ids=["one address", "no name", "the address alone"],
)
def test_what_its_node_lacks_may_be_missing(names: list[str], addresses: list[str]) -> None:
    found = read(certificate(names, addresses), NODE)
    assert found.claims == {*names, *map(ipaddress.ip_address, addresses)}


def test_a_clouds_names_and_addresses_alone_are_a_nodes_own() -> None:
    cloud = InventoryNode(
        name="node-1",
        addresses=(ipaddress.ip_address("10.0.0.1"),),
        dns_names=("node-1", "ip-10-0-0-1.internal"),
        certificate_addresses=(ipaddress.ip_address("203.0.113.7"),),
    )
    names = ["ip-10-0-0-1.internal"]
    assert read(certificate(names, ["10.0.0.1", "203.0.113.7"]), cloud).end == END


def test_a_node_that_is_named_by_its_address_has_no_name() -> None:
    """Its kubelet asks for its host name as the address that it is."""
    assert read(certificate([], ["10.0.0.1"]), entry("10.0.0.1", "10.0.0.1")).end == END


@pytest.mark.parametrize(
    ("names", "addresses", "reason"),
    [
        (["node-1", "node-2"], ["10.0.0.1", "fd00::1"], "for node-2, which is not the node's"),
        (["node-1"], ["10.0.0.1", "fd00::1", "10.0.0.2"], "for 10.0.0.2, which is not"),
        (["node-1"], ["fd00::1"], "without 10.0.0.1"),
        (["node-1"], [], "without 10.0.0.1"),
        (None, [], "names can't be read"),
    ],
)
def test_any_other_certificate_is_refused(
    names: list[str] | None, addresses: list[str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read(certificate(names, addresses), NODE)


@pytest.mark.parametrize(
    ("code", "said", "is_of_another_ca"),
    [
        (20, "unable to get local issuer certificate", True),
        (18, "self-signed certificate", True),
        (10, "certificate has expired", False),
        (64, "IP address mismatch, certificate is not valid for '10.0.0.1'", False),
    ],
)
def test_what_is_wrong_with_a_certificate_decides_what_to_do(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str, is_of_another_ca: bool
) -> None:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_code, error.verify_message = code, said

    async def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(asyncio, "open_connection", refuse)
    with pytest.raises(Untrusted, match=f"can't be verified: {said}") as caught:
        asyncio.run(look_at(NODE, ssl.create_default_context()))
    assert (
        "on the machine of node-1, move kubelet-server-current.pem" in str(caught.value)
    ) == is_of_another_ca
