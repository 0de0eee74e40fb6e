"""What is read of a request, and what is not read at all: requests built byte by byte."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from admission.rules import certificate_request
from admission.rules.certificate_request import LARGEST_REQUEST_BYTES, claimed_node, parse
from tests.request_bytes import (
    ADDRESS,
    CHALLENGE_PASSWORD,
    CN,
    EXTENSION_REQUEST,
    KEY,
    MICROSOFTS,
    NAME,
    PRINTABLE,
    SAN,
    SHA1,
    SUBJECT,
    O,
    armour,
    attribute,
    bare,
    der,
    extension_request,
    oid,
    request,
    sans,
    sequence,
    spki,
    subject_of,
)

GOOD = request(extension_request(sans(NAME, ADDRESS)))


def test_a_request_is_read() -> None:
    content = parse(GOOD)
    assert (content.common_name, content.organization) == ("system:node:node-1", "system:nodes")
    assert content.dns_names == ("node-1",)
    assert list(map(str, content.addresses)) == ["10.0.0.1"]
    assert len(content.key_fingerprint) == 64


def test_the_fingerprint_is_the_keys() -> None:
    assert parse(GOOD).key_fingerprint == parse(request()).key_fingerprint


def test_a_request_without_attributes_has_no_names() -> None:
    assert parse(request()).dns_names == ()


def rsa_key(bits: int) -> bytes:
    """A public key to which nobody has the private one."""
    return spki(rsa.RSAPublicNumbers(65537, (1 << bits - 1) + 1).public_key())


def compressed(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key with a point that Go does not read."""
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    algorithm = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
    return sequence(algorithm, der(0x03, b"\0", point))


REFUSED = {
    "a compressed key": (request(key=compressed(KEY.public_key())), "canonical"),
    "a critical extension": (
        request(
            extension_request(
                sequence(oid(SAN), der(0x01, b"\xff"), der(0x04, sequence(NAME))),
            )
        ),
        "canonical",
    ),
    "an extension request without extensions": (request(extension_request()), "canonical"),
    "alternative names without a name": (request(extension_request(sans())), "names none"),
    "a common name that is a time": (
        request(subject=subject_of(attribute(O, "system:nodes"), attribute(CN, "node-1", 0x17))),
        "canonical",
    ),
    "a common name in another character set": (
        request(
            subject=subject_of(
                attribute(O, "system:nodes"), attribute(CN, "node".encode("utf-16-be"), 0x1E)
            )
        ),
        "canonical",
    ),
    "two kinds of strings": (
        request(
            subject=subject_of(
                attribute(O, "system:nodes"), attribute(CN, "system:node:node-1", PRINTABLE)
            )
        ),
        "canonical",
    ),
    "a line feed in the subject": (
        request(subject=subject_of(attribute(O, "system:nodes"), attribute(CN, "system:node:a\n"))),
        "other characters",
    ),
    "a null byte in the subject": (
        request(subject=subject_of(attribute(O, "system:nodes"), attribute(CN, "node-1\0x"))),
        "other characters",
    ),
    "an empty common name": (
        request(subject=subject_of(attribute(O, "system:nodes"), attribute(CN, ""))),
        "other characters",
    ),
    "an upper-case name": (request(extension_request(sans(der(0x82, b"Node-1")))), "lower-case"),
    "a name with a line feed": (
        request(extension_request(sans(der(0x82, b"node-1\n")))),
        "lower-case",
    ),
    "a name that is too long": (
        request(extension_request(sans(der(0x82, b".".join([b"a" * 62] * 5))))),
        "lower-case",
    ),
    "extensions that Go does not see": (
        request(extension_request(sans(NAME), kind=MICROSOFTS)),
        "an attribute other than an extension request",
    ),
    "extensions that Go does not see, beside ones that it sees": (
        request(
            extension_request(sans(NAME)),
            extension_request(sans(der(0x82, b"kubernetes")), kind=MICROSOFTS),
        ),
        "an attribute other than an extension request",
    ),
    "two extension requests": (
        request(extension_request(sans(NAME)), extension_request(sans(der(0x82, b"kubernetes")))),
        "two extension requests",
    ),
    "two values in an extension request": (
        request(
            sequence(
                oid(EXTENSION_REQUEST),
                der(0x31, sequence(sans(NAME)), sequence(sans(der(0x82, b"kubernetes")))),
            )
        ),
        "can't be read",
    ),
    "a challenge password": (
        request(sequence(oid(CHALLENGE_PASSWORD), der(0x31, der(0x0C, b"x")))),
        "an attribute other than an extension request",
    ),
    "two extensions of alternative names": (
        request(extension_request(sans(NAME), sans(ADDRESS))),
        "can't be read",
    ),
    "a directory name": (
        request(extension_request(sans(der(0xA4, SUBJECT)))),
        "neither a DNS name nor an address",
    ),
    "a registered ID": (
        request(extension_request(sans(der(0x88, b"\x2a\x03")))),
        "neither a DNS name nor an address",
    ),
    "an X.400 address": (request(extension_request(sans(der(0xA3)))), "can't be read"),
    "an address of three bytes": (
        request(extension_request(sans(der(0x87, b"\n\0\0")))),
        "can't be read",
    ),
    "a network": (
        request(extension_request(sans(der(0x87, bytes([10, 0, 0, 0, 255, 0, 0, 0]))))),
        "neither a DNS name nor an address",
    ),
    "a name that is not ASCII": (
        request(extension_request(sans(der(0x82, b"node-1\xff")))),
        "can't be read",
    ),
    "extensions with something behind them": (
        request(extension_request(sans(NAME)) + b"\0\0"),
        "request",
    ),
    "one subject entry with two values": (
        request(
            subject=sequence(
                der(0x31, attribute(O, "system:nodes"), attribute(CN, "system:node:node-1"))
            )
        ),
        "its subject is not one common name and one organization",
    ),
    "no subject": (request(subject=sequence()), "its subject is not"),
    "another version": (request(version=1), "InvalidVersion"),
    "a signature by SHA-1": (request(algorithm=SHA1), "none of SHA-256"),
    "another's key": (
        request(key=spki(ec.generate_private_key(ec.SECP256R1()).public_key())),
        "not by its own key",
    ),
    "a key of 8193 bits": (request(key=rsa_key(8193)), "its key is neither"),
    "a key of 8192 bits, but another's": (request(key=rsa_key(8192)), "not by its own key"),
    "a key of 2048 bits, but another's": (request(key=rsa_key(2048)), "not by its own key"),
    "a key of 2047 bits": (request(key=rsa_key(2047)), "its key is neither"),
    "a unit instead of an organization": (
        request(
            subject=subject_of(attribute("2.5.4.11", "nodes"), attribute(CN, "system:node:node-1"))
        ),
        "its subject is not one common name and one organization",
    ),
    "a monstrous request": (
        request(extension_request(sans(*[NAME] * LARGEST_REQUEST_BYTES))),
        f"more than {LARGEST_REQUEST_BYTES} bytes",
    ),
    "bytes behind the request": (
        armour(bare(GOOD) + b"\0"),
        "not a certificate request",
    ),
    "no request": (armour(b"\x30\0"), "not a certificate request"),
    "padding in the middle": (GOOD.replace(b"\n-----END", b"==\n-----END"), "PEM block"),
    "a lone character": (
        b"-----BEGIN CERTIFICATE REQUEST-----\nM\n-----END CERTIFICATE REQUEST-----\n",
        "not valid base64",
    ),
    "short lines": (
        b"\n".join(
            [*GOOD.splitlines()[:1], b"MI", GOOD.splitlines()[1][2:], *GOOD.splitlines()[2:]]
        )
        + b"\n",
        "canonical",
    ),
}


