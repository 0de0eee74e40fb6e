"""What a PKCS #10 certificate request says, read so that nobody can read it otherwise.

The API server and the signer parse the same bytes with Go's encoding/pem and crypto/x509. Parsers
that differ can be shown different requests, so only the one canonical encoding is accepted: what
encoding the parsed bytes again gives.
"""

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from admission.inventory import IpAddress

CANONICAL_PEM = re.compile(
    rb"\A-----BEGIN CERTIFICATE REQUEST-----\n"
    rb"((?:[A-Za-z0-9+/=]{1,64}\n)+)"
    rb"-----END CERTIFICATE REQUEST-----\n?\Z"
)
SMALLEST_RSA_KEY_BITS = 2048
CURVES = ("secp256r1", "secp384r1")


@dataclass(frozen=True, kw_only=True)
class CertificateRequest:
    """The content of a request whose signature is valid."""

    common_name: str
    organization: str
    dns_names: tuple[str, ...]
    addresses: tuple[IpAddress, ...]
    key_fingerprint: str  # SHA-256 of the SubjectPublicKeyInfo, hexadecimal


def parse(pem: bytes) -> CertificateRequest:
    """Return what the request says.

    Raises:
        ValueError: it is not canonical, not signed by its key, or holds anything that a kubelet's
            request does not hold; the message says what.
    """
    request = _load(pem)
    try:
        if not request.is_signature_valid:
            raise ValueError("its signature is not by its own key")
    except UnsupportedAlgorithm:
        raise ValueError("its signature has an unknown algorithm") from None
    common_name, organization = _subject(request.subject)
    dns_names, addresses = _alternative_names(request)
    return CertificateRequest(
        common_name=common_name,
        organization=organization,
        dns_names=dns_names,
        addresses=addresses,
        key_fingerprint=_key_fingerprint(request),
    )


def _load(pem: bytes) -> x509.CertificateSigningRequest:
    match = CANONICAL_PEM.match(pem)
    if not match:
        raise ValueError("it is not exactly one PEM block of a certificate request")
    body = match[1].replace(b"\n", b"")
    try:
        der = base64.b64decode(body, validate=True)
    except ValueError:
        raise ValueError("its PEM block is not valid base64") from None
    wrapped = b"".join(body[i : i + 64] + b"\n" for i in range(0, len(body), 64))
    if base64.b64encode(der) != body or wrapped != match[1]:
        raise ValueError("its PEM block is not encoded in the canonical way")
    try:
        request = x509.load_der_x509_csr(der)
        if request.public_bytes(Encoding.DER) != der:
            raise ValueError("its DER is not encoded in the canonical way")
    except ValueError:
        raise ValueError("it is no certificate request in canonical DER") from None
    return request


def _subject(subject: x509.Name) -> tuple[str, str]:
    attributes = list(subject)
    by_oid = {attribute.oid: attribute.value for attribute in attributes}
    wanted = {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}
    if len(attributes) != len(wanted) or by_oid.keys() != wanted:
        raise ValueError("its subject is not one common name and one organization")
    return str(by_oid[NameOID.COMMON_NAME]), str(by_oid[NameOID.ORGANIZATION_NAME])


def _alternative_names(
    request: x509.CertificateSigningRequest,
) -> tuple[tuple[str, ...], tuple[IpAddress, ...]]:
    try:
        extensions = list(request.extensions)
        if len(list(request.attributes)) > 1:
            raise ValueError("it has more attributes than one extension request")
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise ValueError("its attributes or extensions can't be read") from None
    if any(e.oid != ExtensionOID.SUBJECT_ALTERNATIVE_NAME for e in extensions):
        raise ValueError("it asks for an extension other than subject alternative names")
    dns_names: list[str] = []
    addresses: list[IpAddress] = []
    for extension in extensions:
        value = extension.value
        assert isinstance(value, x509.SubjectAlternativeName)  # noqa: S101 - by its OID
        for name in value:
            if isinstance(name, x509.DNSName):
                dns_names.append(name.value)
            elif isinstance(name, x509.IPAddress) and isinstance(
                name.value, ipaddress.IPv4Address | ipaddress.IPv6Address
            ):
                addresses.append(name.value)
            else:
                raise ValueError("it asks for a name that is neither a DNS name nor an address")
    return tuple(dns_names), tuple(addresses)


def _key_fingerprint(request: x509.CertificateSigningRequest) -> str:
    try:
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("its key is of an unknown kind") from None
    if isinstance(key, ec.EllipticCurvePublicKey):
        fit = key.curve.name in CURVES
    else:
        fit = isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA_KEY_BITS
    if not fit:
        raise ValueError("its key is neither ECDSA P-256 or P-384 nor RSA of 2048 bits or more")
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()
