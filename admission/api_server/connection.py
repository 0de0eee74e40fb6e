"""A connection to the Kubernetes API: a handful of requests, objects as plain JSON.

The client library reads the kubeconfig (certificates, tokens, exec plugins) and makes the
connections; its generated models are not used, so that a run starts fast.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from aiohttp.http_exceptions import LineTooLong
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config.kube_config import KubeConfigLoader

from admission.api_server.api import RIGHTS_LIMIT_S, UNREACHABLE, UNTRUSTED, ApiError, Say, See

SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
REQUEST_TIMEOUT_S = 15
# Short, so that a connection whose other end is gone is not waited on for long.
WATCH_TIMEOUT_S = 30
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
INSIST_LIMIT_S = 30
BUSY = (429, 500, 502, 503, 504)


class Cluster:
    """A connection to an API server with the rights of a kubeconfig's current context."""

    def __init__(self, client: ApiClient, ca: str) -> None:
        client.configuration.trace_configs = [_no_redirects()]
        self._client = client
        self._ca = ca  # PEM of the CA that the kubeconfig trusts
        self.server = str(client.configuration.host)
        self.outage = ""  # how the API server fails now, if so
        self.ahead = timedelta()  # by how much its clock was ahead of ours in its last answer

    @classmethod
    async def connect(cls, path: str | None, content: str | None) -> "Cluster":
        """Read the kubeconfig; no request is made yet.

        Raises:
            ValueError: the kubeconfig can't be read or is none; the message holds no content.
        """
        configuration = Configuration()
        try:
            document, base = await asyncio.to_thread(_load, path, content)
            loader = KubeConfigLoader(config_dict=document, config_base_path=base)
            await loader.load_and_set(configuration)
            configuration.retries = None
            ca = ""
            if configuration.ssl_ca_cert:
                ca = await asyncio.to_thread(Path(configuration.ssl_ca_cert).read_text)
            return cls(ApiClient(configuration=configuration), ca)
        except FileNotFoundError as error:
            name = error.filename or path or "a file that the kubeconfig names"
            raise ValueError(f"{name} can't be read: {error.strerror}") from None
        except Exception as error:  # noqa: BLE001 - the library's errors may quote the content
            name, kind = path or "the secret key kubeconfig", type(error).__name__
            raise ValueError(f"{name} is no usable kubeconfig ({kind})") from None

    @classmethod
    async def in_cluster(cls) -> "Cluster":
        """Connect as the ServiceAccount of the pod that this runs in; no request is made yet.

        The library reads the token's file again every minute: the kubelet renews it.

        Raises:
            ValueError: this is no pod with a ServiceAccount's token.
        """
        configuration = Configuration()
        try:
            await asyncio.to_thread(load_incluster_config, configuration)
            ca = await asyncio.to_thread(Path(configuration.ssl_ca_cert or "").read_text)
        except (ConfigException, OSError) as error:
            raise ValueError(
                f"this is no pod with a ServiceAccount ({error}); elsewhere, give --kubeconfig"
            ) from None
        configuration.retries = None
        return cls(ApiClient(configuration=configuration), ca)

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
        """Make one request and return the JSON of the answer, or its text where it is none.

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
    ) -> Any:
        """Make a request that may be made twice, patient with an API server that restarts."""
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        limit = loop.time() + limit_s
        while True:
            try:
                return await self.request(method, path, body, content_type=content_type)
            except UNTRUSTED:
                raise
            except UNREACHABLE:
                if loop.time() > limit:
                    raise
            except ApiError as error:
                if error.status not in BUSY or loop.time() > limit:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def watch(self, path: str, see: See, say: Say) -> None:
        """Call `see` with ADDED, MODIFIED or DELETED and the object, for ever.

        Begins with SYNC and the whole list, then every object of it. A lost connection or an
        expired version begins anew, after a pause that grows; `say` is told when the API server
        goes and when it is back.

        Raises:
            ApiError: the rights are missing (401, 403), and have been for some seconds.
            UNTRUSTED: the kubeconfig's CA did not sign the API server's certificate.
        """
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        answered = loop.time()
        while True:
            began = loop.time()
            try:
                listed = await self.request("GET", path)
                answered = loop.time()
                self._answers(say)
                see("SYNC", listed)
                for item in listed.get("items") or []:
                    see("ADDED", item)
                await self._follow(path, listed["metadata"]["resourceVersion"], see)
            except UNTRUSTED:
                raise
            except ApiError as error:
                if error.status in (401, 403) and loop.time() - answered > RIGHTS_LIMIT_S:
                    raise
                self._answers_not(f"answers {error}", say)
            except UNREACHABLE as error:
                self._answers_not(f"does not answer: {type(error).__name__} {error}", say)
            if loop.time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _answers_not(self, why: str, say: Say) -> None:
        if not self.outage:
            say(f"the API server {self.server} {why}; tried again")
        self.outage = why

    def _answers(self, say: Say) -> None:
        if self.outage:
            say(f"the API server {self.server} answers again")
        self.outage = ""

    async def _follow(self, path: str, version: str, see: See) -> None:
        """Tell of each change since a version, until the server ends it out of turn."""
        loop = asyncio.get_running_loop()
        path += "&" if "?" in path else "?"
        query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_TIMEOUT_S}"
        while True:
            began = loop.time()
            answer = await self._send(
                "GET", f"{path}{query}&resourceVersion={version}", None, "", WATCH_TIMEOUT_S + 10
            )
            try:
                if answer.status >= 400:
                    return
                async for line in answer.content:
                    try:
                        event = json.loads(line)
                    except ValueError:
                        return  # the connection was cut in the middle of a line
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        see(event["type"], event["object"])
            except LineTooLong:
                return  # somebody has written a huge object; the list has no such limit
            finally:
                answer.close()
            if loop.time() - began < 1:
                return  # it closed at once: ask again after a pause

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

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Ask whether a requester may get serving certificates: the right that our binding gives.

        Takes a request's spec, and asks as kube-controller-manager asks for its own kinds:
        pkg/controller/certificates/approver/sarapprove.go.
        """
        who = {key: requester.get(key) for key in ("uid", "groups", "extra")}
        review = await self.request(
            "POST",
            ACCESS_REVIEWS,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": requester["username"],
                    **{key: value for key, value in who.items() if value},
                    "resourceAttributes": {
                        "group": "certificates.k8s.io",
                        "version": "*",
                        "resource": "certificatesigningrequests",
                        "subresource": "selfnodeserver",
                        "verb": "create",
                    },
                },
            },
        )
        return review["status"].get("allowed") is True

    async def identity(self, token: str) -> dict[str, Any]:
        """Return whom the API server takes a token's holder for: username, groups.

        Raises:
            ApiError: it does not accept the token (401), or the holder may not ask.
            aiohttp.ClientError, OSError, TimeoutError: it did not answer.
            ValueError: the kubeconfig names no CA.
        """
        configuration = self._client.configuration
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        # A session of its own: ours shows our own certificate.
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
                "the kubeconfig's cluster has no certificate-authority; add it, the kubelets'"
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


def _load(path: str | None, content: str | None) -> tuple[Any, str | None]:
    """The kubeconfig's document, and the directory that its relative paths start from."""
    if path is None:
        return yaml.safe_load(content or ""), None
    file = Path(path).expanduser()
    return yaml.safe_load(file.read_text()), str(file.resolve().parent)


def _message(data: bytes) -> str:
    try:
        status = json.loads(data)
        return str(status.get("message") or status.get("reason") or "")[:300]
    except (ValueError, AttributeError):
        return data.decode(errors="replace")[:300]
