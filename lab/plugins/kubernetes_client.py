"""Requests to the API server: JSON over kept connections, and watches.

The standard library starts in 40 ms, the official Python client in 250 ms; every `pulumi up`
would pay for that. What is needed of a client is small: seven verbs and the words of Go's errors.
"""

import contextlib
import http.client
import json
import os
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from lab.plugins.kubernetes_errors import UnreachableError, refusal, unreachable
from lab.plugins.kubernetes_kubeconfig import Cluster, KubeconfigError
from lab.plugins.kubernetes_values import Object

DIAL_TIMEOUT_S = 30
_RETRIES = 10
_CLOSED = (
    http.client.RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
_USER_AGENT = "pulumi-kubernetes/lab"

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class Client:
    """One API server and one identity. Any number of threads may use it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        address = urlsplit(cluster.server)
        self._host = address.hostname or ""
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._prefix = address.path
        self._tls = _tls(cluster) if address.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Object:
        """Make one request and return the answer's JSON.

        Raises:
            UnreachableError: there was no answer.
            StatusError: the answer was a refusal.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = self._headers() | ({"Content-Type": content_type} if content else {})
        request = _Request(method, self._target(path, query), content, headers)
        for _ in range(_RETRIES):
            status, text, pause = self._exchange(request)
            if pause is None:
                break
            # A server that starts or has too much to do asks for patience.
            time.sleep(pause)
        parsed: Any = None
        with contextlib.suppress(ValueError):
            parsed = json.loads(text)
        if status >= 400 or not isinstance(parsed, dict):
            raise refusal(status, parsed, path.rpartition("/")[2])
        return parsed

    def watch(self, path: str, query: Mapping[str, str], stream: "Stream") -> Iterator[Object]:
        """Yield the events of one watch until the server ends it or `stream` is closed.

        Raises:
            UnreachableError: there was no answer.
            StatusError: the answer was a refusal.
        """
        target = self._target(path, {**query, "watch": "1"})
        connection = self._connect()
        if not stream.attach(connection):
            return
        try:
            connection.request("GET", target, headers=self._headers())
            answer = connection.getresponse()
            if answer.status >= 400:
                raise refusal(answer.status, json.loads(answer.read() or b"null"), path)
            # Between two events may lie any time.
            if connection.sock:
                connection.sock.settimeout(None)
            for line in answer:
                yield json.loads(line)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not stream.closed:
                raise self._unreachable(error, "get", target) from None
        finally:
            connection.close()

    def _exchange(self, request: "_Request") -> tuple[int, bytes, float | None]:
        """Return an answer's status and text, and when to ask again, if the server says so."""
        connection, kept = self._connection()
        try:
            try:
                connection.request(*request)
                answer = connection.getresponse()
            except _CLOSED:
                if not kept:
                    raise
                # The server had closed the kept connection before it read anything from it.
                connection.close()
                connection.request(*request)
                answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error, request.method, request.target) from None
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        later = answer.headers.get("Retry-After", "")
        asked = later.isdigit() and (answer.status == 429 or answer.status >= 500)
        return answer.status, text, float(later) if asked else None

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._connect(), False

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=DIAL_TIMEOUT_S)
        return _Https(self._host, self._port, self._tls, self._cluster.server_name)

    def _target(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self._prefix}{path}" + (f"?{urlencode(query)}" if query else "")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": JSON, "User-Agent": _USER_AGENT}
        if self._cluster.token:
            headers["Authorization"] = f"Bearer {self._cluster.token()}"
        elif self._cluster.basic:
            headers["Authorization"] = f"Basic {self._cluster.basic}"
        return headers

    def _unreachable(self, error: Exception, method: str, target: str) -> UnreachableError:
        server = self._cluster.server.removesuffix(self._prefix)
        return unreachable(error, method, f"{server}{target}", f"{self._host}:{self._port}")


class _Request(NamedTuple):
    method: str
    target: str
    content: bytes | None
    headers: Mapping[str, str]


class Stream:
    """A handle by which another thread ends watches."""

    def __init__(self) -> None:
        self.closed = False
        self._connections: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def attach(self, connection: http.client.HTTPConnection) -> bool:
        """Have the connection ended with this stream; tell whether it still is open."""
        with self._lock:
            self._connections.append(connection)
            return not self.closed

    def close(self) -> None:
        """End every watch."""
        with self._lock:
            self.closed = True
            for connection in self._connections:
                if connection.sock:
                    # Wakes the thread that reads from it; closing alone would not.
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(2)


class _Https(http.client.HTTPSConnection):
    """HTTPS to a server whose certificate may carry another name than its address."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, server_name: str) -> None:
        super().__init__(host, port, timeout=DIAL_TIMEOUT_S, context=tls)
        self._tls = tls
        self._server_name = server_name or host

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def _tls(cluster: Cluster) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=cluster.certificate_authority or None)
    except ssl.SSLError:
        raise KubeconfigError(
            "unable to load root certificates: unable to parse bytes as PEM block"
        ) from None
    if not cluster.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cluster.client_certificate:
        _load_identity(context, cluster.client_certificate, cluster.client_key)
    return context


def _load_identity(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # The ssl module reads files only. These live in memory and never touch a disk.
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate}\n{key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError:
        raise KubeconfigError(
            "tls: failed to find any PEM data in the client's certificate or key, "
            "or they do not belong together"
        ) from None
    finally:
        os.close(descriptor)
