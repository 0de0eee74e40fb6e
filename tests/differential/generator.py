"""Certificate requests that are nearly right, made from a seed.

Most are changed beneath the signature and signed again, because a request with a wrong signature
is refused before anything of it matters.
"""

import random
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.differential.changes import NULL, STRING_TAGS, TEXTS, Changes
from tests.differential.tree import BIT_STRING, Item, decode
from tests.request_bytes import (
    ADDRESS,
    BASIC_CONSTRAINTS,
    CHALLENGE_PASSWORD,
    CN,
    ED25519,
    EXTENSION_REQUEST,
    MICROSOFTS,
    NAME,
    PRINTABLE,
    SAN,
    SUBJECT,
    O,
    PrivateKey,
    armour,
    attribute,
    bare,
    der,
    extension,
    extension_request,
    oid,
    request,
    sans,
    sequence,
    spki,
    subject_of,
)

HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256(), "3": hashes.SHA384(), "4": hashes.SHA512()}  # noqa: S303
ECDSA = {"1": "1.2.840.10045.4.1"} | {n: f"1.2.840.10045.4.3.{n}" for n in "234"}
RSA = {
    "1": "1.2.840.113549.1.1.5",
    "2": "1.2.840.113549.1.1.11",
    "3": "1.2.840.113549.1.1.12",
    "4": "1.2.840.113549.1.1.13",
}
RSA_PSS = "1.2.840.113549.1.1.10"
TRUE = der(0x01, b"\xff")


class Generator:
    """An endless supply of inputs; two of one seed yield the same but for keys and signatures."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP224R1())
        self._keys: list[PrivateKey] = [ec.generate_private_key(curve) for curve in curves]
        self._keys += [rsa.generate_private_key(65537, bits) for bits in (1024, 2048)]
        self._keys += [rsa.generate_private_key(3, 2048), ed25519.Ed25519PrivateKey.generate()]
        self._changes = Changes(self._random)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self._input()

    def _input(self) -> bytes:
        choice = self._random.random
        tree = decode(bare(request(*self._attributes(), subject=self._subject())))
        info = tree.items[0]
        key = self._keys[0] if choice() < 0.7 else self._random.choice(self._keys)
        info.items[2] = decode(self._spki(key))
        for _ in range(self._random.choice((0, 0, 1, 1, 1, 2, 3))):
            self._changes.to_tree(info)
        encoded = self._sign(info, key)
        if choice() < 0.1:
            outer = _parts(encoded)
            self._changes.to_tree(outer)
            encoded = outer.encode()
        if choice() < 0.05:
            encoded = self._changes.to_bytes(encoded)
        pem = armour(encoded)
        return self._changes.to_pem(pem) if choice() < 0.1 else pem

    # What it begins with

    def _subject(self) -> bytes:
        if self._random.random() < 0.6:
            return SUBJECT
        tags = [self._random.choice(STRING_TAGS) for _ in range(2)]
        texts = [self._random.choice(TEXTS) for _ in range(2)]
        return self._random.choice((
            subject_of(attribute(CN, "system:node:node-1"), attribute(O, "system:nodes")),
            subject_of(attribute(O, "system:nodes", PRINTABLE), attribute(CN, "n", PRINTABLE)),
            subject_of(attribute(O, "nodes", tags[0]), attribute(CN, texts[0], tags[1])),
            subject_of(attribute(O, texts[0]), attribute(CN, texts[1])),
            subject_of(attribute(O, "a"), attribute(CN, "b"), attribute(CN, "c")),
            sequence(der(0x31, attribute(O, "a"), attribute(CN, "b"))),
            subject_of(attribute(O, "nodes".encode("utf-16-be"), 0x1E), attribute(CN, "b")),
        ))  # fmt: skip

    def _attributes(self) -> list[bytes]:
        names = [self._name() for _ in range(self._random.choice((0, 1, 2, 2, 3)))]
        good = extension_request(sans(*names))
        if self._random.random() < 0.7:
            return [good]
        critical = sequence(oid(SAN), der(0x01, self._random.choice((b"\xff", b"\0", b"\1"))),
                            der(0x04, sequence(*names)))  # fmt: skip
        return self._random.choice((
            [],
            [extension_request()],
            [extension_request(critical)],
            [good, good],
            [good, extension_request(sans(NAME), kind=MICROSOFTS)],
            [extension_request(sans(NAME), kind=MICROSOFTS)],
            [sequence(oid(CHALLENGE_PASSWORD), der(0x31, der(0x0C, b"x"))), good],
            [sequence(oid(CHALLENGE_PASSWORD), der(0x31)), good],
            [sequence(oid(EXTENSION_REQUEST), der(0x31)), good],
            [sequence(oid(EXTENSION_REQUEST), der(0x31, *[sequence(sans(n)) for n in names]))],
            [extension_request(sans(NAME), sans(ADDRESS))],
            [extension_request(extension(BASIC_CONSTRAINTS, sequence(TRUE)), sans(NAME))],
            [extension_request(sans(*names), extension("1.2.3.4", b"anything"))],
        ))  # fmt: skip

    def _name(self) -> bytes:
        if self._random.random() < 0.9:
            return self._random.choice((NAME, ADDRESS))
        return der(self._random.choice((0x82, 0x82, 0x87, 0x87, 0x81, 0x86, 0xA4, 0x88, 0xA0)),
                   self._random.choice(TEXTS))  # fmt: skip

    def _spki(self, key: PrivateKey) -> bytes:
        public = key.public_key()
        encoded = spki(public)
        if isinstance(public, ec.EllipticCurvePublicKey) and self._random.random() < 0.05:
            point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            tree = decode(encoded)
            tree.items[1].content = b"\0" + point
            return tree.encode()
        return encoded

    def _sign(self, info: Item, key: PrivateKey) -> bytes:
        number = self._random.choice("2222341")
        data, algorithm = info.encode(), HASHES[number]
        match key:
            case ec.EllipticCurvePrivateKey():
                kind = sequence(oid(ECDSA[number]), *self._parameters())
                signature = key.sign(data, ec.ECDSA(algorithm))
            case rsa.RSAPrivateKey() if self._random.random() < 0.2:
                kind = sequence(oid(RSA_PSS))
                pss = padding.PSS(padding.MGF1(algorithm), salt_length=32)
                signature = key.sign(data, pss, algorithm)
            case rsa.RSAPrivateKey():
                kind = sequence(oid(RSA[number]), *(self._parameters() or [NULL]))
                signature = key.sign(data, padding.PKCS1v15(), algorithm)
            case _:
                kind, signature = sequence(oid(ED25519)), key.sign(data)
        if self._random.random() < 0.02:
            signature = self._changes.to_bytes(signature)
        return sequence(data, kind, der(BIT_STRING, b"\0", signature))

    def _parameters(self) -> list[bytes]:
        if self._random.random() < 0.95:
            return []
        return [self._random.choice((NULL, sequence(), der(0x02, b"\0"), NULL + NULL))]


def _parts(request: bytes) -> Item:
    """Return a request as a tree as deep as it can be decoded."""
    try:
        return decode(request)
    except ValueError:
        return Item(request[0], request[2:])
