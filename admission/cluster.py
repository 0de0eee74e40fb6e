"""The Kubernetes API as the gate uses it: a handful of requests, objects as plain JSON.

The client library reads the kubeconfig (certificates, tokens, exec plugins) and makes the
connections; its generated models are not used, so that a run starts fast.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.kube_config import KubeConfigLoader

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NODES = "/api/v1/nodes"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MERGE_PATCH = "application/merge-patch+json"
REQUEST_TIMEOUT_S = 15
WATCH_TIMEOUT_S = 300
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

# What passes by itself: an API server that restarts, a connection that drops.
UNREACHABLE = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


class ApiError(Exception):
    """The API server said no; holds its status code and its reason, no content."""

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Cluster:
    """A connection to an API server with the rights of a kubeconfig's current context."""

    def __init__(self, client: ApiClient, ca: str) -> None:
        self._client = client
        self.ca = ca  # PEM of the CA that the kubeconfig trusts

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
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror}") from None
        except Exception as error:  # noqa: BLE001 - the library's errors may quote the content
            name, kind = path or "the secret key kubeconfig", type(error).__name__
            raise ValueError(f"{name} is no usable kubeconfig ({kind})") from None
        configuration.retries = None
        ca = ""
        if configuration.ssl_ca_cert:
            ca = await asyncio.to_thread(Path(configuration.ssl_ca_cert).read_text)
        return cls(ApiClient(configuration=configuration), ca)

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
        if answer.status >= 400:
            raise ApiError(answer.status, method, path.partition("?")[0], _message(data))
        try:
            return json.loads(data)
        except ValueError:
            return data.decode(errors="replace")

    async def watch(self, path: str, see: Callable[[str, dict[str, Any]], None]) -> None:
        """Call `see` with ADDED, MODIFIED or DELETED and the object, for ever.

        Begins with every object that is there. A lost connection or an expired version begins
        anew, after a pause that grows; `see` may be told of an object again.

        Raises:
            ApiError: the rights are missing (401, 403).
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                listed = await self.request("GET", path)
                see("SYNC", listed)
                for item in listed.get("items") or []:
                    see("ADDED", item)
                version = listed["metadata"]["resourceVersion"]
                async for kind, item in self._events(path, version):
                    pause_s = FIRST_PAUSE_S
                    see(kind, item)
            except ApiError as error:
                if error.status in (401, 403):
                    raise
            except UNREACHABLE:
                pass
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _events(self, path: str, version: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        while True:
            query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_TIMEOUT_S}"
            answer = await self._send(
                "GET", f"{path}?{query}&resourceVersion={version}", None, "", WATCH_TIMEOUT_S + 10
            )
            try:
                if answer.status >= 400:
                    return
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]
            finally:
                answer.close()

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

    async def may_serve_itself(self, user: str, groups: list[str]) -> bool:
        """Ask whether a node may get serving certificates: the right that our binding gives.

        As kube-controller-manager asks for its own kinds: pkg/controller/certificates/approver.
        """
        review = await self.request(
            "POST",
            ACCESS_REVIEWS,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": user,
                    "groups": groups,
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
        return bool(review["status"].get("allowed"))

    def trust(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the cluster's CA and no other."""
        return ssl.create_default_context(cadata=self.ca)


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


def decode(value: str) -> bytes:
    """Return what a field in base64 holds."""
    return base64.b64decode(value)
