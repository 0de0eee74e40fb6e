"""Bytes that two parsers read differently, and content that a kubelet never asks for.

Whoever reads the harmless one of two blocks approves the other, which the cluster signs.
"""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.differential.tree import decode
from tests.hostile.vector import (
    API_SERVER,
    HONEST_LOOKING,
    OWN_NAMES,
    Vector,
    client,
    client_vector,
    dns,
    ip,
    serving,
    subject,
)
from tests.request_bytes import (
    BASIC_CONSTRAINTS,
    CHALLENGE_PASSWORD,
    KEY,
    MICROSOFTS,
    SAN,
    SHA1,
    PrivateKey,
    armour,
    bare,
    der,
    extension,
    extension_request,
    oid,
    request,
    sans,
    sequence,
    spki,
)

HARMLESS = HONEST_LOOKING
EVIL = serving(dns("kubernetes"), ip(API_SERVER))
ONE_BLOCK = "not exactly one PEM block"
BEGIN, END = b"-----BEGIN CERTIFICATE REQUEST-----", b"-----END CERTIFICATE REQUEST-----"
NO_PEM = "PEM block type must be CERTIFICATE REQUEST"

# What is around the blocks -> the bytes, and what the API server says if it does not take them.
BLOCKS: dict[str, tuple[bytes, str]] = {
    "an indented BEGIN, then another block": (b" " + HARMLESS + EVIL, ""),
    "an indented block, then another": (
        b" " + HARMLESS.replace(b"\n", b"\n ") + b"\n" + EVIL, "",
    ),
    "text before BEGIN on its line, then another block": (b"x" + HARMLESS + EVIL, ""),
    "text behind END on its line, then another block": (HARMLESS.rstrip() + b"x\n" + EVIL, ""),
    "a block on one line, then another": (HARMLESS.replace(b"\n", b"") + b"\n" + EVIL, ""),
    "no line feed before END, then another block": (
        HARMLESS.replace(b"\n-----END", b"-----END") + EVIL, "",
    ),
    "bad base64, then another block": (BEGIN + b"\n!!!!\n" + END + b"\n" + EVIL, ""),
    "an empty block, then another": (BEGIN + b"\n" + END + b"\n" + EVIL, "asn1"),
    "another END, then another block": (
        HARMLESS.replace(b"-----END CERTIFICATE", b"-----END X") + EVIL, "",
    ),
    "another label, then another block": (
        HARMLESS.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST") + EVIL, NO_PEM,
    ),
    "a certificate's label, then another block": (
        HARMLESS.replace(b"CERTIFICATE REQUEST", b"CERTIFICATE") + EVIL, NO_PEM,
    ),
    "carriage returns alone": (HARMLESS.replace(b"\n", b"\r"), NO_PEM),
    "carriage returns": (HARMLESS.replace(b"\n", b"\r\n"), ""),
    "two blocks": (HARMLESS + EVIL, ""),
    "two blocks, the evil one first": (EVIL + HARMLESS, ""),
    "a line of text before it": (b"hello\n" + HARMLESS, ""),
    "a line of text behind it": (HARMLESS + b"hello\n", ""),
    "spaces in the base64": (HARMLESS.replace(b"MII", b"M I\tI", 1), ""),
    "a header": (HARMLESS.replace(BEGIN + b"\n", BEGIN + b"\nA: b\n\n"), ""),
    "a header without a blank line": (HARMLESS.replace(BEGIN + b"\n", BEGIN + b"\nA: b\n"), ""),
    "a byte order mark": (b"\xef\xbb\xbf" + HARMLESS + EVIL, ""),
    "two line feeds at its end": (HARMLESS + b"\n", ""),
    "nothing": (b"", NO_PEM),
}  # fmt: skip


def short_lines(pem: bytes) -> bytes:
    first, second, *rest = pem.splitlines(keepends=True)
    return b"".join([first, second[:4] + b"\n", second[4:], *rest])


def signed_by_another() -> bytes:
    return request(
        extension_request(sans(*OWN_NAMES)),
        subject=subject("node-1"),
        key=spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
    )


def compressed() -> bytes:
    public = KEY.public_key()
    key = decode(spki(public))
    key.items[1].content = b"\0" + public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return request(extension_request(sans(*OWN_NAMES)), subject=subject("node-1"), key=key.encode())


def signed_by(key: PrivateKey) -> bytes:
    return request(extension_request(sans(*OWN_NAMES)), subject=subject("node-1"), by=key)


def with_attributes(*attributes: bytes) -> bytes:
    # In DER the members of a set are sorted.
    return request(*sorted(attributes), subject=subject("node-1"))


