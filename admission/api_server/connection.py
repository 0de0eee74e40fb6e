"""A connection to an API server: a few kinds of requests, objects as plain JSON.

The client library reads the kubeconfig (certificates, tokens, exec plugins) and makes the
connections; its generated models are not used, so that a run starts fast.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio.client import ApiClient

from admission.api_server.access_reviews import may_serve_itself
from admission.api_server.api import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    REQUEST_TIMEOUT_S,
    ApiError,
    Say,
    See,
)
from admission.api_server.kubeconfig import client_of_kubeconfig, client_of_pod
from admission.api_server.outages import UNREACHABLE, UNTRUSTED
from admission.api_server.watch import Watcher

SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
INSIST_LIMIT_S = 30
BUSY = (429, 500, 502, 503, 504)


class Connection:
    """A connection to an API server with the rights of a kubeconfig's current context."""

    def __init__(self, client: ApiClient, ca: str) -> None:
        client.configuration.trace_configs = [_no_redirects()]
        self._client = client
        self._ca = ca  # PEM of the CA that the kubeconfig trusts
        self.server = str(client.configuration.host)
        self._watcher = Watcher(self)
        self.ahead = timedelta()  # by how much its clock was ahead of ours in its last answer

    @classmethod
    async def open(cls, path: str | None, content: str | None) -> "Connection":
        """Connect with a kubeconfig, by its path or its content; no request is made yet.

        Raises:
            ValueError: the kubeconfig can't be read or is invalid; the message quotes none of it.
        """
        return cls(*await client_of_kubeconfig(path, content))

    @classmethod
    async def in_cluster(cls) -> "Connection":
        """Connect as the ServiceAccount of the pod that this runs in; no request is made yet.

        Raises:
            ValueError: this is not a pod with a ServiceAccount's token.
        """
        return cls(*await client_of_pod())

    @property
    def outage(self) -> str:
        """How the API server fails the watches now; empty while it answers."""
        return self._watcher.outage

    @property
    def host(self) -> str:
        """The API server's name or address."""
        return urlsplit(self.server).hostname or ""

    async def close(self) -> None:
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Make one request and return the JSON of the answer, or its text if it is not JSON.

        Raises:
            ApiError: the API server refused.
            aiohttp.ClientError, OSError, TimeoutError: it did not answer.
        """
        answer = await self._send(method, path, body, content_type, REQUEST_TIMEOUT_S)
        data = await answer.read()
        if date := answer.headers.get("Date"):
            self.ahead = parsedate_to_datetime(date) - datetime.now(UTC)
        if answer.status >= 400:
            raise ApiError(answer.status, method, path.partition("?")[0], _message(data))
        try:
            return json.loads(data)
        except ValueError:
            return data.decode(errors="replace")

    async def insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
        limit_s: float = INSIST_LIMIT_S,
        say: Say | None = None,
    ) -> Any:
        """Make a request that may safely be repeated, again while an API server restarts.

        `say` gets a line when the API server does not answer, as in `watch`.
        """
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        limit = loop.time() + limit_s
        while True:
            try:
                answer = await self.request(method, path, body, content_type=content_type)
            except UNTRUSTED:
                raise
            except UNREACHABLE as error:
                if loop.time() > limit:
                    raise
                if say:
                    self._watcher.note_outage(error, say)
            except ApiError as error:
                if error.status not in BUSY or loop.time() > limit:
                    raise
            else:
                if say:
                    self._watcher.note_answer(say)
                return answer
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def watch(self, path: str, see: See, say: Say) -> None:
        """Pass on every object and each change, forever, as `Watcher.watch` does."""
        await self._watcher.watch(path, see, say)

    async def stream(self, path: str, timeout_s: float) -> aiohttp.ClientResponse:
        """Make a GET request and return the answer before its body is read."""
        return await self._send("GET", path, None, "", timeout_s)

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Return whether the requester in a request's spec may get serving certificates."""
        return await may_serve_itself(self.request, requester)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        content_type: str,
        timeout_s: float,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        parameters: Any = await self._client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        timeout: Any = aiohttp.ClientTimeout(total=timeout_s)
        method, url, headers, body, _ = parameters
        answer = await self._client.call_api(method, url, headers, body, None, timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def identity(self, token: str) -> dict[str, Any]:
        """Return the user that the API server authenticates a token's holder as: username, groups.

        Raises:
            ApiError: it does not accept the token (401), or the holder may not ask.
            aiohttp.ClientError, OSError, TimeoutError: it did not answer.
            ValueError: the kubeconfig names no CA.
        """
        configuration = self._client.configuration
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        # A session of its own, because ours presents our own client certificate.
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            ) as session,
            session.post(
                self.server + SELF_REVIEWS,
                json=review,
                headers={"Authorization": f"Bearer {token}"},
                ssl=self.trust(),
                server_hostname=configuration.tls_server_name or None,
                proxy=configuration.proxy or None,
                allow_redirects=False,
            ) as answer,
        ):
            data = await answer.read()
            if answer.status >= 300:
                raise ApiError(answer.status, "POST", SELF_REVIEWS, _message(data))
            user: dict[str, Any] = json.loads(data)["status"]["userInfo"]
            return user

    def trust(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the cluster's CA and no other.

        Raises:
            ValueError: the kubeconfig names no CA.
        """
        if not self._ca:
            raise ValueError(
                "the kubeconfig's cluster has no certificate-authority; add it: the kubelets'"
                " certificates are checked with it"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._ca)
        return context


def _no_redirects() -> aiohttp.TraceConfig:
    """Refuse each redirect: a kubelet behind the API server's proxy would send our rights along."""

    async def refuse(_: Any, __: Any, met: aiohttp.TraceRequestRedirectParams) -> None:
        status, path = met.response.status, met.url.path
        raise ApiError(status, met.method, path, "a redirect, which is not followed")

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(refuse)
    return config


def _message(data: bytes) -> str:
    try:
        status = json.loads(data)
        return str(status.get("message") or status.get("reason") or "")[:300]
    except (ValueError, AttributeError):
        return data.decode(errors="replace")[:300]
