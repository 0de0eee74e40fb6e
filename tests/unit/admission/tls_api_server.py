"""An API server with TLS and fixed answers, and a kubeconfig for it."""

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.unit.certificates import server

CERTIFICATE, KEY = server("127.0.0.1")


class ApiServer(ThreadingHTTPServer):
    """Answers each request as a test has put up, or with status 200 and an object."""

    daemon_threads = True

    def __init__(self, directory: Path, certificate_and_key: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[Any, ...]] = []
        self.clients: list[str] = []
        self.statuses: list[int] = []
        self.answers: dict[str, Any] = {}  # by method and path
        self.pause_s = 0.0
        pem = directory / "server.pem"
        pem.write_bytes(certificate_and_key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=CERTIFICATE.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(pem)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: some tests close connections."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = json.loads(self.rfile.read(length)) if length else None
        kind, token = self.headers["Content-Type"], self.headers["Authorization"]
        self.server.asked.append((self.command, self.path, content, kind, token))
        certificate = self.connection.getpeercert()  # type: ignore[attr-defined]
        self.server.clients.append("certificate" if certificate else "")
        time.sleep(self.server.pause_s)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        default = {"message": "no such node", "status": status}
        found = self.server.answers.get(f"{self.command} {self.path}", default)
        data = json.dumps(found, separators=(",", ":")).encode()  # as Kubernetes writes it
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(directory: Path, certificate_and_key: bytes = CERTIFICATE + KEY) -> Iterator[ApiServer]:
    """An API server for a while; its certificate is kept in the directory."""
    with ApiServer(directory, certificate_and_key) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


CERTIFICATES = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}


def kubeconfig(
    directory: Path,
    server_url: str,
    user: Mapping[str, Any] = CERTIFICATES,
    *,
    ca: bytes = CERTIFICATE,
    **more: Any,
) -> str:
    cluster = {"server": server_url, "certificate-authority-data": encoded(ca), **more}
    document = {
        "current-context": "one",
        "contexts": [
            {"name": "other", "context": {"cluster": "no", "user": "no"}},
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "default"}},
        ],
        "clusters": [{"name": "c", "cluster": {k: v for k, v in cluster.items() if v}}],
        "users": [{"name": "u", "user": dict(user)}],
    }
    path = directory / "config"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def url(api_server: ApiServer) -> str:
    return f"https://127.0.0.1:{api_server.server_address[1]}"
