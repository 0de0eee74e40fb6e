"""An API server, asked with whatever credentials somebody has got hold of."""

import base64
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.hostile.vector import Requester, Vector

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
TIMEOUT_S = 60
# An API server closes connections that are idle for longer.
IDLE_S = 30


class Caller:
    """One connection with a client certificate, or a token, or neither."""

    def __init__(
        self, kubeconfig: Mapping[str, Any], certificate: Path | None = None, token: str = ""
    ) -> None:
        cluster = kubeconfig["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
        host = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(
            str(host.hostname), host.port, context=context, timeout=TIMEOUT_S
        )
        self._used = time.monotonic()
        self._headers = [("Authorization", f"Bearer {token}")] if token else []

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        impersonated: Requester | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the object that the API server answers."""
        content = b"" if body is None else json.dumps(body).encode()
        return self.send(method, path, content, impersonated, content_type)

    def send(
        self,
        method: str,
        path: str,
        content: bytes,
        impersonated: Requester | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, dict[str, Any]]:
        """Return what is answered to a body as it is; what can't be read is text."""
        headers = [*self._headers, ("Content-Type", content_type)]
        if impersonated is not None:
            headers.append(("Impersonate-User", impersonated.user))
            headers += [("Impersonate-Group", group) for group in impersonated.groups]
        if time.monotonic() - self._used > IDLE_S:
            self._connection.close()  # the next request opens it again
        self._used = time.monotonic()
        self._connection.putrequest(method, path)
        for name, value in (*headers, ("Content-Length", str(len(content)))):
            self._connection.putheader(name, value)
        self._connection.endheaders(content)
        answer = self._connection.getresponse()
        data = answer.read()
        try:
            return answer.status, json.loads(data)
        except RecursionError:
            return answer.status, {"text": data.decode()}


def administrator(kubeconfig: Mapping[str, Any], directory: Path) -> Caller:
    """A caller with the certificate of the kubeconfig, which may impersonate."""
    user = kubeconfig["users"][0]["user"]
    path = directory / "administrator.pem"
    path.touch(mode=0o600)
    parts = (user["client-certificate-data"], user["client-key-data"])
    path.write_bytes(b"".join(base64.b64decode(part) for part in parts))
    return Caller(kubeconfig, path)


def object_of(vector: Vector, name: str) -> dict[str, Any]:
    """The CertificateSigningRequest that a vector describes."""
    spec: dict[str, Any] = {
        "request": base64.b64encode(vector.pem).decode(),
        "signerName": vector.signer,
        "usages": list(vector.usages),
    }
    if vector.expiration_s is not None:
        spec["expirationSeconds"] = vector.expiration_s
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": spec,
    }
