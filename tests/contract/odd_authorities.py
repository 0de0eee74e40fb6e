"""CAs in PEM of many forms, whole and broken."""

import base64
import re
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.admission.test_verification import Signed

AUTHORITY, OTHER = Signed("kubernetes"), Signed("another")
PLAIN, SECOND = AUTHORITY.pem, OTHER.pem
HEAD, TAIL = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
LINES = PLAIN.split()
DATA = b"".join(PLAIN[len(HEAD) : -len(TAIL) - 1].split())
CRL = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"


def in_lines(width: int) -> bytes:
    return b"\n".join([HEAD, *re.findall(b".{1,%d}" % width, DATA), TAIL, b""])


def relabelled(pem: bytes, label: bytes) -> bytes:
    return pem.replace(b" CERTIFICATE-", b" " + label + b"-")


def on_curve(curve: ec.EllipticCurve) -> bytes:
    key, now = ec.generate_private_key(curve), datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(OTHER.name)
        .issuer_name(OTHER.name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


# As each reader reads it, so it stays as it is.
ALIKE = {
    "one": PLAIN,
    "two": PLAIN + SECOND,
    "other curves": PLAIN + on_curve(ec.SECP224R1()) + on_curve(ec.SECP521R1()),
    "text before": b"# the CA\n" + PLAIN,
    "text before in Latin-1": b"# Zo\xe9's CA\n" + PLAIN,
    "text between": PLAIN + b"\n=== the next ===\n" + SECOND,
    "a sentence about it": b"# -----BEGIN CERTIFICATE----- begins the CA\n" + PLAIN,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "no line feed": PLAIN.rstrip(),
    "blanks after each line": PLAIN.replace(b"\n", b" \n"),
    "one line of data": in_lines(9999),
    "76 characters": in_lines(76),
    "20 characters": in_lines(20),
    "another's form beside it": relabelled(SECOND, b"TRUSTED CERTIFICATE") + PLAIN,
    "a public key before": b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n" + PLAIN,
}
# What some reader does not read, so the machines get it in another form.
ODD = {
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "a byte order mark before two": b"\xef\xbb\xbf" + PLAIN + SECOND,
    "CR": PLAIN.replace(b"\n", b"\r"),
    "indented": b"  " + PLAIN.replace(b"\n", b"\n  "),
    "indented by tabs": PLAIN.replace(b"\n", b"\n\t"),
    "below a key of YAML": b"ca: |\n  " + PLAIN.replace(b"\n", b"\n  "),
    "after a key of YAML": b"ca: " + PLAIN,
    "a blank before": b" " + PLAIN,
    "blank lines between": b"\n\n".join([*re.findall(b".+", PLAIN), b""]),
    "on one line": HEAD + b" " + DATA + b" " + TAIL,
    "in quotes": b'"' + PLAIN.rstrip() + b'"\n',
    "two that share a line": PLAIN.rstrip() + SECOND,
    "text after its end": PLAIN.rstrip() + b" # end\n",
    "a NUL after it": PLAIN + b"\0",
    "the end of a file of DOS": PLAIN + b"\x1a",
    "an old label": relabelled(PLAIN, b"X509 CERTIFICATE"),
    "another label at its end": PLAIN.replace(b"END ", b"END X509 "),
}
DAMAGED = {
    "a curve that Go does not know": PLAIN + on_curve(ec.BrainpoolP256R1()),
    "another one": on_curve(ec.SECP256K1()) + PLAIN,
    "nothing": b"",
    "text": b"ca",
    "DER": base64.b64decode(DATA),
    "PEM in base64": base64.b64encode(PLAIN),
    "OpenSSL's own form": relabelled(PLAIN, b"TRUSTED CERTIFICATE"),
    "small letters": PLAIN.lower(),
    "four dashes": PLAIN.replace(b"-----", b"----"),
    "cut": PLAIN[:-40],
    "cut, and a whole one": PLAIN[:-40] + SECOND,
    "cut after a whole one": PLAIN + SECOND[:-40],
    "no end, and a whole one": PLAIN.replace(TAIL + b"\n", b"") + SECOND,
    "without its last line": PLAIN.replace(LINES[-3] + b"\n", b""),
    "a changed line": PLAIN.replace(DATA[:8], b"AAAAAAAA"),
    "a changed line after a whole one": SECOND + PLAIN.replace(DATA[:8], b"AAAAAAAA"),
    "an odd character": PLAIN.replace(DATA[:8], b"!" + DATA[1:8]),
}
