"""What stands in the files that a kubeconfig names, or in the kubeconfig in their place."""

import base64
import re
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path

from admission.api_server.current_context import CurrentContext
from admission.api_server.kubeconfig_content import Content, Unusable
from admission.private_file import private_file

# As Go's encoding/pem finds it.
CERTIFICATE = re.compile(
    rb"^-----BEGIN CERTIFICATE-----[ \t]*\r?\n"
    rb"((?:[A-Za-z0-9+/= \t]*\r?\n)*)"
    rb"-----END CERTIFICATE-----[ \t]*\r?$",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class NamedFiles:
    """What they hold; empty where a kubeconfig names none."""

    ca: bytes = b""
    """The certificates in PEM, and nothing else."""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)

    def with_identity(self, certificate: bytes, key: bytes) -> "NamedFiles":
        """Return them with a client's certificate and its key.

        Raises:
            Unusable: these don't belong together, or are none.
        """
        if certificate:
            _check_identity(certificate, key)
        return replace(self, certificate=certificate, key=key)


def checked(context: CurrentContext, directory: Path) -> NamedFiles:
    """Return what is in the files; their paths are relative to the directory.

    Raises:
        Unusable: a file can't be read, or is not what it should be.
    """
    found = NamedFiles(ca=_authority(context.ca, directory), token=_token(context.token, directory))
    if not context.certificate:
        return found
    return found.with_identity(context.certificate.read(directory), context.key.read(directory))


def _authority(content: Content, directory: Path) -> bytes:
    """Return the certificates in it that can be read, as Go does (x509.AppendCertsFromPEM)."""
    if not content:
        return b""
    found = certificates(content.read(directory))
    if not found:
        raise Unusable("has a certificate-authority without a certificate in PEM; correct it")
    return found


def certificates(text: bytes) -> bytes:
    """Return the certificates in a text that can be read, in PEM, without what is around them."""
    found = []
    for data in CERTIFICATE.findall(text):
        try:
            block = ssl.DER_cert_to_PEM_cert(base64.b64decode(data))
            ssl.create_default_context(cadata=block)
        except (ssl.SSLError, ValueError):
            continue
        found.append(block)
    return "".join(found).encode()


def _token(content: Content, directory: Path) -> str:
    token = content.read(directory).decode(errors="replace")
    if content.path:
        token = token.strip()  # client-go's transport/token_source.go
    if content and not (token.isprintable() and token.isascii() and [token] == token.split()):
        raise Unusable("has a token that is empty, or that no request can hold; write it anew")
    return token


def _check_identity(certificate: bytes, key: bytes) -> None:
    """Raise Unusable unless both can be read and belong together; `ssl` takes files only."""
    # OpenSSL would ask somebody at a terminal for the password.
    if b"ENCRYPTED" in key:
        raise Unusable(
            "has a client-key with a password, which nobody could give; give one without"
        )
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with private_file(certificate.rstrip() + b"\n" + key) as path:
        try:
            trust.load_cert_chain(path)
        except (ssl.SSLError, ValueError):
            raise Unusable(
                "has a client-certificate and a client-key that can't be read, or don't belong"
                " together; correct them"
            ) from None
