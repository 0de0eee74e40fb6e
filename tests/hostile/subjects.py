"""A node that wants to be known as another one, or as more than a node."""

from tests.hostile.vector import (
    CLIENT_USAGES,
    NODES,
    OWN_NAMES,
    THIEF_OF_CERTIFICATE,
    Vector,
    client,
    client_vector,
    dns,
    ip,
    serving,
    subject,
)
from tests.request_bytes import (
    CN,
    PRINTABLE,
    UTF8,
    O,
    attribute,
    der,
    extension_request,
    request,
    sans,
    sequence,
    subject_of,
)

OU, COUNTRY, SERIAL = "2.5.4.11", "2.5.4.6", "2.5.4.5"
ITS_USER, OTHERS_USER = "system:node:node-1", "system:node:node-2"
ONE_OF_EACH = "not one common name and one organization"
NOT_ENCODED_SO = "not encoded in the canonical way"
RESTRICTED = "can only create"  # NodeRestriction: a node asks for itself only


def named(*attributes: bytes) -> bytes:
    """A serving request of node-1's own names with a subject of its own."""
    return request(extension_request(sans(*OWN_NAMES)), subject=subject_of(*attributes))


def cn(value: str | bytes, tag: int = PRINTABLE) -> bytes:
    return attribute(CN, value, tag)


def o(value: str | bytes, tag: int = PRINTABLE) -> bytes:
    return attribute(O, value, tag)


# The subject -> the request, why not, and what the API server says if it does not take it.
ASKED: dict[str, tuple[bytes, str, str]] = {
    "another node's common name": (named(o(NODES), cn(OTHERS_USER)), "its common name", RESTRICTED),
    "a bare common name": (named(o(NODES), cn("node-1")), "its common name", RESTRICTED),
    "two common names, its own last": (
        named(o(NODES), cn(OTHERS_USER), cn(ITS_USER)), ONE_OF_EACH, "",
    ),
    "two common names, its own first": (
        named(o(NODES), cn(ITS_USER), cn(OTHERS_USER)), ONE_OF_EACH, RESTRICTED,
    ),
    "its own common name twice": (named(o(NODES), cn(ITS_USER), cn(ITS_USER)), ONE_OF_EACH, ""),
    "no common name": (named(o(NODES)), ONE_OF_EACH, RESTRICTED),
    "no organization": (named(cn(ITS_USER)), ONE_OF_EACH, ""),
    "no subject": (named(), ONE_OF_EACH, RESTRICTED),
    "the masters' organization": (named(o("system:masters"), cn(ITS_USER)), "its organization", ""),
    "the masters' organization beside its own": (
        named(o(NODES), o("system:masters"), cn(ITS_USER)), ONE_OF_EACH, "",
    ),
    "an organization in capitals": (named(o("System:Nodes"), cn(ITS_USER)), "its organization", ""),
    "a unit": (named(o(NODES), attribute(OU, "x"), cn(ITS_USER)), ONE_OF_EACH, ""),
    "a country": (
        named(attribute(COUNTRY, "DE", PRINTABLE), o(NODES), cn(ITS_USER)), ONE_OF_EACH, "",
    ),
    "a serial number": (
        named(o(NODES), cn(ITS_USER), attribute(SERIAL, "1", PRINTABLE)), ONE_OF_EACH, "",
    ),
    "all in one entry": (
        request(
            extension_request(sans(*OWN_NAMES)),
            subject=sequence(der(0x31, o(NODES), cn(ITS_USER))),
        ),
        ONE_OF_EACH, "",
    ),
    "strings of two kinds": (named(o(NODES, UTF8), cn(ITS_USER)), NOT_ENCODED_SO, ""),
    "strings of telegraphy": (named(o(NODES, 0x14), cn(ITS_USER, 0x14)), NOT_ENCODED_SO, ""),
    "strings of sixteen bits": (
        named(o(NODES.encode("utf-16-be"), 0x1E), cn(ITS_USER.encode("utf-16-be"), 0x1E)),
        NOT_ENCODED_SO, "",
    ),
    "a common name that goes on behind a null byte": (
        named(o(NODES, UTF8), cn(f"{ITS_USER}\0.example.org", UTF8)),
        "other characters", RESTRICTED,
    ),
    "a common name with a trailing dot": (
        named(o(NODES), cn(f"{ITS_USER}.")), "its common name", RESTRICTED,
    ),
    "a common name in capitals": (
        named(o(NODES), cn("system:node:NODE-1")), "its common name", RESTRICTED,
    ),
}  # fmt: skip

SUBJECTS = (
    *(
        Vector(title=title, pem=pem, reason=reason, unstored=unstored)
        for title, (pem, reason, unstored) in ASKED.items()
    ),
    client_vector("a joining node's name", client("node-2"), "its common name is"),
    client_vector("a joined node's name", client("node-1"), "its common name is"),
    client_vector("a name that nobody has", client("node-9"), "its common name is"),
    client_vector("the control plane's name", client("cp-1"), "its common name is"),
    client_vector("a name that its own begins", client("node-30"), "its common name is"),
    client_vector("its own name in capitals", client("NODE-3"), "its common name is"),
    client_vector(
        "two common names, its own first",
        request(subject=subject_of(o(NODES), cn("system:node:node-3"), cn("system:node:node-2"))),
        ONE_OF_EACH,
    ),
    client_vector(
        "the masters' organization",
        request(subject=subject_of(o("system:masters"), cn("system:node:node-3"))),
        "its organization is",
    ),
    client_vector(
        "the masters' organization beside its own",
        request(subject=subject_of(o(NODES), o("system:masters"), cn("system:node:node-3"))),
        ONE_OF_EACH,
    ),
    client_vector(
        "no organization", request(subject=subject_of(cn("system:node:node-3"))), ONE_OF_EACH
    ),
    client_vector(
        "an administrator's name",
        request(subject=subject_of(o("system:masters"), cn("kubernetes-admin"))),
        "its common name is",
    ),
    client_vector(
        "its own name and a DNS name",
        serving(dns("node-3"), name="node-3"),
        "it asks for names or addresses",
    ),
    client_vector(
        "its own name and an address",
        serving(ip("10.98.0.13"), name="node-3"),
        "it asks for names or addresses",
    ),
    client_vector(
        "its own name, and to be a server as well",
        client("node-3"),
        "its usages are",
        usages=(*CLIENT_USAGES, "server auth"),
    ),
    client_vector(
        "its own name without a signature's use",
        client("node-3"),
        "its usages are",
        usages=("client auth",),
    ),
    client_vector(
        "a joined node's certificate, by another's",
        client("node-2"),
        "holds no token",
        by=THIEF_OF_CERTIFICATE,
        unstored=RESTRICTED,
    ),
    client_vector(
        "a client certificate with a server's use, by a joined node",
        request(extension_request(sans(*OWN_NAMES)), subject=subject("node-1")),
        "holds no token",
        by=THIEF_OF_CERTIFICATE,
        usages=("digital signature", "server auth"),
    ),
)
