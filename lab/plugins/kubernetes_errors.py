"""Errors of the kubernetes provider, worded as Go's client words them.

Users search for these texts, and programs match them; so they are the official provider's.
"""

import socket
import ssl
from typing import Any

from lab.plugins.kubernetes_values import Object


class KubernetesError(Exception):
    """Something that the engine shows to the user as it is."""


class UnreachableError(KubernetesError):
    """No answer from an API server."""


class NoMatchError(KubernetesError):
    """The API server does not serve this kind."""

    def __init__(self, kind: str, api_version: str) -> None:
        super().__init__(f'no matches for kind "{kind}" in version "{api_version}"')


class StatusError(KubernetesError):
    """The API server refused."""

    def __init__(self, status: Object) -> None:
        self.code = int(status.get("code") or 0)
        self.reason = str(status.get("reason") or "")
        self.details: Object = status.get("details") or {}
        super().__init__(str(status.get("message") or "unknown"))

    @property
    def namespace_missing(self) -> bool:
        """Whether the object's namespace is what was not found."""
        return self.code == 404 and self.details.get("kind") == "namespaces"


class NotReadyError(KubernetesError):
    """An object was written but did not become ready; `live` is how it was last seen."""

    def __init__(self, message: str, live: Object, reasons: list[str]) -> None:
        super().__init__(message)
        self.live = live
        self.reasons = reasons


def refusal(code: int, body: Any, what: str) -> StatusError:
    """Return the error for an HTTP answer that is no success.

    Args:
        code: the HTTP status.
        body: the answer's JSON, or anything else if it had none.
        what: the resource in the plural, as in the request's path.
    """
    if code == 401:
        message = "the server has asked for the client to provide credentials"
        return StatusError({"code": code, "reason": "Unauthorized", "message": message})
    if isinstance(body, dict) and body.get("kind") == "Status":
        return StatusError(body | {"code": body.get("code") or code})
    texts = {
        400: "the server rejected our request for an unknown reason",
        403: "the server does not allow access to the requested resource",
        404: "the server could not find the requested resource",
    }
    message = texts.get(code, f"an error on the server has prevented the request ({code} {what})")
    return StatusError({"code": code, "message": message})


def unreachable(error: Exception, method: str, url: str, address: str) -> UnreachableError:
    """Return the error for a connection that failed."""
    return UnreachableError(f'{method.capitalize()} "{url}": {_cause(error, address)}')


def _cause(error: Exception, address: str) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"tls: failed to verify certificate: x509: {_verification(error)}"
        case ssl.SSLError():
            return f"remote error: tls: {(error.reason or str(error)).lower().replace('_', ' ')}"
        case ConnectionRefusedError():
            return f"dial tcp {address}: connect: connection refused"
        case TimeoutError():
            return f"dial tcp {address}: i/o timeout"
        case socket.gaierror():
            return f"dial tcp: lookup {address.rpartition(':')[0]}: no such host"
        case OSError(strerror=str(text)) if text:
            return f"dial tcp {address}: connect: {text.lower()}"
    return str(error) or "EOF"


def _verification(error: ssl.SSLCertVerificationError) -> str:
    # OpenSSL's numbers, x509_vfy.h: of the issuer, of the end, of a name, of an address.
    if error.verify_code in {7, 18, 19, 20, 21}:
        return "certificate signed by unknown authority"
    if error.verify_code == 10:
        return "certificate has expired or is not yet valid"
    if error.verify_code in {62, 64}:
        return error.verify_message.partition(", ")[2].rstrip(".").replace("'", "")
    return error.verify_message