def with_extension(*extensions: bytes) -> bytes:
    return with_attributes(extension_request(*extensions))


OWN = sans(*OWN_NAMES)
EVIL_NAMES = sans(dns("kubernetes"))
NO_OTHER_EXTENSION = "an extension other than subject alternative names"
NO_OTHER_ATTRIBUTE = "an attribute other than an extension request"
TRUE = der(0x01, b"\xff")

# The content -> the request, why not, and what the API server says if it does not take it.
CONTENTS: dict[str, tuple[bytes, str, str]] = {
    "a CA": (
        with_extension(OWN, extension(BASIC_CONSTRAINTS, sequence(TRUE))), NO_OTHER_EXTENSION, "",
    ),
    "no CA, but said": (
        with_extension(OWN, extension(BASIC_CONSTRAINTS, sequence())), NO_OTHER_EXTENSION, "",
    ),
    "the use of a key to sign certificates": (
        with_extension(OWN, extension("2.5.29.15", der(0x03, b"\2\4"))), NO_OTHER_EXTENSION, "",
    ),
    "an extended use": (
        with_extension(OWN, extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.2")))),
        NO_OTHER_EXTENSION, "",
    ),
    "limits for names": (
        with_extension(
            OWN, extension("2.5.29.30", sequence(der(0xA0, sequence(dns("node-1")))))
        ),
        NO_OTHER_EXTENSION, "",
    ),
    "an extension that nobody knows": (
        with_extension(OWN, extension("1.2.3.4.5", b"x")), NO_OTHER_EXTENSION, "",
    ),
    "a critical list of names": (
        with_extension(sequence(oid(SAN), TRUE, der(0x04, sequence(*OWN_NAMES)))), "canonical", "",
    ),
    "names in Microsoft's attribute": (
        with_attributes(extension_request(EVIL_NAMES, kind=MICROSOFTS)), NO_OTHER_ATTRIBUTE, "",
    ),
    "more names in Microsoft's attribute": (
        with_attributes(extension_request(OWN), extension_request(EVIL_NAMES, kind=MICROSOFTS)),
        NO_OTHER_ATTRIBUTE, "",
    ),
    "a challenge password": (
        with_attributes(
            sequence(oid(CHALLENGE_PASSWORD), der(0x31, der(0x0C, b"x"))), extension_request(OWN)
        ),
        NO_OTHER_ATTRIBUTE, "",
    ),
    "a small RSA key": (signed_by(rsa.generate_private_key(65537, 1024)), "its key is neither", ""),
    "a curve of 521 bits": (
        signed_by(ec.generate_private_key(ec.SECP521R1())), "its key is neither", "",
    ),
    "a curve of 224 bits": (
        signed_by(ec.generate_private_key(ec.SECP224R1())), "its key is neither", "",
    ),
    "an Edwards curve": (
        signed_by(ed25519.Ed25519PrivateKey.generate()), "its key is neither", "",
    ),
    "a signature by SHA-1": (
        request(extension_request(OWN), subject=subject("node-1"), algorithm=SHA1),
        "none of SHA-256", "",
    ),
    "another's key": (signed_by_another(), "not by its own key", "verification"),
    "a compressed key": (compressed(), "canonical", "invalid"),
    "another version": (
        request(extension_request(OWN), subject=subject("node-1"), version=1),
        "InvalidVersion", "",
    ),
    "bytes behind the request": (
        armour(bare(HARMLESS) + b"\0"), "not a certificate request", "trailing",
    ),
    "bytes behind the names": (
        with_attributes(extension_request(OWN) + b"\0\0"), "request", "",
    ),
    "short lines of base64": (short_lines(HARMLESS), "not encoded in the canonical way", ""),
    "a monstrous request": (
        serving(*OWN_NAMES, *[dns("a" * 60)] * 300), "more than 16384 bytes", "",
    ),
}  # fmt: skip

ENCODINGS = (
    *(
        Vector(title=title, pem=pem, reason=ONE_BLOCK, unstored=unstored)
        for title, (pem, unstored) in BLOCKS.items()
    ),
    *(
        Vector(title=title, pem=pem, reason=reason, unstored=unstored)
        for title, (pem, reason, unstored) in CONTENTS.items()
    ),
    client_vector(
        "its own name, then a block with another",
        b" " + client("node-3") + client("node-2"),
        ONE_BLOCK,
    ),
    client_vector(
        "its own name and a CA",
        request(
            extension_request(extension(BASIC_CONSTRAINTS, sequence(TRUE))),
            subject=subject("node-3"),
        ),
        NO_OTHER_EXTENSION,
    ),
)
