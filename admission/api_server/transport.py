"""How requests reach an API server: the client library's connections, and what limits each answer.

No answer has a limit in total time, since a link may be slow: each is limited in bytes by who reads
it, and here in silence. Only what a kubelet answers is limited in time, since that may drip.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient
from multidict import CIMultiDict

from admission.api_server.api import READ_PAUSE_S, REQUEST_TIMEOUT_S, ApiError, Unreadable
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
UNAUTHORIZED = 401

# Reads the credentials again: the client that has them, and the PEM of the CA.
ReadAgain = Callable[[], Awaitable[tuple[ApiClient, str]]]


class Transport:
    """The client library's part, with our limits.

    Credentials that have ended (401) are read again, as those of exec plugins and of files that
    somebody renews are.
    """

    def __init__(self, client: ApiClient, read_again: ReadAgain) -> None:
        self._read_again, self._former = read_again, list[ApiClient]()
        self._reading, self._read_at = asyncio.Lock(), -math.inf
        self.client = _prepared(client)

    async def close(self) -> None:
        """Close all connections."""
        for client in (*self._former, self.client):
            await client.close()

    async def send(
        self,
        method: str,
        path: str,
        patience: aiohttp.ClientTimeout,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        *,
        renews: bool = True,
    ) -> aiohttp.ClientResponse:
        """Make a request and return the answer before its body is read.

        `renews` is for what the API server itself answers: a kubelet that refuses says nothing
        about our credentials.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there is none.
        """
        headers = dict(HEADERS)
        if body is not None:
            headers["Content-Type"] = content_type
        client = self.client
        answer = await _send(client, (method, path), headers, body, patience)
        if renews and answer.status == UNAUTHORIZED and await self._renew(client):
            answer.close()
            answer = await _send(self.client, (method, path), headers, body, patience)
        return answer

    async def _renew(self, refused: ApiClient) -> bool:
        """Return whether there are other credentials than the refused ones, by now."""
        async with self._reading:
            if self.client is not refused:
                return True  # another request was refused before
            now = asyncio.get_running_loop().time()
            if now - self._read_at < READ_PAUSE_S:
                return False
            self._read_at = now
            try:
                client, _ = await self._read_again()
            except ValueError:
                return False  # what the API server says is told
            if client.configuration.host != refused.configuration.host:
                await client.close()
                return False  # somebody has chosen another cluster meanwhile
            # Watches still use the last one; they don't last until the next one is the last.
            self._former.append(self.client)
            self.client = _prepared(client)
            if len(self._former) > 1:
                await self._former.pop(0).close()
            return True


async def _send(
    client: ApiClient,
    what: tuple[str, str],
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    patience: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    parameters: Any = await client.param_serialize(
        *what, header_params=dict(headers), body=body, auth_settings=["BearerToken"]
    )
    method, url, given, content, _ = parameters
    all_headers: Any = CIMultiDict(given)
    for name, value in getattr(client.configuration, "impersonation", ()):
        all_headers.add(name, value)
    limit: Any = patience
    answer = await client.call_api(method, url, all_headers, content, None, limit)
    response: aiohttp.ClientResponse = answer.response
    return response


def _prepared(client: ApiClient) -> ApiClient:
    client.configuration.trace_configs = [_no_redirects()]
    return client


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
