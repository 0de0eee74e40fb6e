"""How requests reach an API server: the client library's connections, and what limits each answer.

No answer has a limit in total time, since a link may be slow: each is limited in bytes by who reads
it, and here in silence. Only what a kubelet answers is limited in time, since that may drip.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from admission.api_server.api import REQUEST_TIMEOUT_S, ApiError, Unreadable
from admission.api_server.bodies import beginning
from admission.api_server.reading import read

# Short, so that a connection whose other end is gone is not waited on for long.
WATCH_TIMEOUT_S = 30
REQUEST = aiohttp.ClientTimeout(
    total=None, sock_connect=REQUEST_TIMEOUT_S, sock_read=REQUEST_TIMEOUT_S
)
WATCH = aiohttp.ClientTimeout(
    total=None, sock_connect=REQUEST_TIMEOUT_S, sock_read=WATCH_TIMEOUT_S + 10
)
KUBELET = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
# An answer that is packed may be a thousand times as long as what is received of it.
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
LONGEST_MESSAGE = 300


class Transport:
    """The client library's part, with our limits."""

    def __init__(self, client: ApiClient) -> None:
        client.configuration.trace_configs = [_no_redirects()]
        self.client = client

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    async def send(
        self,
        method: str,
        path: str,
        patience: aiohttp.ClientTimeout,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> aiohttp.ClientResponse:
        """Make a request and return the answer before its body is read.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there is none.
        """
        headers = dict(HEADERS)
        if body is not None:
            headers["Content-Type"] = content_type
        parameters: Any = await self.client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        method, url, headers, body, _ = parameters
        limit: Any = patience
        answer = await self.client.call_api(method, url, headers, body, None, limit)
        response: aiohttp.ClientResponse = answer.response
        return response


async def require_success(answer: aiohttp.ClientResponse, method: str, path: str) -> None:
    """Return if an answer is no refusal.

    Raises:
        ApiError: it is.
    """
    if answer.status >= 400:
        said = await beginning(answer)
        raise ApiError(answer.status, method, path.partition("?")[0], _message(said))


def _message(data: bytes) -> str:
    try:
        status = read(data)
    except Unreadable:
        return data.decode(errors="replace")[:LONGEST_MESSAGE]
    return str(status.get("message") or status.get("reason") or "")[:LONGEST_MESSAGE]


def _no_redirects() -> aiohttp.TraceConfig:
    """Refuse each redirect: a kubelet behind the API server's proxy would send our rights along."""

    async def refuse(_: Any, __: Any, met: aiohttp.TraceRequestRedirectParams) -> None:
        status, path = met.response.status, met.url.path
        raise ApiError(status, met.method, path, "a redirect, which is not followed")

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(refuse)
    return config
