"""The SSH private keys in files; a key with a passphrase belongs in the SSH agent."""

import base64
import functools
import hashlib
import re
import textwrap
from collections.abc import Iterable
from typing import Any

import pulumi
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from credentials.text_file import read_text
from settings.layer import Ssh
from settings.problem import Problem

BLOCK = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----(.*?)-----END \1-----", re.DOTALL)
# How a text begins in which Go's encoding/pem finds that key, and no other block before it.
GO_READS = re.compile(
    r"\s*^-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----[ \t]*\r?\n", re.MULTILINE
)
PUBLIC = re.compile(
    r"\s*(ssh-|ecdsa-|sk-|---- BEGIN SSH2 PUBLIC|-----BEGIN (RSA )?PUBLIC KEY-----)"
)
ENCRYPTED = (
    "has a passphrase, which nobody could give; load the key into the SSH agent and leave this"
    " setting out"
)
SHORTEST_RSA_KEY = 1024  # bits: OpenSSH's SSH_RSA_MINIMUM_MODULUS_SIZE, and Go's crypto/rsa
# What the loaders raise for what is no key, has a passphrase, or is of a type that they don't know.
NO_KEY = (ValueError, TypeError, UnsupportedAlgorithm)


def read_private_keys(
    layers: Iterable[tuple[str, Ssh]], problems: list[Problem]
) -> dict[str, pulumi.Output[str]]:
    """Return the key in each file that SSH settings name, each read once, by its path."""
    found: dict[str, pulumi.Output[str] | None] = {}
    for at, ssh in layers:
        bastion = ssh.bastion and ssh.bastion.private_key_path
        for setting, path in ((at, ssh.private_key_path), (f"{at}.bastion", bastion)):
            if path and path not in found:
                found[path] = _read(f"{setting}.privateKeyPath", path, problems)
    return {path: key for path, key in found.items() if key is not None}


@functools.cache  # the key of hundreds of nodes, and RSA takes its time
def fingerprint(key: str) -> str | None:
    """Return the fingerprint of a private key's public half, as `ssh-keygen -l` prints it.

    None: it can't be read.
    """
    try:
        blob = _public_blob(_load(key))
    except NO_KEY:
        return None
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


@functools.cache
def for_engine(key: str) -> str:
    """Return a key in the shortest form that the engine reads, since each command's state has it.

    That is a third of OpenSSH's form for ed25519; keys of other types stay as they are if the
    engine reads that, and so does what is no key.
    """
    try:
        loaded = _load(key)
    except NO_KEY:
        return key
    if not isinstance(loaded, Ed25519PrivateKey) and GO_READS.match(key):
        return key
    text: bytes = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


def for_openssh(key: str) -> str:
    """Return a key in the form that every OpenSSH reads; what is no key stays."""
    try:
        loaded = _load(key)
    except NO_KEY:
        return key
    text: bytes = loaded.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return text.decode()


def problem_of(key: str) -> str | None:
    """Return what keeps a key from being used, and what to do; None: it is usable.

    It quotes nothing of the key. The engine reads the forms that Go's `ssh.ParsePrivateKey` does:
    OpenSSH's, PKCS #1 and #8, and SEC 1.
    """
    try:
        loaded = _load(key)
    except TypeError:  # both loaders, of a key that is encrypted
        return ENCRYPTED
    except (ValueError, UnsupportedAlgorithm):
        return _problem_of_unreadable(key)
    if not _is_for_ssh(loaded):
        return "is of a type that SSH does not take; make one with ssh-keygen -t ed25519"
    return None


def _problem_of_unreadable(key: str) -> str:
    """Return what a text is that no loader takes: they know few ciphers, and no security keys."""
    if key.startswith("PuTTY-User-Key-File"):
        return "is a key of PuTTY; convert it with puttygen KEY -O private-openssh"
    if PUBLIC.match(key):
        return "is a public key; give the private one, whose file has no .pub at its end"
    block = BLOCK.search(key)
    if block and "ENCRYPTED" in block[0][:200]:  # in its label, or in Proc-Type
        return ENCRYPTED
    if block and block[1] == "OPENSSH PRIVATE KEY":
        letters = re.sub(r"[^A-Za-z0-9+/]", "", block[2])[:400]
        start = base64.b64decode(letters[: len(letters) // 4 * 4])
        # PROTOCOL.key of OpenSSH: the cipher's name comes first, then the public key's type.
        if re.match(rb"openssh-key-v1\0\0\0\0.(?!none)[a-z0-9]", start, re.DOTALL):
            return ENCRYPTED
        if re.search(rb"sk-(ssh|ecdsa)-", start):
            return "is kept on a security key (FIDO), which somebody must touch; use another key"
    return "is not an SSH private key"


def _is_for_ssh(loaded: Any) -> bool:
    """Return whether Go's and OpenSSH's clients take a key of its type and size."""
    if isinstance(loaded, EllipticCurvePrivateKey):
        return isinstance(loaded.curve, SECP256R1 | SECP384R1 | SECP521R1)
    if isinstance(loaded, RSAPrivateKey):
        return loaded.key_size >= SHORTEST_RSA_KEY
    return isinstance(loaded, Ed25519PrivateKey)


def _load(key: str) -> Any:
    """Return the first private key in a text, as Go and OpenSSH do, wherever its lines end."""
    block = BLOCK.search(key)
    if block is None:
        raise ValueError("no key")
    label, data = block.groups()
    text = (
        block[0]
        if ":" in data
        else f"-----BEGIN {label}-----\n{_lines(data)}-----END {label}-----\n"
    )
    if label != "OPENSSH PRIVATE KEY":
        return load_pem_private_key(text.encode(), password=None)
    loaded = load_ssh_private_key(text.encode(), password=None)
    # The library derives the public half; Go and OpenSSH compare it with the one in the file.
    if _public_blob(loaded) not in base64.b64decode(data):
        raise ValueError("its public half is another key's")
    return loaded


def _public_blob(loaded: Any) -> bytes:
    public = loaded.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(public.split()[1])


def _lines(data: str) -> str:
    """Return base64 as PEM has it."""
    return "".join(f"{line}\n" for line in textwrap.wrap("".join(data.split()), 64))


def _read(setting: str, path: str, problems: list[Problem]) -> pulumi.Output[str] | None:
    text = read_text(setting, path, problems, comments=True)
    if text is None:
        return None
    if problem := problem_of(text):
        problems.append(Problem(setting, f'"{path}" {problem}'))
        return None
    return pulumi.Output.secret(for_engine(text))
