"""An API server that notes who asks, and a proxy before it."""

import select
import socket
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.contract.kubeconfigs.parts import AUTHORITY, DNS, SERVER

Seen = tuple[Any, ...]


class ApiServer(ThreadingHTTPServer):
    """Notes who asks, and answers."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("", 0), Handler)  # at 127.0.0.2, too
        self.asked: dict[str, Seen] = {}
        self.asks = ""  # who does if the request does not say so
        (directory / "server.pem").write_bytes(server_certificate())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(directory / "server.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: some clients refuse the server."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def do_GET(self) -> None:
        who = [
            (name.lower(), value)
            for name, value in self.headers.items()
            if name.lower() == "authorization" or name.lower().startswith("impersonate-")
        ]
        presented = self.connection.getpeercert()  # type: ignore[attr-defined]
        name = presented and presented["subject"][0][0][1]
        asks = self.headers["Accept"]
        key = self.server.asks if asks == "application/json" else asks
        self.server.asked[key] = (self.path, tuple(sorted(who)), name)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


def server_certificate() -> bytes:
    """The API server's, with its key: for 127.0.0.1 and a name."""
    signed, signer = SERVER, AUTHORITY
    certificate = x509.load_pem_x509_certificate(signed.pem)
    address = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = x509.SubjectAlternativeName([*address, x509.DNSName(DNS)])
    pem = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(signed.key.public_key())
        .serial_number(7)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(names, critical=False)
        .sign(signer.key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    return pem + signed.with_key[len(signed.pem) :]


class Proxy(ThreadingHTTPServer):
    """Passes connections on."""

    daemon_threads = True
    asked: list[str]


class Passing(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.headers.get("Proxy-Authorization") or "")
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: other, other: self.connection}
            while True:
                for ready in select.select([*ends], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ends[ready].sendall(data)

    def log_message(self, *_: Any) -> None:
        pass
