"""Each rule has a request that passes and one that is refused with its reason."""

import ipaddress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from admission.inventory import Denied, InventoryNode
from admission.rules import (
    MOST_PENDING,
    Approve,
    Decision,
    NodeObject,
    Refuse,
    Request,
    Unread,
    Wait,
    decide_serving,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
USER = "system:node:node-1"


def entry(name: str, *addresses: str, names: tuple[str, ...] = ()) -> InventoryNode:
    return InventoryNode(
        name=name,
        addresses=tuple(map(ipaddress.ip_address, addresses)),
        dns_names=(name, *names),
    )


INVENTORY = {
    "node-1": entry("node-1", "10.0.0.1", "fd00::1", names=("node-1.example.org",)),
    "node-10": entry("node-10", "10.0.0.10"),
    "shared": entry("shared", "10.0.0.20", "10.0.0.1"),
}
ALONE = {"node-1": INVENTORY["node-1"]}
DENIED = Denied(
    addresses=frozenset({ipaddress.ip_address("10.0.0.254")}),
    networks=(ipaddress.ip_network("10.96.0.0/12"),),
)

San = x509.GeneralName


def dns(*names: str) -> list[San]:
    return [x509.DNSName(name) for name in names]


def ip(*addresses: str) -> list[San]:
    return [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]


GOOD_SANS = [*dns("node-1"), *ip("10.0.0.1")]


def subject(*pairs: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


GOOD_SUBJECT = subject((NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, USER))


def csr(
    sans: list[San] | None = GOOD_SANS,
    name: x509.Name = GOOD_SUBJECT,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = KEY,
    extra: x509.ExtensionType | None = None,
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if sans is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    if extra is not None:
        builder = builder.add_extension(extra, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


GOOD = Request(
    name="csr-1",
    uid="1",
    signer="kubernetes.io/kubelet-serving",
    user=USER,
    groups=frozenset({"system:nodes", "system:authenticated"}),
    usages=("digital signature", "server auth"),
    pem=csr(),
    created=NOW - timedelta(seconds=5),
    expiration=None,
    decided=False,
)
NODE = NodeObject(name="node-1", deleting=False)


def decide(
    request: Request,
    *,
    inventory: dict[str, InventoryNode] = ALONE,
    node: NodeObject | None = NODE,
    denied: Denied = DENIED,
    allowed: bool = True,
    pending: int = 1,
) -> Decision:
    return decide_serving(
        request,
        inventory=inventory,
        node=node,
        denied=denied,
        allowed=allowed,
        pending=pending,
        now=NOW,
    )


@pytest.mark.parametrize(
    "request_",
    [
        GOOD,
        replace(GOOD, usages=("digital signature", "key encipherment", "server auth")),
        replace(GOOD, expiration=timedelta(days=366)),
        replace(GOOD, expiration=timedelta(minutes=10)),
        replace(GOOD, created=NOW - timedelta(hours=1)),
        replace(GOOD, created=NOW + timedelta(minutes=5)),
        replace(GOOD, pem=csr(ip("10.0.0.1"))),
        replace(GOOD, pem=csr(dns("node-1.example.org"))),
        replace(GOOD, pem=csr([*GOOD_SANS, *ip("fd00::1")])),
        replace(GOOD, pem=csr(key=ec.generate_private_key(ec.SECP384R1()))),
        replace(GOOD, pem=csr(key=rsa.generate_private_key(65537, 2048))),
        replace(GOOD, groups=GOOD.groups | {"another"}),
    ],
    ids=lambda _: "",
)
def test_what_a_kubelet_of_the_inventory_sends_is_approved(request_: Request) -> None:
    assert isinstance(decide(request_), Approve)


REFUSED = {
    "another signer": (
        replace(GOOD, signer="kubernetes.io/kube-apiserver-client-kubelet"),
        "its signer is",
    ),
    "decided": (replace(GOOD, decided=True), "decided already"),
    "a user who is no node": (replace(GOOD, user="admin"), "not a node of the inventory"),
    "a bare node name": (replace(GOOD, user="node-1"), "not a node of the inventory"),
    "an unknown node": (replace(GOOD, user="system:node:node-2"), "not a node of the inventory"),
    "a prefix of a node": (replace(GOOD, user="system:node:node"), "not a node of the inventory"),
    "an upper-case node": (replace(GOOD, user="system:node:NODE-1"), "not a node of the inventory"),
    "no group of nodes": (
        replace(GOOD, groups=frozenset({"system:authenticated"})),
        "not in the group system:nodes",
    ),
    "not authenticated": (
        replace(GOOD, groups=frozenset({"system:nodes"})),
        "not in the group system:authenticated",
    ),
    "no usage": (replace(GOOD, usages=()), "its usages are none"),
    "client usage": (
        replace(GOOD, usages=("digital signature", "server auth", "client auth")),
        "its usages are",
    ),
    "a usage twice": (
        replace(GOOD, usages=("digital signature", "server auth", "server auth")),
        "its usages are",
    ),
    "too long": (replace(GOOD, expiration=timedelta(days=367)), "asks for 367 days"),
    "stale": (replace(GOOD, created=NOW - timedelta(hours=1, seconds=1)), "older than an hour"),
    "from the future": (replace(GOOD, created=NOW + timedelta(minutes=6)), "the future"),
    "no names": (replace(GOOD, pem=csr(None)), "neither a name nor an address"),
    "another common name": (
        replace(
            GOOD,
            pem=csr(
                name=subject(
                    (NameOID.ORGANIZATION_NAME, "system:nodes"),
                    (NameOID.COMMON_NAME, "system:node:node-10"),
                )
            ),
        ),
        "its common name is",
    ),
    "another organization": (
        replace(
            GOOD,
            pem=csr(
                name=subject(
                    (NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.COMMON_NAME, USER)
                )
            ),
        ),
        "its organization is",
    ),
    "an organization that begins alike": (
        replace(
            GOOD,
            pem=csr(
                name=subject(
                    (NameOID.ORGANIZATION_NAME, "system:nodes2"), (NameOID.COMMON_NAME, USER)
                )
            ),
        ),
        "its organization is",
    ),
    "two common names": (
        replace(
            GOOD,
            pem=csr(
                name=subject(
                    (NameOID.ORGANIZATION_NAME, "system:nodes"),
                    (NameOID.COMMON_NAME, USER),
                    (NameOID.COMMON_NAME, USER),
                )
            ),
        ),
        "one common name and one organization",
    ),
    "a third attribute": (
        replace(
            GOOD,
            pem=csr(
                name=subject(
                    (NameOID.ORGANIZATION_NAME, "system:nodes"),
                    (NameOID.COMMON_NAME, USER),
                    (NameOID.COUNTRY_NAME, "DE"),
                )
            ),
        ),
        "one common name and one organization",
    ),
    "another's address": (
        replace(GOOD, pem=csr(ip("10.0.0.10"))),
        "10.0.0.10 is not one of the node's",
    ),
    "a name that begins alike": (replace(GOOD, pem=csr(dns("node-10"))), "node-10 is not"),
    "a name below its own": (replace(GOOD, pem=csr(dns("a.node-1"))), "a.node-1 is not"),
    "a wildcard": (replace(GOOD, pem=csr(dns("*.example.org"))), "not a lower-case DNS name"),
    "an upper-case name": (replace(GOOD, pem=csr(dns("NODE-1"))), "not a lower-case DNS name"),
    "a trailing dot": (replace(GOOD, pem=csr(dns("node-1."))), "not a lower-case DNS name"),
    "the API server's name": (replace(GOOD, pem=csr(dns("kubernetes"))), "the cluster's own"),
    "the API server's long name": (
        replace(GOOD, pem=csr(dns("kubernetes.default.svc"))),
        "the cluster's own",
    ),
    "a service's name": (replace(GOOD, pem=csr(dns("web.shop.svc"))), "the cluster's own"),
    "localhost": (replace(GOOD, pem=csr(dns("localhost"))), "the cluster's own"),
    "a service's address": (replace(GOOD, pem=csr(ip("10.96.0.1"))), "no node may have"),
    "the API server's address": (replace(GOOD, pem=csr(ip("10.0.0.254"))), "no node may have"),
    "loopback": (replace(GOOD, pem=csr(ip("127.0.0.1"))), "no node may have"),
    "IPv6 loopback": (replace(GOOD, pem=csr(ip("::1"))), "no node may have"),
    "a mapped address": (replace(GOOD, pem=csr(ip("::ffff:10.0.0.1"))), "no node may have"),
    "an address twice": (replace(GOOD, pem=csr(ip("10.0.0.1", "10.0.0.1"))), "twice"),
    "an e-mail address": (
        replace(GOOD, pem=csr([*GOOD_SANS, x509.RFC822Name("a@example.org")])),
        "neither a DNS name nor an address",
    ),
    "a URI": (
        replace(GOOD, pem=csr([*GOOD_SANS, x509.UniformResourceIdentifier("https://x.org")])),
        "neither a DNS name nor an address",
    ),
    "a CA": (
        replace(GOOD, pem=csr(extra=x509.BasicConstraints(ca=True, path_length=None))),
        "an extension other than",
    ),
    "a small RSA key": (
        replace(GOOD, pem=csr(key=rsa.generate_private_key(65537, 1024))),
        "its key is neither",
    ),
    "a curve": (
        replace(GOOD, pem=csr(key=ec.generate_private_key(ec.SECP521R1()))),
        "its key is neither",
    ),
    "an Ed25519 key": (
        replace(GOOD, pem=csr(key=ed25519.Ed25519PrivateKey.generate())),
        "its key is neither",
    ),
}


@pytest.mark.parametrize(("request_", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_kubelet_of_the_inventory_sends_is_refused(request_: Request, reason: str) -> None:
    decision = decide(request_)
    assert isinstance(decision, Refuse)
    assert reason in decision.reason


def test_an_address_that_two_nodes_have_is_nobodys() -> None:
    decision = decide(GOOD, inventory=INVENTORY)
    assert isinstance(decision, Refuse)
    assert "the address 10.0.0.1 also belongs to another node" in decision.reason


def test_a_name_that_two_nodes_have_is_nobodys() -> None:
    name = "".join(["node-1.", "example.org"])  # equal, not the same object
    for other in (
        InventoryNode(name=name, addresses=(ipaddress.ip_address("10.0.0.30"),), dns_names=()),
        entry("node-2", "10.0.0.30", names=(name,)),
        entry("a-node", "10.0.0.30", names=(name,)),
    ):
        decision = decide(
            replace(GOOD, pem=csr(dns("node-1.example.org"))),
            inventory=ALONE | {other.name: other},
        )
        assert decision == Refuse(
            reason="the name node-1.example.org also belongs to another node in the inventory"
        )


def test_a_nodes_bare_name_is_no_requester_wherever_it_sorts() -> None:
    for name in ("a", "z"):
        decision = decide(replace(GOOD, user=name), inventory={name: entry(name, "10.0.0.30")})
        assert decision == Refuse(reason=f"its requester {name} is not a node of the inventory")


def test_other_nodes_with_names_of_their_own_are_in_nobodys_way() -> None:
    others = {name: entry(name, "10.0.0.30") for name in ("a", "node-0", "node-2", "z")}
    assert isinstance(decide(GOOD, inventory=ALONE | others), Approve)


def test_the_record_of_an_approval_has_the_node_and_what_was_asked() -> None:
    decision = decide(GOOD, node=replace(NODE, uid="5f3c"))
    assert isinstance(decision, Approve)
    assert decision.node_uid == "5f3c"
    assert decision.content.dns_names == ("node-1",)
    assert list(map(str, decision.content.addresses)) == ["10.0.0.1"]


def test_an_address_of_the_inventory_that_is_denied_is_refused() -> None:
    inventory = {"node-1": entry("node-1", "10.96.0.1")}
    decision = decide(replace(GOOD, pem=csr(ip("10.96.0.1"))), inventory=inventory)
    assert isinstance(decision, Refuse)


def test_a_requester_without_the_right_is_refused_with_what_gives_it() -> None:
    decision = decide(GOOD, allowed=False)
    assert isinstance(decision, Refuse)
    assert "node-server-cert-renewal" in decision.reason


def test_a_request_waits_for_its_node() -> None:
    assert isinstance(decide(GOOD, node=None), Wait)


def test_a_wrong_request_does_not_wait_for_its_node() -> None:
    assert isinstance(decide(replace(GOOD, pem=csr(ip("10.0.0.9"))), node=None), Refuse)


def test_a_node_that_goes_gets_no_certificate() -> None:
    assert isinstance(decide(GOOD, node=NodeObject(name="node-1", deleting=True)), Refuse)


@pytest.mark.parametrize("name", ["node-0", "node-2"])
def test_another_node_does_not_stand_in_for_it(name: str) -> None:
    assert isinstance(decide(GOOD, node=NodeObject(name=name, deleting=False)), Wait)


OTHER = csr(ip("10.0.0.10"))
TWO_BLOCKS = {
    "another block after it": GOOD.pem + OTHER,
    "another block before it": OTHER + GOOD.pem,
    "an indented block before it": OTHER.replace(b"-----BEGIN", b" -----BEGIN", 1) + GOOD.pem,
    "all of a block indented before it": b" " + OTHER.replace(b"\n", b"\n ") + b"\n" + GOOD.pem,
    "text before BEGIN": b"x" + GOOD.pem,
    "text after END": GOOD.pem.rstrip() + b"x\n",
    "all on one line": GOOD.pem.replace(b"\n", b""),
    "no line feed before END": GOOD.pem.replace(b"\n-----END", b"-----END"),
    "bad base64 first": b"-----BEGIN CERTIFICATE REQUEST-----\n!!!!\n"
    b"-----END CERTIFICATE REQUEST-----\n" + GOOD.pem,
    "another label": GOOD.pem.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
    "carriage returns alone": GOOD.pem.replace(b"\n", b"\r"),
    "carriage returns": GOOD.pem.replace(b"\n", b"\r\n"),
    "a leading line": b"hello\n" + GOOD.pem,
    "a space in the base64": GOOD.pem.replace(b"MII", b"M II", 1),
    "a header": GOOD.pem.replace(b"REQUEST-----\n", b"REQUEST-----\nA: b\n\n", 1),
    "a header without a blank line": GOOD.pem.replace(
        b"REQUEST-----\n", b"REQUEST-----\nA: b\n", 1
    ),
    "two line feeds at the end": GOOD.pem + b"\n",
    "nothing": b"",
}


@pytest.mark.parametrize("pem", TWO_BLOCKS.values(), ids=TWO_BLOCKS)
def test_bytes_that_another_parser_may_read_otherwise_are_refused(pem: bytes) -> None:
    assert isinstance(decide(replace(GOOD, pem=pem)), Refuse)


def test_a_request_that_another_key_signed_is_refused() -> None:
    der = x509.load_pem_x509_csr(GOOD.pem).public_bytes(Encoding.DER)
    forged = bytearray(der)
    forged[-1] ^= 1
    try:
        request = x509.load_der_x509_csr(bytes(forged))
    except ValueError:
        pytest.fail("the changed request must still parse")
    assert isinstance(decide(replace(GOOD, pem=request.public_bytes(Encoding.PEM))), Refuse)


def test_many_pending_requests_are_a_flood() -> None:
    assert isinstance(decide(GOOD, pending=MOST_PENDING), Approve)
    decision = decide(GOOD, pending=MOST_PENDING + 1)
    assert isinstance(decision, Refuse)
    assert "more than 20 requests of system:node:node-1 are pending" in decision.reason


@pytest.mark.parametrize(
    ("host", "sans"),
    [("10.0.0.1", GOOD_SANS), ("node-1.example.org", dns("node-1.example.org"))],
)
def test_the_api_servers_host_is_no_nodes(host: str, sans: list[San]) -> None:
    request = replace(GOOD, pem=csr(sans))
    assert isinstance(decide(request), Approve)
    decision = decide(request, denied=DENIED.and_host(host))
    assert isinstance(decision, Refuse)
    assert host in decision.reason


@pytest.mark.parametrize(
    "name",
    ["localhost.localdomain", "a.localhost", "kubernetes.default", "x.svc.cluster.local"],
)
def test_names_of_the_cluster_are_refused_though_the_inventory_has_them(name: str) -> None:
    inventory = {"node-1": entry("node-1", "10.0.0.1", names=(name,))}
    assert isinstance(decide(replace(GOOD, pem=csr(dns(name))), inventory=inventory), Refuse)


def test_a_node_may_be_named_like_a_part_of_the_clusters_names() -> None:
    for name in ("kubernetes-1", "svc-1", "localhost-1"):
        inventory = {"node-1": entry("node-1", "10.0.0.1", names=(name,))}
        assert isinstance(decide(replace(GOOD, pem=csr(dns(name))), inventory=inventory), Approve)


def test_what_was_not_kept_must_be_read_again_unless_it_is_refused_unread() -> None:
    unread = replace(GOOD, pem=None)
    assert decide(unread) == Unread()
    assert isinstance(decide(unread, pending=MOST_PENDING + 1), Refuse)
    assert isinstance(decide(replace(unread, usages=())), Refuse)
