"""A connection for a few requests, one after another: it starts in a fraction of the time.

What succeeds at once needs no more than the standard library. Everything else is handed over to
`connection`, with its library, its patience and its messages: a kubeconfig that is not plain, and a
request that fails, for whatever reason.
"""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

import yaml

from admission.api_server import credentials
from admission.api_server.api import (
    LARGEST_OBJECT_BYTES,
    REQUEST_TIMEOUT_S,
    Keep,
    Renew,
    Unreadable,
)
from admission.api_server.credentials import Credentials
from admission.api_server.lists import Listed, read_list
from admission.api_server.reading import BEGINNING_BYTES, read_deep

# An API server that is silent for longer is asked again, and waited for.
SILENCE_S = 5
# A connection that rests longer may be closed at the other end.
IDLE_S = 5
TOO_LONG = f"it has more than {LARGEST_OBJECT_BYTES // 1024**2} MiB"


class Requests(Protocol):
    """What `Connection` and this one have in common."""

    server: str

    async def insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Make a request that may safely be repeated, again while an API server restarts."""

    async def list(self, path: str, keep: Keep) -> Listed:
        """Return what is kept of each object in a list, as `insist` does."""

    async def close(self) -> None:
        """Close the connection."""


class BriefConnection:
    """A connection with the rights of a kubeconfig's current context."""

    def __init__(self, found: Credentials, succeed: Callable[[], Awaitable[Requests]]) -> None:
        self.server = found.server
        self._succeed = succeed
        self._token = found.token
        host = found.server.removeprefix("https://")
        self._http = http.client.HTTPSConnection(host, context=found.trust, timeout=SILENCE_S)
        self._used = time.monotonic()
        self._successor: Requests | None = None

    async def insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Make a request that may safely be repeated, as `Connection.insist` does."""
        if self._successor is None:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                return await read_deep(await self._request(method, path, body, content_type))
        successor = await self._succeeded()
        return await successor.insist(method, path, body, content_type=content_type)

    async def list(self, path: str, keep: Keep) -> Listed:
        """Return what is kept of each object in a list, as `Connection.list` does."""
        if self._successor is None:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                return await read_list(partial(self._request, "GET"), path, keep)
        return await (await self._succeeded()).list(path, keep)

    async def _succeeded(self) -> Requests:
        if self._successor is None:
            self._http.close()
            self._successor = await self._succeed()
        return self._successor

    async def close(self) -> None:
        """Close the connection."""
        self._http.close()
        if self._successor:
            await self._successor.close()

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        content = None
        if body is not None:
            headers["Content-Type"], content = content_type, json.dumps(body)
        if time.monotonic() - self._used > IDLE_S:
            self._http.close()  # the request opens it again
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await asyncio.to_thread(self._exchange, method, path, content, headers)
        except (asyncio.CancelledError, TimeoutError):
            self._cut()
            raise
        finally:
            self._used = time.monotonic()

    def _cut(self) -> None:
        """End what a thread still waits for: nothing else does, and the program would wait too."""
        if self._http.sock:
            with contextlib.suppress(OSError):
                self._http.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(
        self, method: str, path: str, content: str | None, headers: Mapping[str, str]
    ) -> bytes:
        self._http.request(method, path, content, headers)
        answer = self._http.getresponse()
        data = answer.read(LARGEST_OBJECT_BYTES + 1)
        if not 200 <= answer.status < 300:
            raise ValueError(answer.status)
        if len(data) > LARGEST_OBJECT_BYTES:
            self._http.close()
            raise Unreadable(TOO_LONG, data[:BEGINNING_BYTES])
        return data


async def open_briefly(kubeconfig: str, renew: Renew | None = None) -> Requests:
    """Connect with a kubeconfig, by its path; no request is made yet.

    `renew` writes it anew, after a refusal, if it is a temporary file.

    Raises:
        ValueError: the kubeconfig can't be read or is invalid; the message quotes none of it.
    """

    async def connect() -> Requests:
        from admission.api_server.connection import Connection  # noqa: PLC0415 - see above

        return await Connection.open(kubeconfig, None, renew)

    try:
        return BriefConnection(credentials.read(kubeconfig), connect)
    except (ValueError, OSError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return await connect()
