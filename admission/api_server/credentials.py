"""What a plain kubeconfig says: its server, and certificates or a token.

Most kubeconfigs hold no more than that. `kubeconfig` reads all others, with the client's library,
which takes long to import.
"""

import base64
import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from admission.private_file import private_file

CA, CERTIFICATE, KEY = "certificate-authority", "client-certificate", "client-key"
CLUSTER_KEYS = {"server", CA, f"{CA}-data", "extensions"}
USER_KEYS = {CERTIFICATE, f"{CERTIFICATE}-data", KEY, f"{KEY}-data", "token"}


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
        ValueError, OSError, LookupError, TypeError, yaml.YAMLError: it is not that plain.
    """
    file = Path(path).expanduser()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(file.read_bytes(), Loader=loader)  # noqa: S506 - it is a SafeLoader
    context = named(document, "context", document["current-context"])
    cluster = named(document, "cluster", context["cluster"])
    user = named(document, "user", context["user"])
    if cluster.keys() - CLUSTER_KEYS or user.keys() - USER_KEYS:
        raise ValueError("it says more")
    server = str(cluster["server"]).rstrip("/")
    address = urlsplit(server)
    is_plain = server == f"https://{address.netloc}" and "@" not in server
    if not is_plain or proxy_for(server):
        raise ValueError("it is reached in another way")
    directory = file.absolute().parent  # of the link, if it is one, as for kubectl
    authority = _pem(cluster, CA, directory)
    trust = verifying_as_go(ssl.create_default_context(cadata=authority.decode("ascii")))
    if user.keys() - {"token"}:
        _add_certificate(trust, _pem(user, CERTIFICATE, directory), _pem(user, KEY, directory))
    return Credentials(server=server, trust=trust, token=user.get("token") or None)


def verifying_as_go(trust: ssl.SSLContext) -> ssl.SSLContext:
    """Make a context trust what kubectl and kubelets do, with the same CA file.

    Each certificate in it is an anchor, an intermediate too, and Python 3.13 refuses CAs without
    extensions that Go does not ask for.
    """
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return trust


def named(document: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return a kubeconfig's context, cluster or user (`kind`) of a name.

    Raises:
        ValueError, LookupError, TypeError: there is not exactly one, or it is no object.
    """
    (found,) = (entry[kind] for entry in document[f"{kind}s"] if entry["name"] == name)
    if not isinstance(found, dict):
        raise TypeError(kind)
    return found


def _pem(entry: Mapping[str, Any], key: str, directory: Path) -> bytes:
    """Return what stands there as data, or in a file that is named."""
    ((form, value),) = ((k, v) for k, v in entry.items() if k in (key, f"{key}-data"))
    if form == key:
        return Path(directory, value).read_bytes()
    content: bytes = base64.b64decode(value, validate=True)
    return content


def _add_certificate(trust: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Add a client's certificate; `ssl` takes it from files only."""
    # Nobody is asked for a key's password twice.
    if b"ENCRYPTED" in key:
        raise ValueError("the key has a password")
    with private_file(certificate.rstrip() + b"\n" + key) as path:
        trust.load_cert_chain(path)


def proxy_for(server: str) -> str | None:
    """Return the proxy by which the environment has a URL reached; None: it is reached directly."""
    address = urlsplit(server)
    variable = f"{address.scheme}_proxy"
    # Only on Linux is there no other place for such a setting.
    if sys.platform == "linux" and all(name.lower() != variable for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - seldom needed

    return None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)
