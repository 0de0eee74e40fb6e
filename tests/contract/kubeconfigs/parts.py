"""What kubeconfigs are made of: certificates, keys, a document."""

import base64
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.unit.admission.test_verification import Signed

AUTHORITY = Signed("kubernetes")
OTHER = Signed("another")
SERVER = Signed("kube-apiserver", AUTHORITY, ca=False)
CLIENT = Signed("kubernetes-admin", AUTHORITY, ca=False)
ENCRYPTED = CLIENT.key.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"p")
)
V1 = "client.authentication.k8s.io/v1"
# A token that ends in the year 2100.
JWT = base64.urlsafe_b64encode(b'{"exp": 4102444800}').decode().rstrip("=")
OIDC = {
    "client-id": "k",
    "idp-issuer-url": "https://127.0.0.1:1",
    "id-token": f"e30.{JWT}.c",
}
DNS = "api.internal"  # a name in the server's certificate beside 127.0.0.1


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


CERTIFICATE, KEY = CLIENT.pem, CLIENT.with_key[len(CLIENT.pem) :]
CA = {"certificate-authority-data": b64(AUTHORITY.pem)}
IDENTITY = {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(KEY)}


def wrapped(content: bytes) -> str:
    return base64.encodebytes(content).decode().replace("\n", "\r\n")


def document(
    url: str, user: Any, cluster: dict[str, Any] | None = None, ca: Any = None, **more: Any
) -> dict[str, Any]:
    """A kubeconfig; what is None is left out of its cluster."""
    entry = {"server": url, **(CA if ca is None else ca), **(cluster or {})}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "k", "cluster": {k: v for k, v in entry.items() if v is not None}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": user}],
        "current-context": "c",
        **more,
    }