@pytest.mark.parametrize(("pem", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_request_is_refused_with_its_reason(pem: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(pem)


@given(
    position=st.integers(0, len(GOOD) - 1),
    value=st.integers(0, 255),
)
def test_no_changed_byte_gives_another_reading(position: int, value: int) -> None:
    changed = GOOD[:position] + bytes([value]) + GOOD[position + 1 :]
    if changed == GOOD:
        return
    with pytest.raises(ValueError, match=r"."):
        parse(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_else_is_raised(content: bytes) -> None:
    for pem in (content, armour(content)):
        with pytest.raises(ValueError, match=r"."):
            parse(pem)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=4))
def test_any_alternative_names_are_read_or_refused(names: list[tuple[int, bytes]]) -> None:
    pem = request(extension_request(sans(*[der(tag, content) for tag, content in names])))
    try:
        content = parse(pem)
    except ValueError:
        return
    assert {tag for tag, _ in names} <= {0x82, 0x87}
    assert len(content.dns_names) + len(content.addresses) == len(names)


def test_the_longest_name_is_read() -> None:
    longest = b".".join([b"a" * 63] * 3 + [b"a" * 61])
    assert len(longest) == 253
    assert parse(request(extension_request(sans(der(0x82, longest))))).dns_names
    with pytest.raises(ValueError, match="not a lower-case DNS name"):
        parse(request(extension_request(sans(der(0x82, longest + b"a")))))


def test_the_largest_request_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_request, "LARGEST_REQUEST_BYTES", len(GOOD))
    assert parse(GOOD)
    monkeypatch.setattr(certificate_request, "LARGEST_REQUEST_BYTES", len(GOOD) - 1)
    with pytest.raises(ValueError, match="more than"):
        parse(GOOD)


@pytest.mark.parametrize(("last", "other"), [(b"A", b"B"), (b"8", b"+")])
def test_bits_behind_the_end_of_the_base64_are_refused(last: bytes, other: bytes) -> None:
    """Of the last six bits two stand for nothing."""
    pem = b""
    while last + b"=\n" not in pem:  # each signature is another
        pem = request(extension_request(sans(NAME, der(0x82, b"a" * (1 + len(pem) % 3)))))
    same = pem.replace(last + b"=\n", other + b"=\n")
    assert bare(same) == bare(pem)
    assert parse(pem)
    with pytest.raises(ValueError, match="canonical"):
        parse(same)


@pytest.mark.parametrize("length", range(1, 240))
def test_a_request_of_any_length_is_read(length: int) -> None:
    name = ((b"a" * 59 + b".") * 4)[: length - 1] + b"a"
    assert parse(request(extension_request(sans(der(0x82, name))))).dns_names == (name.decode(),)


def test_whose_client_certificate_is_asked_for_is_reported() -> None:
    assert claimed_node(request()) == "system:node:node-1"


def test_of_two_common_names_the_one_that_go_reads_is_reported() -> None:
    both = subject_of(attribute(CN, "a"), attribute(CN, "b"))
    assert claimed_node(request(subject=both)) == "b"


@pytest.mark.parametrize("pem", [b"", request(subject=sequence()), GOOD + GOOD])
def test_the_node_of_an_odd_request_is_not_guessed(pem: bytes) -> None:
    assert claimed_node(pem) is None


def test_a_kubelets_own_encoding_of_the_subject_is_read() -> None:
    printable = sequence(
        der(0x31, attribute(O, "system:nodes", PRINTABLE)),
        der(0x31, attribute(CN, "system:node:node-1", PRINTABLE)),
    )
    assert parse(request(subject=printable)).common_name == "system:node:node-1"
    assert x509.load_pem_x509_csr(GOOD).is_signature_valid
