"""What is asked of an API server, and what it may answer."""

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import aiohttp

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NODES = "/api/v1/nodes"
MERGE_PATCH = "application/merge-patch+json"

# What passes by itself: an API server that restarts, a connection that drops.
UNREACHABLE = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
UNTRUSTED = (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)

# Rights and tokens may follow an API server's start, or their own making, by moments.
RIGHTS_LIMIT_S = 5

See = Callable[[str, dict[str, Any]], None]
Say = Callable[[str], None]


class ApiError(Exception):
    """The API server said no; holds its status code and its reason, no content."""

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Api(Protocol):
    """An API server, as the gate uses it; `connection.Cluster` is a real one."""

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Make one request and return the JSON of the answer, or its text where it is none."""

    async def watch(self, path: str, see: See, say: Say) -> None:
        """Tell of every object and each change, for ever."""

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Tell whether a requester may get serving certificates."""


def decode(value: str) -> bytes:
    """Return what a field in base64 holds."""
    return base64.b64decode(value)
