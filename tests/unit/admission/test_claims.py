"""The table of claims: whose a name or an address is, and which are nobody's."""

import ipaddress
from dataclasses import replace

import pytest
from cryptography.x509.oid import NameOID

from admission.claims import Claims, claim, nobodys
from admission.inventory import Denied, InventoryNode, read_denied, read_node
from admission.pool_inventory import from_config_maps
from admission.rules import Approve, Refuse
from admission.rules.refusals import kind_of
from tests.unit.admission.fakes import entry
from tests.unit.admission.test_pool_inventory import document, maps
from tests.unit.admission.test_serving_rules import (
    GOOD,
    NODE,
    San,
    csr,
    decide,
    dns,
    ip,
    subject,
)

ADDRESS = ipaddress.ip_address

NOBODYS = {
    "127.0.0.1": "a loopback address",
    "::1": "a loopback address",
    "0.0.0.0": "the unspecified address",  # noqa: S104
    "::": "the unspecified address",
    "224.0.0.1": "a multicast address",
    "ff02::1": "a multicast address",
    "169.254.169.254": "a link-local address",
    "fe80::1": "a link-local address",
    "255.255.255.255": "the broadcast address",
    "::ffff:10.0.0.1": "an IPv4 address in IPv6 form",
    "localhost": "one of the cluster's own names",
    "localhost.localdomain": "one of the cluster's own names",
    "kubernetes": "one of the cluster's own names",
    "KUBERNETES.default.": "one of the cluster's own names",
    "kubernetes.example.org": "one of the cluster's own names",
    "web.default.svc": "one of the cluster's own names",
    "web.default.svc.corp": "one of the cluster's own names",
}


@pytest.mark.parametrize(("value", "why"), NOBODYS.items(), ids=NOBODYS)
def test_what_no_node_may_have_is_told_with_its_kind(value: str, why: str) -> None:
    assert nobodys(value) == why


@pytest.mark.parametrize(
    "value",
    [
        *("10.0.0.1", "192.168.0.1", "203.0.113.7", "fd00::1", "2001:db8::1", "170.254.0.1"),
        *("node-1", "kubernetes-1", "svc", "svc.example.org", "a.localhosts", "node-1.svcs.a"),
    ],
)
def test_any_other_name_or_address_may_be_a_nodes(value: str) -> None:
    assert nobodys(value) == ""


def test_a_name_that_is_an_address_claims_the_address() -> None:
    assert claim("10.0.0.1") == ADDRESS("10.0.0.1") == claim(ADDRESS("10.0.0.1"))
    assert claim("Node-1.example.org.") == "node-1.example.org"


def test_each_claim_is_its_first_claimants_and_disputed_from_the_second_on() -> None:
    claims: Claims[str] = Claims()
    claims.add("a", ["a", "10.0.0.1", "10.0.0.1"])
    assert list(claims.disputes()) == []
    claims.add("b", ["b", ADDRESS("10.0.0.1")])
    assert claims.first("10.0.0.1") == "a"
    assert claims.first("c") is None
    assert list(claims.disputes()) == [(ADDRESS("10.0.0.1"), ["a", "b"])]


CLOUD = InventoryNode(
    name="node-1",
    addresses=(ADDRESS("10.0.0.1"),),
    dns_names=("node-1", "ip-10-0-0-1.internal"),
    certificate_addresses=(ADDRESS("203.0.113.7"), ADDRESS("10.0.1.1")),
)


@pytest.mark.parametrize(
    "sans",
    [
        [*dns("node-1"), *ip("10.0.0.1"), *ip("203.0.113.7"), *ip("10.0.1.1")],
        [*dns("ip-10-0-0-1.internal"), *ip("10.0.0.1"), *ip("203.0.113.7")],
        ip("10.0.0.1"),
    ],
    ids=["all", "a cloud's name alone", "no name"],
)
def test_a_clouds_names_and_addresses_may_be_in_the_certificate(sans: list[San]) -> None:
    decision = decide(replace(GOOD, pem=csr(sans)), inventory={"node-1": CLOUD})
    assert isinstance(decision, Approve)


def test_a_certificate_address_is_one_nodes() -> None:
    other = replace(entry("node-2", "10.0.0.2"), certificate_addresses=(ADDRESS("203.0.113.7"),))
    decision = decide(
        replace(GOOD, pem=csr(ip("203.0.113.7"))), inventory={"node-1": CLOUD, "node-2": other}
    )
    assert isinstance(decision, Refuse)
    assert decision.reason == (
        "the address 203.0.113.7 also belongs to another node in the inventory"
    )


def test_a_node_that_is_named_by_its_address_gets_the_address_and_no_such_name() -> None:
    user, inventory = "system:node:10.0.0.1", {"10.0.0.1": entry("10.0.0.1", "10.0.0.1")}
    name = subject((NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, user))
    node = replace(NODE, name="10.0.0.1")
    asked = replace(GOOD, user=user, pem=csr(ip("10.0.0.1"), name=name))
    assert isinstance(decide(asked, inventory=inventory, node=node), Approve)
    asked = replace(asked, pem=csr(dns("10.0.0.1"), name=name))
    decision = decide(asked, inventory=inventory, node=node)
    assert isinstance(decision, Refuse)
    assert decision.reason == "the name 10.0.0.1 is an address"
    assert kind_of(decision.reason) == "name"


@pytest.mark.parametrize("address", ["169.254.1.1", "255.255.255.255", "fe80::7", "127.0.0.9"])
def test_an_inventory_that_names_a_special_address_gives_it_to_nobody(address: str) -> None:
    inventory = {"node-1": entry("node-1", address)}
    decision = decide(replace(GOOD, pem=csr(ip(address))), inventory=inventory)
    assert isinstance(decision, Refuse)
    assert decision.reason == f"the address {address} is one that no node may have"


def test_the_api_servers_names_in_an_inventory_are_denied() -> None:
    inventory = from_config_maps(
        maps(
            document("a", ("api.example.org", "10.0.0.1")),
            document(
                "b",
                ("n2", "10.0.0.2"),
                denied={"addresses": [], "cidrs": [], "names": ["API.example.org."]},
            ),
        )
    )
    assert inventory.denied.names == {"api.example.org"}
    assert read_denied({"addresses": [], "cidrs": []}) == Denied()


def test_names_addresses_and_certificate_addresses_of_two_pools_are_one_table() -> None:
    inventory = from_config_maps(
        maps(
            document("a", ("10.0.0.5", "10.0.0.1")),
            document("b", ("n2", "10.0.0.5"), ("n3", "10.0.0.3")),
        )
    )
    assert inventory.nodes.keys() == {"n3"}
    assert inventory.disputes.keys() == {"10.0.0.5", "n2"}


def test_an_inventory_of_an_earlier_release_has_no_certificate_addresses() -> None:
    read = {"name": "a", "addresses": ["10.0.0.1"], "dnsNames": ["a"]}
    assert read_node(read).certificate_addresses == ()
    more = read_node({**read, "certificateAddresses": ["203.0.113.7"]})
    assert more.claims == {"a", ADDRESS("10.0.0.1"), ADDRESS("203.0.113.7")}
