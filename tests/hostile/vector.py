"""What a hostile request is, and the world in which one is made.

Three nodes, with the names and addresses that they have in the lab: node-1 has joined, and its
certificate is stolen; node-2 is honest and joins just now; node-3 has not joined, and its token is
stolen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from admission.rules import CLIENT_SIGNER, SERVING_SIGNER
from tests.request_bytes import (
    CN,
    PRINTABLE,
    O,
    attribute,
    der,
    extension_request,
    request,
    sans,
    subject_of,
)

ADDRESSES = {"node-1": "10.98.0.11", "node-2": "10.98.0.12", "node-3": "10.98.0.13"}
API_SERVER = "10.98.0.10"
API_SERVER_NAME = "api.example.org"
SERVICES = "10.97.0.0/16"
NODES = "system:nodes"
AUTHENTICATED = "system:authenticated"
SERVING_USAGES = ("digital signature", "server auth")
CLIENT_USAGES = ("digital signature", "client auth")


@dataclass(frozen=True)
class Requester:
    """Who asks. `{id-of-NODE}` and `{group-of-NODE}` stand for what the node's token has."""

    user: str
    groups: tuple[str, ...]

    def known(self, world: Mapping[str, str]) -> "Requester":
        """Return the requester with the ids and groups of real tokens."""
        return Requester(
            self.user.format_map(world), tuple(group.format_map(world) for group in self.groups)
        )


def node(name: str) -> Requester:
    return Requester(f"system:node:{name}", (NODES, AUTHENTICATED))


def holder_of(name: str) -> Requester:
    """Whoever holds the node's token."""
    groups = ("system:bootstrappers", f"{{group-of-{name}}}", AUTHENTICATED)
    return Requester(f"system:bootstrap:{{id-of-{name}}}", groups)


# Their credentials are real ones; whoever else asks is impersonated.
THIEF_OF_CERTIFICATE = node("node-1")
THIEF_OF_TOKEN = holder_of("node-3")


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One hostile request.

    Attributes:
        reason: a part of what the rules say.
        unstored: a part of what the API server says, where it does not even take the request.
    """

    title: str
    pem: bytes
    reason: str
    by: Requester = THIEF_OF_CERTIFICATE
    signer: str = SERVING_SIGNER
    usages: tuple[str, ...] = SERVING_USAGES
    expiration_s: int | None = None
    unstored: str = ""


def dns(name: str | bytes) -> bytes:
    return der(0x82, name if isinstance(name, bytes) else name.encode())


def ip(address: str | bytes) -> bytes:
    return der(0x87, address if isinstance(address, bytes) else ip_address(address).packed)


def subject(name: str) -> bytes:
    """A node's subject, as a kubelet writes it."""
    return subject_of(
        attribute(O, NODES, PRINTABLE), attribute(CN, f"system:node:{name}", PRINTABLE)
    )


def serving(*names: bytes, name: str = "node-1") -> bytes:
    """A request for a serving certificate, right but for its names."""
    return request(extension_request(sans(*names)), subject=subject(name))


OWN_NAMES = (dns("node-1"), ip(ADDRESSES["node-1"]))
HONEST_LOOKING = serving(*OWN_NAMES)


def client(name: str) -> bytes:
    """A request for a client certificate as a kubelet makes it."""
    return request(subject=subject(name))


def client_vector(
    title: str,
    pem: bytes,
    reason: str,
    *,
    by: Requester = THIEF_OF_TOKEN,
    usages: tuple[str, ...] = CLIENT_USAGES,
    unstored: str = "",
) -> Vector:
    """A request for a client certificate."""
    return Vector(
        title=title,
        pem=pem,
        reason=reason,
        by=by,
        signer=CLIENT_SIGNER,
        usages=usages,
        unstored=unstored,
    )
