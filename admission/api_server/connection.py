"""A connection to an API server: a few kinds of requests, objects as plain JSON.

The client library reads the kubeconfig (certificates, tokens, exec plugins) and makes the
connections; its generated models are not used, so that a run starts fast.
"""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio.client import ApiClient

from admission.api_server.access_reviews import may_approve, may_serve_itself
from admission.api_server.api import (
    ApiError,
    Keep,
    NewBound,
    Renew,
    Say,
    See,
    Unreadable,
    Watched,
    no_bound,
)
from admission.api_server.bodies import whole
from admission.api_server.credentials import verifying_as_go
from admission.api_server.insisting import insist
from admission.api_server.kubeconfig import client_of_kubeconfig, client_of_pod
from admission.api_server.lists import Listed, read_list
from admission.api_server.named_files import certificates
from admission.api_server.reading import read_deep
from admission.api_server.transport import (
    KUBELET,
    REQUEST,
    WATCH,
    ReadAgain,
    Transport,
    require_success,
)
from admission.api_server.watch import Watcher

SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
INSIST_LIMIT_S = 30


class Connection:
    """A connection to an API server with the rights of a kubeconfig's current context."""

    def __init__(self, client: ApiClient, ca: str, read_again: ReadAgain) -> None:
        self._transport = Transport(client, read_again)
        self._ca = ca  # PEM of the CA that the kubeconfig trusts
        self.server = str(client.configuration.host)
        self._watcher = Watcher(self)
        self.ahead = timedelta()  # by how much its clock was ahead of ours in its last answer

    @classmethod
    async def open(
        cls, path: str | None, content: str | None, renew: Renew | None = None
    ) -> "Connection":
        """Connect with a kubeconfig, by its path or its content; no request is made yet.

        `renew` returns what it is by then, after a refusal; a file that is temporary has that then.

        Raises:
            ValueError: the kubeconfig can't be read or is invalid; the message quotes none of it.
        """

        async def read_again() -> tuple[ApiClient, str]:
            return await client_of_kubeconfig(path, await renew() if renew else content)

        return cls(*await client_of_kubeconfig(path, content), read_again)

    @classmethod
    async def in_cluster(cls) -> "Connection":
        """Connect as the ServiceAccount of the pod that this runs in; no request is made yet.

        Raises:
            ValueError: this is not a pod with a ServiceAccount's token.
        """
        return cls(*await client_of_pod(), client_of_pod)

    @property
    def outage(self) -> str:
        """How the API server fails the watches now; empty while it answers."""
        return self._watcher.outage

    @property
    def host(self) -> str:
        """The API server's name or address."""
        return urlsplit(self.server).hostname or ""

    async def close(self) -> None:
        await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Make one request and return the object that is the answer.

        Raises:
            ApiError: the API server refused.
            Unreadable: the answer is not an object, or is longer than an object can be.
            aiohttp.ClientError, OSError, TimeoutError: it did not answer.
        """
        data = await self.fetch(path, method, body, content_type)
        try:
            return await read_deep(data)
        except Unreadable as error:
            what = f"{method} {path.partition('?')[0]}"
            raise Unreadable(f"the answer to {what} can't be read: {error}") from None

    async def fetch(
        self,
        path: str,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Make one request and return the body of the answer.

        Raises:
            ApiError, Unreadable, aiohttp.ClientError, OSError, TimeoutError: as in `request`.
        """
        async with await self._transport.send(method, path, REQUEST, body, content_type) as answer:
            await require_success(answer, method, path)
            self._note_clock(answer.headers.get("Date", ""))
            return await whole(answer)

    async def reach(self, path: str) -> None:
        """Make a GET request that leads to a kubelet, and return if it succeeds.

        Raises:
            ApiError: the API server or the kubelet refused.
            aiohttp.ClientError, OSError, TimeoutError: one of them did not answer.
        """
        # Nothing that a kubelet answers is of use, its clock included.
        async with await self._transport.send("GET", path, KUBELET, renews=False) as answer:
            await require_success(answer, "GET", path)
            answer.close()

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
        ask = partial(self.request, method, path, body, content_type=content_type)
        return await insist(ask, limit_s, self._watcher, say)

    async def list(self, path: str, keep: Keep, bound: NewBound = no_bound) -> Listed:
        """Return what is kept of each object in a list, after its last page, as `insist` does."""
        ask = partial(read_list, self.fetch, path, keep, bound)
        return await insist(ask, INSIST_LIMIT_S, self._watcher, None)

    async def watch(self, watched: Watched, see: See, say: Say) -> None:
        """Pass on every object and each change, forever, as `Watcher.watch` does."""
        await self._watcher.watch(watched, see, say)

    async def stream(self, path: str) -> aiohttp.ClientResponse:
        """Make a GET request and return the answer before its body is read."""
        return await self._transport.send("GET", path, WATCH)

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Return whether the requester in a request's spec may get serving certificates."""
        return await may_serve_itself(self.request, requester)

    async def may_approve(self, signer: str) -> bool:
        """Return whether we may approve the requests of a signer."""
        return await may_approve(self.request, signer)

    def _note_clock(self, date: str) -> None:
        try:
            self.ahead = parsedate_to_datetime(date) - datetime.now(UTC)
        except (ValueError, TypeError, OverflowError):
            return  # it has none, or a proxy in between has written something else

    async def identity(self, token: str) -> dict[str, Any]:
        """Return the user that the API server authenticates a token's holder as: username, groups.

        Raises:
            ApiError: it does not accept the token (401), or the holder may not ask.
            Unreadable, aiohttp.ClientError, OSError, TimeoutError: it did not answer.
        """
        configuration = self._transport.client.configuration
        # A session of its own: ours presents our own client certificate.
        async with (
            aiohttp.ClientSession(timeout=REQUEST) as session,
            session.post(
                self.server + SELF_REVIEWS,
                json={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
                headers={"Authorization": f"Bearer {token}"},
                ssl=_trusting(self._ca),
                server_hostname=configuration.tls_server_name or None,
                proxy=configuration.proxy or None,
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status >= 300:
                await require_success(answer, "POST", SELF_REVIEWS)
                raise ApiError(answer.status, "POST", SELF_REVIEWS, "a redirect")
            review = await read_deep(await whole(answer))
            user: dict[str, Any] = review["status"]["userInfo"]
            return user

    def kubelets_trust(self, ca: str = "") -> ssl.SSLContext:
        """Return a TLS context for kubelets: it trusts the cluster's CA and no other.

        That is the kubeconfig's, and the one that the machines have if it is given (`ca`, PEM):
        API servers and kubelets may have certificates of different CAs.

        Raises:
            ValueError: there is neither.
        """
        if not self._ca + ca:
            raise ValueError(
                "the kubeconfig's cluster has no certificate-authority; add it: the kubelets'"
                " certificates are checked with it"
            )
        return _trusting(self._ca + "\n" + certificates(ca.encode()).decode())


def _trusting(ca: str) -> ssl.SSLContext:
    """Return a TLS context that trusts this CA (PEM) alone; without one, whom the system trusts."""
    if not ca:
        return verifying_as_go(ssl.create_default_context())
    context = verifying_as_go(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.load_verify_locations(cadata=ca)
    return context
