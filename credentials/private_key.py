"""The SSH private keys in files; a key with a passphrase belongs in the SSH agent."""

import base64
import functools
import hashlib
from collections.abc import Iterable
from typing import Any

import pulumi
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
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
        public = _load(key).public_key()
    except NO_KEY:
        return None
    blob = base64.b64decode(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


@functools.cache
def for_engine(key: str) -> str:
    """Return a key in the shortest form that the engine reads, since each command's state has it.

    That is a third of OpenSSH's form for ed25519; keys of other types, and what is no key, stay.
    """
    try:
        loaded = _load(key)
    except NO_KEY:
        return key
    if not isinstance(loaded, Ed25519PrivateKey):
        return key
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


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
        return (
            "has a passphrase, which nobody could give; load the key into the SSH agent and leave"
            " this setting out"
        )
    except (ValueError, UnsupportedAlgorithm):
        if key.startswith("PuTTY-User-Key-File"):
            return "is a key of PuTTY; convert it with puttygen KEY -O private-openssh"
        return "is not an SSH private key"
    if not isinstance(loaded, Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey):
        return "is of a type that SSH no longer takes; make one with ssh-keygen -t ed25519"
    return None


def _load(key: str) -> Any:
    if "BEGIN OPENSSH PRIVATE KEY" in key:
        return load_ssh_private_key(key.encode(), password=None)
    return load_pem_private_key(key.encode(), password=None)


def _read(setting: str, path: str, problems: list[Problem]) -> pulumi.Output[str] | None:
    text = read_text(setting, path, problems)
    if text is None:
        return None
    if problem := problem_of(text):
        problems.append(Problem(setting, f'"{path}" {problem}'))
        return None
    return pulumi.Output.secret(for_engine(text))
