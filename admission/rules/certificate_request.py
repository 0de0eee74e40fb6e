"""What a PKCS #10 certificate request says, read so that no other parser can read it differently.

The API server and the signer parse the same bytes with Go's encoding/pem and crypto/x509. Where
parsers differ, one request can mean two things. So only one canonical encoding is accepted, PEM and
DER: the one that results from encoding again what was read.
"""

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from admission.inventory import DNS_NAME, LONGEST_NAME, IpAddress
from admission.panic import no_panic
from admission.rules.encoding import STRING_TAGS, request_info

CANONICAL_PEM = re.compile(
    rb"\A-----BEGIN CERTIFICATE REQUEST-----\n"
    rb"((?:[A-Za-z0-9+/=]{1,64}\n)+)"
    rb"-----END CERTIFICATE REQUEST-----\n?\Z"
)
LARGEST_REQUEST_BYTES = 16 * 1024  # a kubelet's has under 1 KiB
RSA_KEY_BITS = range(2048, 8192 + 1)
CURVES = ("secp256r1", "secp384r1")
SIGNATURE_HASHES = ("sha256", "sha384", "sha512")
# What a PrintableString may hold; no name of a node holds anything else.
PRINTABLE = re.compile(r"\A[A-Za-z0-9 '()+,./:=?-]+\Z")
# PKCS #9. Microsoft's own does not count, though some parsers read it: Go does not.
EXTENSION_REQUEST = x509.ObjectIdentifier("1.2.840.113549.1.9.14")


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
        with no_panic():
            return _read(request)
    except _Unfit as unfit:
        raise ValueError(str(unfit)) from None
    except Exception as error:  # noqa: BLE001 - whatever a library makes of hostile bytes
        raise ValueError(f"it can't be read ({type(error).__name__})") from None


def claimed_node(pem: bytes) -> str | None:
    """Return whose client certificate is requested: a hint for reports, never for a decision."""
    try:
        with no_panic():
            names = _load(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            return str(names[-1].value) if names else None  # the last, as Go does
    except Exception:  # noqa: BLE001 - as above
        return None


class _Unfit(Exception):
    """Says how a request differs from a kubelet's."""


def _read(request: x509.CertificateSigningRequest) -> CertificateRequest:
    # The key first, because checking a signature by a huge key takes long.
    key = _key(request)
    algorithm = request.signature_hash_algorithm
    if algorithm is None or algorithm.name not in SIGNATURE_HASHES:
        raise _Unfit("its signature uses none of SHA-256, SHA-384 and SHA-512")
    if not request.is_signature_valid:
        raise _Unfit("its signature is not by its own key")
    subject = _subject(request.subject)
    names = _alternative_names(request)
    dns_names, addresses = _split(names)
    encoded_names = None if names is None else names.public_bytes()
    if request.tbs_certrequest_bytes not in {
        request_info(subject, tag, key, encoded_names) for tag in STRING_TAGS
    }:
        raise _Unfit("it is not encoded in the canonical way")
    values = dict(subject)
    return CertificateRequest(
        common_name=values[NameOID.COMMON_NAME],
        organization=values[NameOID.ORGANIZATION_NAME],
        dns_names=dns_names,
        addresses=addresses,
        key_fingerprint=hashlib.sha256(key).hexdigest(),
    )


def _load(pem: bytes) -> x509.CertificateSigningRequest:
    if len(pem) > LARGEST_REQUEST_BYTES:
        raise ValueError(f"it has more than {LARGEST_REQUEST_BYTES} bytes")
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
        with no_panic():
            return x509.load_der_x509_csr(der)
    except Exception as error:  # noqa: BLE001 - as above
        raise ValueError(f"it is not a certificate request ({type(error).__name__})") from None


def _subject(subject: x509.Name) -> list[tuple[x509.ObjectIdentifier, str]]:
    entries = [(attribute.oid, str(attribute.value)) for attribute in subject]
    wanted = {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}
    if [len(rdn) for rdn in subject.rdns] != [1, 1] or dict(entries).keys() != wanted:
        raise _Unfit("its subject is not one common name and one organization")
    if not all(PRINTABLE.match(value) for _, value in entries):
        raise _Unfit("its subject holds other characters than a node's name does")
    return entries


def _alternative_names(
    request: x509.CertificateSigningRequest,
) -> x509.SubjectAlternativeName | None:
    if any(attribute.oid != EXTENSION_REQUEST for attribute in request.attributes):
        raise _Unfit("it has an attribute other than an extension request")
    if len(request.attributes) > 1:
        raise _Unfit("it has two extension requests")
    extensions = list(request.extensions)
    if any(e.oid != ExtensionOID.SUBJECT_ALTERNATIVE_NAME for e in extensions):
        raise _Unfit("it asks for an extension other than subject alternative names")
    if not extensions:
        return None
    names = extensions[0].value
    assert isinstance(names, x509.SubjectAlternativeName)  # noqa: S101 - by its OID
    if not list(names):
        raise _Unfit("it asks for subject alternative names, but names none")
    return names


def _split(
    names: x509.SubjectAlternativeName | None,
) -> tuple[tuple[str, ...], tuple[IpAddress, ...]]:
    dns_names: list[str] = []
    addresses: list[IpAddress] = []
    for name in names or ():
        if isinstance(name, x509.DNSName):
            if not DNS_NAME.match(name.value) or len(name.value) > LONGEST_NAME:
                raise _Unfit(f"it asks for {name.value!r}, which is not a lower-case DNS name")
            dns_names.append(name.value)
        elif isinstance(name, x509.IPAddress) and isinstance(
            name.value, ipaddress.IPv4Address | ipaddress.IPv6Address
        ):
            addresses.append(name.value)
        else:
            raise _Unfit("it asks for a name that is neither a DNS name nor an address")
    return tuple(dns_names), tuple(addresses)


def _key(request: x509.CertificateSigningRequest) -> bytes:
    """Return the request's key as a SubjectPublicKeyInfo."""
    key = request.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        fit = key.curve.name in CURVES
    else:
        fit = isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_KEY_BITS
    if not fit:
        raise _Unfit("its key is neither ECDSA P-256 or P-384 nor RSA of 2048 to 8192 bits")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
