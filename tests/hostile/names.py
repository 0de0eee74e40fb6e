"""A node that asks for more names and addresses than it has."""

from tests.hostile.vector import (
    API_SERVER,
    API_SERVER_NAME,
    OWN_NAMES,
    SERVING_USAGES,
    Vector,
    dns,
    ip,
    serving,
    subject,
)
from tests.request_bytes import der, extension_request, oid, request, sans, sequence

NOT_ITS_OWN = "is not one of the node's in the inventory"
THE_CLUSTERS = "one of the cluster's own names"
NOBODYS = "is one that no node may have"
NO_DNS_NAME = "not a lower-case DNS name"
OTHER_KIND = "neither a DNS name nor an address"

# What it asks for -> the names, and why not.
ASKED: dict[str, tuple[tuple[bytes, ...], str]] = {
    "another node's name": ((dns("node-2"),), NOT_ITS_OWN),
    "another node's address": ((ip("10.98.0.12"),), NOT_ITS_OWN),
    "another node's name behind its own": ((*OWN_NAMES, dns("node-2")), NOT_ITS_OWN),
    "another node's address behind its own": ((*OWN_NAMES, ip("10.98.0.12")), NOT_ITS_OWN),
    "an address alone that nobody has": ((ip("10.98.0.99"),), NOT_ITS_OWN),
    "the API server's address": ((*OWN_NAMES, ip(API_SERVER)), NOBODYS),
    "the API server's public name": (
        (*OWN_NAMES, dns(API_SERVER_NAME)),
        "is the API server's name",
    ),
    "the first service's address": ((*OWN_NAMES, ip("10.97.0.1")), NOBODYS),
    "the cluster DNS service's address": ((*OWN_NAMES, ip("10.97.0.10")), NOBODYS),
    "the metadata service's address": ((*OWN_NAMES, ip("169.254.169.254")), NOBODYS),
    "a link-local IPv6 address": ((*OWN_NAMES, ip("fe80::1")), NOBODYS),
    "the broadcast address": ((*OWN_NAMES, ip("255.255.255.255")), NOBODYS),
    "loopback": ((*OWN_NAMES, ip("127.0.0.1")), NOBODYS),
    "another loopback": ((*OWN_NAMES, ip("127.98.0.11")), NOBODYS),
    "IPv6 loopback": ((*OWN_NAMES, ip("::1")), NOBODYS),
    "no particular address": ((*OWN_NAMES, ip("0.0.0.0")), NOBODYS),  # noqa: S104
    "no particular IPv6 address": ((*OWN_NAMES, ip("::")), NOBODYS),
    "a multicast address": ((*OWN_NAMES, ip("224.0.0.1")), NOBODYS),
    "its own address in IPv6's clothes": ((ip("::ffff:10.98.0.11"),), NOBODYS),
    "the API server's in IPv6's clothes": ((*OWN_NAMES, ip(f"::ffff:{API_SERVER}")), NOBODYS),
    "loopback in IPv6's clothes": ((*OWN_NAMES, ip("::ffff:127.0.0.1")), NOBODYS),
    "its own address in older clothes": ((ip("::10.98.0.11"),), NOT_ITS_OWN),
    "its own address as seen through 6to4": ((ip("2002:a62:b::"),), NOT_ITS_OWN),
    "the API server's name": ((*OWN_NAMES, dns("kubernetes")), THE_CLUSTERS),
    "the API server's name in a namespace": ((dns("kubernetes.default"),), THE_CLUSTERS),
    "the API server's name of a service": ((dns("kubernetes.default.svc"),), THE_CLUSTERS),
    "the API server's long name": ((dns("kubernetes.default.svc.cluster.local"),), THE_CLUSTERS),
    "the API server's name in capitals": ((dns("KUBERNETES.default.svc"),), NO_DNS_NAME),
    "a webhook's name": ((*OWN_NAMES, dns("webhook.kube-system.svc")), THE_CLUSTERS),
    "localhost": ((*OWN_NAMES, dns("localhost")), THE_CLUSTERS),
    "below localhost": ((*OWN_NAMES, dns("a.localhost")), THE_CLUSTERS),
    "everything": ((dns("*"),), NO_DNS_NAME),
    "everything below its own name": ((dns("*.node-1"),), NO_DNS_NAME),
    "its own name in capitals": ((dns("NODE-1"),), NO_DNS_NAME),
    "its own name with a trailing dot": ((dns("node-1."),), NO_DNS_NAME),
    "a name that its own begins": ((dns("node-10"),), NOT_ITS_OWN),
    "a name that begins its own": ((dns("node"),), NOT_ITS_OWN),
    "a name below its own": ((dns("a.node-1"),), NOT_ITS_OWN),
    "its own name in a domain": ((dns("node-1.example.org"),), NOT_ITS_OWN),
    "a name that looks like its own": ((dns("n0de-1"),), NOT_ITS_OWN),
    "its user's name": ((dns("system:node:node-1"),), NO_DNS_NAME),
    "a name with a null byte": ((dns("node-1\0.example.org"),), NO_DNS_NAME),
    "a name with a space": ((dns("node-1 "),), NO_DNS_NAME),
    "a name with a line feed": ((dns("node-1\nnode-2"),), NO_DNS_NAME),
    "an address as a name": ((dns("10.98.0.12"),), "is an address"),
    "its own address as a name": ((dns("10.98.0.11"),), "is an address"),
    "its own name twice": ((dns("node-1"), dns("node-1")), "a name or an address twice"),
    "its own address twice": ((*OWN_NAMES, ip("10.98.0.11")), "a name or an address twice"),
    "an empty name": ((dns(""),), NO_DNS_NAME),
    "an X.400 address": ((der(0xA3),), "can't be read"),
    "an e-mail address": ((*OWN_NAMES, der(0x81, b"root@example.org")), OTHER_KIND),
    "a URI": ((*OWN_NAMES, der(0x86, b"spiffe://cluster.local/ns/a/sa/b")), OTHER_KIND),
    "a directory name": ((*OWN_NAMES, der(0xA4, subject("node-2"))), OTHER_KIND),
    "a registered ID": ((*OWN_NAMES, der(0x88, b"\x2a\x03")), OTHER_KIND),
    "another name": (
        (*OWN_NAMES, der(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), der(0xA0, der(0x0C, b"admin")))),
        OTHER_KIND,
    ),
}

