"""SSH private keys of many types and forms, whole and broken."""

import re
from collections.abc import Iterator
from functools import cache

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.unit.certificates import authority

PASSPHRASE = b"open sesame"
FORMS = {
    "OpenSSH": PrivateFormat.OpenSSH,
    "PKCS #8": PrivateFormat.PKCS8,
    "traditional": PrivateFormat.TraditionalOpenSSL,
}
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@cache
def keys() -> dict[str, object]:
    return {
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "rsa 1024": rsa.generate_private_key(65537, 1024),
        "rsa 2048": rsa.generate_private_key(65537, 2048),
        "ecdsa 256": ec.generate_private_key(ec.SECP256R1()),
        "ecdsa 384": ec.generate_private_key(ec.SECP384R1()),
        "ecdsa 521": ec.generate_private_key(ec.SECP521R1()),
        "ecdsa 224": ec.generate_private_key(ec.SECP224R1()),
        "ecdsa secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "dsa": dsa.generate_private_key(1024),
        "x25519": x25519.X25519PrivateKey.generate(),
        "ed448": ed448.Ed448PrivateKey.generate(),
    }


def written(key: object, form: PrivateFormat, encryption: KeySerializationEncryption) -> str | None:
    try:
        text: bytes = key.private_bytes(Encoding.PEM, form, encryption)  # type: ignore[attr-defined]
    except (ValueError, TypeError):
        return None  # this type has no such form
    return text.decode()


def whole() -> Iterator[tuple[str, str]]:
    """Yield each key in each form, with a passphrase and without."""
    for name, key in keys().items():
        for form, code in FORMS.items():
            for title, encryption in (
                ("", NoEncryption()),
                (", with a passphrase", BestAvailableEncryption(PASSPHRASE)),
            ):
                if (text := written(key, code, encryption)) is not None:
                    yield f"{name}, {form}{title}", text


def changed(text: str) -> Iterator[tuple[str, str]]:
    """Yield a key's text with something done to it."""
    lines = text.splitlines()
    head, body, tail = lines[0], lines[1:-1], lines[-1]
    data = "".join(body)
    other = written(keys()["ecdsa 384"], PrivateFormat.PKCS8, NoEncryption()) or ""
    yield from {
        "CRLF": text.replace("\n", "\r\n"),
        "CR": text.replace("\n", "\r"),
        "text around": f"# the key\n{text}# its end\n",
        "text before without a line feed": f"key: {text}",
        "blanks before": f"  {text}",
        "blank lines before": f"\n\n{text}",
        "a byte order mark": f"\ufeff{text}",
        "no line feed": text.rstrip(),
        "blanks after": f"{text.rstrip()}  \n",
        "blanks after the first line": text.replace(head, f"{head}  ", 1),
        "blanks after each line": "".join(f"{line} \n" for line in lines),
        "indented": "".join(f"  {line}\n" for line in lines),
        "blank lines between": "\n\n".join(lines) + "\n",
        "one line of data": f"{head}\n{data}\n{tail}\n",
        "short lines": "\n".join([head, *re.findall(".{1,20}", data), tail, ""]),
        "one line": " ".join(lines),
        "one line with \\n": "\\n".join(lines),
        "no head": "\n".join(lines[1:]),
        "no tail": "\n".join(lines[:-1]) + "\n",
        "another tail": text.replace(tail, "-----END X-----"),
        "four dashes": text.replace("-----", "----"),
        "small letters": text.replace(head, head.lower()),
        "half": "\n".join([head, *body[: len(body) // 2], tail, ""]),
        "without its last line": "\n".join([head, *body[:-1], tail, ""]),
        "without its last character": text.replace(data[-1] + "\n" + tail, "\n" + tail),
        "a changed character": text.replace(body[0], flipped(body[0]), 1),
        "a changed end": text.replace(body[-1], flipped(body[-1]), 1),
        "an odd character": text.replace(body[0], "!" + body[0][1:], 1),
        "headers": text.replace(head, f"{head}\nComment: mine\n", 1),
        "headers without a blank line": text.replace(head, f"{head}\nComment: mine", 1),
        "a key after": text + other,
        "a key before": other + text,
        "a certificate before": authority(days=9).decode() + text,
        "a certificate after": text + authority(days=9).decode(),
        "parameters before": PARAMETERS + text,
        "quotes": f'"{text}"',
        "another label": re.sub(r"[A-Z]+ PRIVATE|PRIVATE", "RSA PRIVATE", text),
        "no label": re.sub(r"[A-Z]+ PRIVATE", "PRIVATE", text),
        "a label of EC": re.sub(r"[A-Z]+ PRIVATE|PRIVATE", "EC PRIVATE", text),
        "a label of OpenSSH": re.sub(r"[A-Z]+ PRIVATE|PRIVATE", "OPENSSH PRIVATE", text),
        "no data": f"{head}\n{tail}\n",
    }.items()


def flipped(line: str) -> str:
    middle = len(line) // 2
    return line[:middle] + ("A" if line[middle] != "A" else "B") + line[middle + 1 :]


def others() -> dict[str, str]:
    """What is no private key."""
    key = keys()["ed25519"].public_key()  # type: ignore[attr-defined]
    return {
        "nothing": "",
        "text": "x",
        "a public key": key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        "a public key in PEM": key.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode(),
        "a certificate": authority(days=9).decode(),
        "PuTTY's": "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
        "parameters alone": PARAMETERS,
        "a path": "/root/.ssh/id_ed25519",
        "another letter": "\u00e9",
    }


def all_of() -> dict[str, str]:
    """Return each text by its name."""
    found = others()
    for name, text in whole():
        found[name] = text
        if name.startswith(("ed25519", "rsa 2048", "ecdsa 256", "ecdsa 521")):
            found |= {f"{name}: {title}": each for title, each in changed(text)}
    return found
