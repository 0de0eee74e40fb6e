"""The one encoding of what a kubelet's certificate request says (RFC 2986, in DER).

One parser reads many encodings as the same content, and another parser reads some of them as
something else. Comparing a request with this one encoding needs no knowledge of either.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

SEQUENCE, SET, OCTET_STRING, OBJECT_IDENTIFIER, ATTRIBUTES = 0x30, 0x31, 0x04, 0x06, 0xA0
VERSION_1 = b"\x02\x01\x00"
# Go and so the kubelet writes a PrintableString, most others a UTF8String.
STRING_TAGS = (0x13, 0x0C)
NAMES = {NameOID.COMMON_NAME: b"\x55\x04\x03", NameOID.ORGANIZATION_NAME: b"\x55\x04\x0a"}
EXTENSION_REQUEST = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
SUBJECT_ALTERNATIVE_NAME = b"\x55\x1d\x11"


def request_info(
    subject: Sequence[tuple[x509.ObjectIdentifier, str]],
    string_tag: int,
    key: bytes,
    alternative_names: bytes | None,
) -> bytes:
    """Return the part of a request that is signed.

    `key` is a SubjectPublicKeyInfo, `alternative_names` the content of such an extension, both in
    DER.
    """
    entries = (
        _der(
            SET,
            _der(SEQUENCE, _der(OBJECT_IDENTIFIER, NAMES[kind]), _der(string_tag, value.encode())),
        )
        for kind, value in subject
    )
    attributes = b"" if alternative_names is None else _extension_request(alternative_names)
    return _der(SEQUENCE, VERSION_1, _der(SEQUENCE, *entries), key, _der(ATTRIBUTES, attributes))


def _extension_request(alternative_names: bytes) -> bytes:
    extension = _der(
        SEQUENCE,
        _der(OBJECT_IDENTIFIER, SUBJECT_ALTERNATIVE_NAME),
        _der(OCTET_STRING, alternative_names),
    )
    return _der(
        SEQUENCE,
        _der(OBJECT_IDENTIFIER, EXTENSION_REQUEST),
        _der(SET, _der(SEQUENCE, extension)),
    )


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
