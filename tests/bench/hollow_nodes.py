"""Kubelets without machines: real requests, Node objects and TLS servers, in one process.

Each does what a kubelet does until it has joined: asks with the token for its client certificate,
makes its Node with it, asks as the node for its serving certificate, and answers with that on
port 10250 of an address of its own. Prints one JSON document: when each request was made and seen
approved, in seconds.
"""

import asyncio
import base64
import ipaddress
import json
import ssl
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from admission.api_server.api import CSRS, NODES
from admission.rules import CLIENT_SIGNER, SERVING_SIGNER
from admission.serving_certificate import KUBELET_PORT


@dataclass
class Request:
    """A request for a certificate, from its making to its end."""

    name: str
    made: float
    approved: float = 0.0
    issued: asyncio.Future[bytes] = field(default_factory=asyncio.Future)


class Cluster:
    """The API server, as those who hold its token or a certificate see it."""

    def __init__(self, server: str, ca: str, token: str) -> None:
        self.server, self._ca = server, ca
        self._token = {"Authorization": f"Bearer {token}"}
        self.requests: dict[str, Request] = {}

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca)

    def as_holder(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.trust(), limit=32)
        return aiohttp.ClientSession(self.server, connector=connector, headers=self._token)

    def as_node(self, pair: Path) -> aiohttp.ClientSession:
        context = self.trust()
        context.load_cert_chain(pair)
        return aiohttp.ClientSession(
            self.server, connector=aiohttp.TCPConnector(ssl=context, limit=1)
        )

    async def watch(self, session: aiohttp.ClientSession) -> None:
        """See each request approved and issued, for ever."""
        path = f"{CSRS}?watch=1"
        timeout = aiohttp.ClientTimeout(total=None)
        async with session.get(path, timeout=timeout) as answer:
            answer.raise_for_status()
            while line := await answer.content.readline():
                item = json.loads(line)["object"]
                request = self.requests.get(item["metadata"]["name"])
                if request is not None:
                    self._see(request, item.get("status") or {})

    def _see(self, request: Request, status: dict[str, Any]) -> None:
        if status.get("conditions") and not request.approved:
            request.approved = time.monotonic()
        if status.get("certificate") and not request.issued.done():
            request.issued.set_result(base64.b64decode(status["certificate"]))

    async def ask(
        self, session: aiohttp.ClientSession, name: str, signer: str, pem: bytes
    ) -> bytes:
        """Make a request, and return the certificate once it is issued."""
        usage = "server auth" if signer == SERVING_SIGNER else "client auth"
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "signerName": signer,
                "usages": ["digital signature", usage],
                "request": base64.b64encode(pem).decode(),
            },
        }
        self.requests[name] = Request(name, time.monotonic())
        await call(session, "POST", CSRS, body)
        return await self.requests[name].issued


async def call(
    session: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any]
) -> None:
    merge = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    async with session.request(method, path, json=body, headers=merge) as answer:
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")


class HollowNode:
    """One kubelet without a machine."""

    def __init__(self, cluster: Cluster, name: str, address: str, directory: Path) -> None:
        self._cluster, self._name, self._address = cluster, name, address
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._client_pem = self._pem()
        self._serving_pem = self._pem(x509.DNSName(name), x509.IPAddress(ip(address)))

    def _pem(self, *names: x509.GeneralName) -> bytes:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{self._name}"),
            ]
        )
        builder = x509.CertificateSigningRequestBuilder(subject)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _pair(self, kind: str, certificate: bytes) -> Path:
        """Write a certificate and its key into one private file."""
        path = self._directory / f"{self._name}-{kind}.pem"
        path.touch(mode=0o600)
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(key + certificate)
        return path

    async def join(self, holder: aiohttp.ClientSession) -> asyncio.Server:
        """Do all that a kubelet does, and return its server."""
        name, cluster = self._name, self._cluster
        certificate = await cluster.ask(holder, f"client-{name}", CLIENT_SIGNER, self._client_pem)
        async with cluster.as_node(self._pair("client", certificate)) as session:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            await call(session, "POST", NODES, node)
            asked = cluster.ask(session, f"serving-{name}", SERVING_SIGNER, self._serving_pem)
            _, certificate = await asyncio.gather(
                call(session, "PATCH", f"{NODES}/{name}/status", {"status": self._status()}),
                asked,
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pair("serving", certificate))
        return await asyncio.start_server(answer_ok, self._address, KUBELET_PORT, ssl=context)

    def _status(self) -> dict[str, Any]:
        return {
            "addresses": [{"type": "InternalIP", "address": self._address}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "Hollow", "message": ""}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": {"kubeletVersion": "v1.37.2", "machineID": self._name},
        }


def ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address)


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection as a healthy kubelet does."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Take orders from the first line of stdin, start on the second, end with stdin."""
    orders = json.loads(sys.stdin.readline())
    cluster = Cluster(orders["server"], orders["ca"], orders["token"])
    with tempfile.TemporaryDirectory() as directory:
        nodes = [
            HollowNode(cluster, name, address, Path(directory))
            for name, address in orders["nodes"].items()
        ]
        async with cluster.as_holder() as holder:
            watch = asyncio.create_task(cluster.watch(holder))
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            began = time.monotonic()
            joining = asyncio.gather(*(node.join(holder) for node in nodes))
            done, _ = await asyncio.wait({joining, watch}, return_when="FIRST_COMPLETED")
            for ended in done:
                ended.result()
            told = {"seconds": time.monotonic() - began}
            for kind in ("client", "serving"):
                waits = [
                    request.approved - request.made
                    for name, request in cluster.requests.items()
                    if name.startswith(kind)
                ]
                told |= {f"{kind} median": statistics.median(waits), f"{kind} most": max(waits)}
            print(json.dumps(told), flush=True)
            await asyncio.to_thread(sys.stdin.read)
            watch.cancel()


if __name__ == "__main__":
    asyncio.run(main())
