"""PKCS #10 requests built byte by byte, so that they may hold what no library would write."""

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

KEY = ec.generate_private_key(ec.SECP256R1())
SHA256 = "1.2.840.10045.4.3.2"
SHA1 = "1.2.840.10045.4.1"
SHA256_RSA = "1.2.840.113549.1.1.11"
ED25519 = "1.3.101.112"
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
MICROSOFTS = "1.3.6.1.4.1.311.2.1.14"
CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"
SAN = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
CN, O = "2.5.4.3", "2.5.4.10"  # noqa: E741 - as the names are written
UTF8, PRINTABLE = 0x0C, 0x13


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + content


def sequence(*parts: bytes) -> bytes:
    return der(0x30, *parts)


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    out = bytes([first * 40 + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(128 | number & 127)
        out += bytes(reversed(groups))
    return der(0x06, out)


def attribute(kind: str, value: str | bytes, tag: int = UTF8) -> bytes:
    return sequence(oid(kind), der(tag, value if isinstance(value, bytes) else value.encode()))


def subject_of(*attributes: bytes) -> bytes:
    """A subject of entries with one attribute each."""
    return sequence(*[der(0x31, one) for one in attributes])


SUBJECT = subject_of(attribute(O, "system:nodes"), attribute(CN, "system:node:node-1"))


def extension(kind: str, *content: bytes) -> bytes:
    return sequence(oid(kind), der(0x04, *content))


def sans(*names: bytes) -> bytes:
    """An extension of alternative names, each with its own tag: 0x82 a name, 0x87 an address."""
    return extension(SAN, sequence(*names))


NAME = der(0x82, b"node-1")
ADDRESS = der(0x87, bytes([10, 0, 0, 1]))


def extension_request(*extensions: bytes, kind: str = EXTENSION_REQUEST) -> bytes:
    return sequence(oid(kind), der(0x31, sequence(*extensions)))


def spki(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def armour(content: bytes) -> bytes:
    body = base64.b64encode(content).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join(
        ["-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""]
    ).encode()


def bare(pem: bytes) -> bytes:
    """The DER of a well-formed block."""
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def request(
    *attributes: bytes,
    subject: bytes = SUBJECT,
    by: PrivateKey = KEY,
    key: bytes | None = None,
    algorithm: str = SHA256,
    version: int = 0,
) -> bytes:
    """A request signed by a private key, for its own public one unless `key` is another's."""
    key = spki(by.public_key()) if key is None else key
    info = sequence(der(0x02, bytes([version])), subject, key, der(0xA0, *attributes))
    digest = hashes.SHA1() if algorithm == SHA1 else hashes.SHA256()  # noqa: S303
    match by:
        case ec.EllipticCurvePrivateKey():
            kind, signature = sequence(oid(algorithm)), by.sign(info, ec.ECDSA(digest))
        case rsa.RSAPrivateKey():
            kind = sequence(oid(SHA256_RSA), der(0x05))
            signature = by.sign(info, padding.PKCS1v15(), digest)
        case _:
            kind, signature = sequence(oid(ED25519)), by.sign(info)
    return armour(sequence(info, kind, der(0x03, b"\0", signature)))
