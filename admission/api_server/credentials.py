"""What a plain kubeconfig says: its server, and certificates or a token.

Most kubeconfigs hold no more than that. `kubeconfig` does what all others ask for, with the
client's library, which takes long to import.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from admission.api_server.current_context import parse
from admission.api_server.named_files import checked
from admission.api_server.proxy import proxy_for
from admission.private_file import private_file


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Where an API server is, whom to trust there, and who asks."""

    server: str
    trust: ssl.SSLContext
    """Trusts the cluster's CA alone, and has the client's certificate if there is one."""
    token: str | None = field(default=None, repr=False)


def read(path: str) -> Credentials:
    """Return what the current context of a kubeconfig says.

    Raises:
        ValueError, OSError: it is not that plain.
    """
    file = Path(path).expanduser()
    context = parse(file.read_text())
    server = context.server.rstrip("/")
    is_direct = server == f"https://{urlsplit(server).netloc}" and not (
        context.tls_server_name or context.proxy or proxy_for(server)
    )
    is_simple = context.ca and not (
        context.login or context.plugin or context.oidc is not None or context.headers
    )
    if not (is_direct and is_simple):
        raise ValueError("it says more")
    files = checked(context, file.absolute().parent)  # of the link, if it is one, as for kubectl
    trust = verifying_as_go(ssl.create_default_context(cadata=files.ca.decode("ascii")))
    if files.certificate:
        with private_file(files.certificate.rstrip() + b"\n" + files.key) as both:
            trust.load_cert_chain(both)
    return Credentials(server=server, trust=trust, token=files.token or None)


def verifying_as_go(trust: ssl.SSLContext) -> ssl.SSLContext:
    """Make a context trust what kubectl and kubelets do, with the same CA file.

    Each certificate in it is an anchor, an intermediate too, and Python 3.13 refuses CAs without
    extensions that Go does not ask for.
    """
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return trust
