"""CAs in PEM as people have them, in the form in which each reader finds the same ones.

Kubelets (Go), curl and openssl on the machines, and Python here differ over what is around PEM
blocks and in them: a byte order mark, an indented block, two that share a line, lines that end
with CR. A kubelet with a file in which Go finds no certificate ends at its start.
"""

import base64
import re
import textwrap
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP224R1,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
)

Extension = TypeVar("Extension", bound=x509.ExtensionType)

LABEL = "(?:X509 )?CERTIFICATE"  # the first is an old name, which Go and kubelets don't know
BLOCK = re.compile(rf"-----BEGIN {LABEL}-----((?:(?!-----).)*)-----END {LABEL}-----", re.DOTALL)
BEGINNING = re.compile(rf"-----BEGIN {LABEL}-----\s+[A-Za-z0-9+/]{{20}}")  # not in a sentence
# A block that each reader reads: client-go's util/cert, OpenSSL's PEM_read_bio.
PLAIN = re.compile(
    r"^-----BEGIN CERTIFICATE-----[ \t]*\r?\n"
    r"(?:[A-Za-z0-9+/=]+[ \t]*\r?\n)+"
    r"-----END CERTIFICATE-----[ \t]*\r?$",
    re.MULTILINE,
)
CURVES = (SECP224R1, SECP256R1, SECP384R1, SECP521R1)  # crypto/x509, namedCurveFromOID
EC = "1.2.840.10045."  # the object identifiers of such keys
# A shell's `read` loses some of them.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def certificates(text: str) -> list[x509.Certificate]:
    """Return the certificates in a text.

    Raises:
        ValueError: there is none, or one is damaged; the message continues after what it is about.
    """
    blocks = BLOCK.findall(text)
    if not blocks:
        raise ValueError("is not a certificate in PEM; give one")
    if len(BEGINNING.findall(text)) > len(blocks):
        raise ValueError("has a certificate without an end; give it whole, or remove it")
    try:
        found = [x509.load_der_x509_certificate(_der(block)) for block in blocks]
    except (ValueError, x509.InvalidVersion):
        raise ValueError("has a certificate that is damaged; give it anew, or remove it") from None
    if not all(map(_go_reads, found)):
        raise ValueError(
            "has a certificate whose key is on a curve that kubelets can't read; remove it"
        )
    return found


def can_sign(certificate: x509.Certificate) -> bool:
    """Return whether Go takes what it signs (crypto/x509, CheckSignatureFrom)."""
    try:
        extensions = certificate.extensions
    except (ValueError, x509.UnsupportedGeneralNameType, x509.DuplicateExtension):
        return True  # Go reads others
    usage = _extension(extensions, x509.KeyUsage)
    constraints = _extension(extensions, x509.BasicConstraints)
    if usage is not None and not usage.key_cert_sign:
        return False
    return constraints.ca if constraints else certificate.version is x509.Version.v1


def readable(text: str) -> str:
    """Return CAs as each reader reads them: the text itself, if it has them like that."""
    blocks = BLOCK.findall(text)
    if len(PLAIN.findall(text)) == len(blocks) and not UNPRINTABLE.search(text):
        return text
    return "".join(map(_pem, blocks))


def _go_reads(certificate: x509.Certificate) -> bool:
    """Return whether Go knows the curve of its key; it takes no certificate with another one."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return not certificate.public_key_algorithm_oid.dotted_string.startswith(EC)
    return not isinstance(key, EllipticCurvePublicKey) or isinstance(key.curve, CURVES)


def _extension(extensions: x509.Extensions, kind: type[Extension]) -> Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _der(block: str) -> bytes:
    return base64.b64decode("".join(block.split()), validate=True)


def _pem(block: str) -> str:
    lines = "\n".join(textwrap.wrap("".join(block.split()), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