# The same, for what the API server's parser does not take.
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "a name that is not ASCII": (dns("n\xf6de-1"), NO_DNS_NAME),
    "an address of three bytes": (ip(b"\x0a\x62\0"), "can't be read"),
    "an address of seventeen bytes": (ip(bytes(17)), "can't be read"),
    "a network": (ip(bytes([10, 98, 0, 0, 255, 255, 0, 0])), OTHER_KIND),
}

NAMES = (
    *(
        Vector(title=title, pem=serving(*names), reason=reason)
        for title, (names, reason) in ASKED.items()
    ),
    *(
        Vector(title=title, pem=serving(name), reason=reason, unstored="x509")
        for title, (name, reason) in UNREADABLE.items()
    ),
    Vector(
        title="no names at all",
        pem=request(subject=subject("node-1")),
        reason="neither a name nor an address",
    ),
    Vector(
        title="an empty list of names",
        pem=request(extension_request(sans()), subject=subject("node-1")),
        reason="names none",
    ),
    Vector(
        title="its own names, and to be a client as well",
        pem=serving(*OWN_NAMES),
        usages=(*SERVING_USAGES, "client auth"),
        reason="its usages are",
    ),
    Vector(
        title="two lists of names",
        pem=request(
            extension_request(sans(*OWN_NAMES), sans(dns("node-2"))), subject=subject("node-1")
        ),
        reason="can't be read",
        unstored="duplicate",
    ),
    Vector(
        title="two requests for extensions",
        pem=request(
            *sorted(extension_request(sans(*names)) for names in (OWN_NAMES, [dns("node-2")])),
            subject=subject("node-1"),
        ),
        reason="two extension requests",
        unstored="duplicate",
    ),
    Vector(
        title="a request for extensions with two values",
        pem=request(
            sequence(
                oid("1.2.840.113549.1.9.14"),
                der(0x31, *sorted(sequence(sans(*n)) for n in (OWN_NAMES, [dns("node-2")]))),
            ),
            subject=subject("node-1"),
        ),
        reason="can't be read",
    ),
)
