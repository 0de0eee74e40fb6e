"""One name and one address are one node's, over all pools; a control-plane host may be a node."""

import json
from ipaddress import ip_address
from typing import Any

import pytest

from admission import pool_inventory
from settings import checks, claims
from settings.model import Settings
from settings.parsing import parse
from tests.unit.test_program import declare

HOST = {"name": "cp", "address": "10.0.0.9"}
A = {"name": "a", "address": "10.0.0.1"}
B = {"name": "b", "address": "10.0.0.2"}


def pools(a: dict[str, Any], b: dict[str, Any], *hosts: dict[str, Any]) -> Settings:
    """Two pools with a node each, the second with another one before it."""
    other = {"name": "other", "address": "10.0.1.1"}
    return parse(
        {
            "controlPlane": {"hosts": list(hosts)},
            "pools": {"a": {"nodes": [a]}, "b": {"nodes": [other, b]}},
        }
    )


SECOND = "pools.b.nodes[1]"
FIRST = "is already used by pools.a.nodes[0]"
THAT_HOST = (
    "is already used by controlPlane.hosts[0] (cp, 10.0.0.9, port 22); a node that is this machine"
    " has its name, its address and its SSH port"
)

SHARED = {
    "names": (A, {**B, "name": "a"}, [f'{SECOND}.name "a" {FIRST}']),
    "addresses": (A, {**B, "address": "10.0.0.1"}, [f'{SECOND}.address "10.0.0.1" {FIRST}']),
    "second addresses": (
        {**A, "addresses": ["fd00::5"]},
        {**B, "addresses": ["fd00:0::5"]},
        [f'{SECOND}.addresses[0] "fd00::5" {FIRST}'],
    ),
    "an address and a second one": (
        {**A, "address": "fd00::5"},
        {**B, "addresses": ["fd00::5"]},
        [f'{SECOND}.addresses[0] "fd00::5" {FIRST}'],
    ),
    "DNS names": (
        {**A, "dnsNames": ["db"]},
        {**B, "dnsNames": ["web", "db"]},
        [f'{SECOND}.dnsNames[1] "db" {FIRST}'],
    ),
    "a name and a DNS name": (A, {**B, "dnsNames": ["a"]}, [f'{SECOND}.dnsNames[0] "a" {FIRST}']),
    "a DNS name and a name": (
        {**A, "dnsNames": ["b"]},
        B,
        [f'{SECOND}.name "b" {FIRST}'],
    ),
    "a DNS name that is an address": (
        A,
        {**B, "dnsNames": ["10.0.0.1"]},
        [f'{SECOND}.dnsNames[0] "10.0.0.1" {FIRST}'],
    ),
    "a name that is an address": (
        A,
        {**B, "name": "10.0.0.1"},
        [f'{SECOND}.name "10.0.0.1" {FIRST}'],
    ),
    "an address of a certificate": (
        {**A, "certificateAddresses": ["203.0.113.7"]},
        {**B, "certificateAddresses": ["203.0.113.7"]},
        [f'{SECOND}.certificateAddresses[0] "203.0.113.7" {FIRST}'],
    ),
    "an address of a certificate and one of a kubelet": (
        {**A, "certificateAddresses": ["10.0.0.2"]},
        B,
        [f'{SECOND}.address "10.0.0.2" {FIRST}'],
    ),
    "a name and an address": (
        A,
        {"name": "a", "address": "10.0.0.1"},
        [f'{SECOND}.name "a" {FIRST}', f'{SECOND}.address "10.0.0.1" {FIRST}'],
    ),
}


@pytest.mark.parametrize(("a", "b", "told"), SHARED.values(), ids=SHARED)
def test_what_two_nodes_claim_is_told_with_both_paths(
    a: dict[str, Any], b: dict[str, Any], told: list[str]
) -> None:
    assert [str(problem) for problem in checks.problems(pools(a, b))] == told


def test_a_node_may_name_its_own_name_and_address_twice() -> None:
    twice = {**A, "addresses": ["10.0.0.1"], "dnsNames": ["a", "db", "db"]}
    assert list(checks.problems(pools(twice, B))) == []


MACHINES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[str]]] = {
    "the host itself": (HOST, [HOST], []),
    "the host itself, with more names and addresses": (
        {**HOST, "addresses": ["fd00::9"], "dnsNames": ["cp.example.org"]},
        [HOST],
        [],
    ),
    "the host itself, by the same port": (
        {**HOST, "ssh": {"port": 2222}},
        [{**HOST, "ssh": {"port": 2222}}],
        [],
    ),
    "the second of two hosts": (HOST, [{"name": "cp-0", "address": "10.0.0.8"}, HOST], []),
    "its name at another address": (
        {"name": "cp", "address": "10.0.0.2"},
        [HOST],
        [f'{SECOND}.name "cp" {THAT_HOST}'],
    ),
    "its address under another name": (
        {"name": "b", "address": "10.0.0.9"},
        [HOST],
        [f'{SECOND}.address "10.0.0.9" {THAT_HOST}'],
    ),
    "another machine behind its address": (
        {**HOST, "ssh": {"port": 2222}},
        [HOST],
        [f'{SECOND}.name "cp" {THAT_HOST}', f'{SECOND}.address "10.0.0.9" {THAT_HOST}'],
    ),
    "an address behind which another host is too": (
        HOST,
        [{"name": "cp-0", "address": "10.0.0.9", "ssh": {"port": 2222}}, HOST],
        [
            f'{SECOND}.address "10.0.0.9" is already used by controlPlane.hosts[0] (cp-0, 10.0.0.9,'
            " port 2222); a node that is this machine has its name, its address and its SSH port"
        ],
    ),
    "its name as a DNS name": (
        {**B, "dnsNames": ["cp"]},
        [HOST],
        [f'{SECOND}.dnsNames[0] "cp" is already used by controlPlane.hosts[0]'],
    ),
    "its address as a second one": (
        {**B, "addresses": ["10.0.0.9"], "address": "fd00::2"},
        [HOST],
        [f'{SECOND}.addresses[0] "10.0.0.9" is already used by controlPlane.hosts[0]'],
    ),
    "a name of two hosts": (
        B,
        [HOST, {"name": "cp", "address": "10.0.0.8"}],
        ['controlPlane.hosts[1].name "cp" is already used by controlPlane.hosts[0]'],
    ),
    "two hosts behind one address": (B, [HOST, {**HOST, "name": "cp-2"}], []),
}


@pytest.mark.parametrize(("node", "hosts", "told"), MACHINES.values(), ids=MACHINES)
def test_a_node_is_a_control_plane_host_by_all_that_leads_to_it(
    node: dict[str, Any], hosts: list[dict[str, Any]], told: list[str]
) -> None:
    assert [str(problem) for problem in checks.problems(pools(A, node, *hosts))] == told


def test_a_control_plane_host_may_be_a_node_of_one_pool_only() -> None:
    (name, address) = checks.problems(pools(HOST, HOST, HOST))
    assert str(name) == f'{SECOND}.name "cp" {FIRST}'
    assert str(address) == f'{SECOND}.address "10.0.0.9" {FIRST}'


def test_addresses_of_the_control_plane_are_denied_but_to_the_node_that_is_the_machine() -> None:
    node = {"name": "cp", "address": "10.0.0.7"}
    hosts = [node, {"name": "cp-2", "address": "10.0.0.8"}]
    raw = {
        "controlPlane": {"hosts": hosts},
        "pools": {"workers": {"nodes": [{"name": "n1", "address": "10.0.0.1"}, node]}},
    }
    settings = parse(raw)
    assert claims.control_plane_addresses(settings) == ("10.0.0.8",)
    declared = declare(settings)
    denied = json.loads(declared["workers-gate"]["stdin"])["denied"]
    assert denied["addresses"] == ["10.0.0.8", "10.0.0.9"]  # with the API server's
    # Both of the machine's roles are declared, under names that do not meet.
    assert {"cp-flags", "cp-2-flags", "cp-files", "cp-member"} <= declared.keys()


def test_the_address_of_a_machine_that_is_gone_is_free_but_not_its_name() -> None:
    gone = {**A, "force": True}
    assert list(claims.problems(pools(gone, {**A, "name": "b"}))) == []
    (problem,) = claims.problems(pools(gone, {**A, "address": "10.0.0.7"}))
    assert problem.path == "pools.b.nodes[1].name"


def test_the_address_of_a_machine_that_is_gone_is_denied_to_it_too() -> None:
    settings = pools(A, {**HOST, "force": True}, HOST)
    assert claims.control_plane_addresses(settings) == ("10.0.0.9",)


SERVERS = {
    "its address": (A, "https://10.0.0.1:6443", ["pools.a.nodes[0].address"]),
    "its address of another form": (
        {**A, "addresses": ["fd00::1"]},
        "https://[fd00:0::1]:6443",
        ["pools.a.nodes[0].addresses[0]"],
    ),
    "its name": (A, "https://A.:6443", ["pools.a.nodes[0].name"]),
    "another's": (A, "https://10.0.0.9:6443", []),
    "no URL": (A, "https://[10.0.0.1", []),
}


@pytest.mark.parametrize(("node", "server", "told"), SERVERS.values(), ids=SERVERS)
def test_the_api_servers_own_name_and_address_are_no_nodes(
    node: dict[str, Any], server: str, told: list[str]
) -> None:
    settings = pools(node, B, HOST)
    assert [problem.path for problem in claims.server_problems(settings, server)] == told


def test_the_resident_approvers_api_server_is_no_node() -> None:
    """It would refuse that node's renewal, months later."""
    approver = {"enabled": True, "image": "x", "server": "https://10.0.0.1:6443"}
    raw = {"approver": approver, "pools": {"a": {"nodes": [A, B]}}}
    (problem,) = checks.problems(parse(raw))
    assert problem.path == "pools.a.nodes[0].address"


def test_the_api_server_of_the_kubelets_is_no_node() -> None:
    raw = {"cluster": {"server": "https://A:6443"}, "pools": {"a": {"nodes": [A, B]}}}
    (problem,) = checks.problems(parse(raw))
    assert problem.path == "pools.a.nodes[0].name"
    # Told once, though the kubeconfig leads there too.
    assert list(claims.server_problems(parse(raw), "https://a:6443")) == []


def test_every_pools_inventory_denies_the_api_servers_names_and_the_service_networks() -> None:
    """The resident approver knows no settings, and its own API server is the cluster's Service."""
    raw = {
        "cluster": {
            "server": "https://api.example.org:6443",
            "serviceCidr": ["10.97.0.0/16", "fd00:97::/112"],
        },
        "approver": {"enabled": True, "image": "x", "server": "https://[fd00::9]:6443"},
        "pools": {"workers": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}},
    }
    written = declare(parse(raw))["workers-inventory"]
    denied = pool_inventory.from_config_maps([written]).denied
    assert denied.names == {"api.example.org"}
    # The last: the kubeconfig's, the Service's of each family.
    for address in ("fd00::9", "10.0.0.9", "10.97.0.1", "fd00:97::1"):
        assert denied.covers(ip_address(address))


NOBODYS = {
    "loopback": ({**A, "address": "127.0.0.1"}, 'address "127.0.0.1" is a loopback address'),
    "link-local": (
        {**A, "addresses": ["fe80::1"]},
        'addresses[0] "fe80::1" is a link-local address, which no node may have',
    ),
    "broadcast": (
        {**A, "certificateAddresses": ["255.255.255.255"]},
        'certificateAddresses[0] "255.255.255.255" is the broadcast address',
    ),
    "IPv4 in IPv6": (
        {**A, "address": "::ffff:10.0.0.1"},
        "is an IPv4 address in IPv6 form, which no node may have",
    ),
    "a name of the cluster": (
        {**A, "name": "kubernetes"},
        'name "kubernetes" is one of the cluster\'s own names, which no certificate of a node may'
        " hold; give the machine another name",
    ),
    "a DNS name of the cluster": (
        {**A, "dnsNames": ["a.default.svc"]},
        'dnsNames[0] "a.default.svc" is one of the cluster\'s own names',
    ),
    "a name that is an address": (
        {**A, "name": "169.254.1.1"},
        'name "169.254.1.1" is a link-local address',
    ),
    "an address of a Service": (
        {**A, "certificateAddresses": ["10.96.0.1"]},
        'certificateAddresses[0] "10.96.0.1" is in cluster.serviceCidr (10.96.0.0/12)',
    ),
}


@pytest.mark.parametrize(("node", "told"), NOBODYS.values(), ids=NOBODYS)
def test_what_no_rule_approves_is_told_before_anything_is_touched(
    node: dict[str, Any], told: str
) -> None:
    (problem,) = checks.problems(pools(node, B))
    assert told in str(problem)
    # It may have got there before it was refused, and must get out again.
    assert list(checks.problems(pools({**node, "force": True}, B))) == []


def test_a_name_of_the_cluster_can_be_approved_by_hand() -> None:
    settings = parse(
        {
            "approval": {"serving": "manual"},
            "pools": {"a": {"nodes": [{**A, "dnsNames": ["kubernetes.example.org"]}]}},
        }
    )
    assert list(checks.problems(settings)) == []


CLOUD = {**A, "certificateAddresses": ["203.0.113.7", "10.0.1.1"], "dnsNames": ["a.internal"]}


def test_a_clouds_addresses_are_in_the_inventory_and_told_to_no_kubelet() -> None:
    raw = {"pools": {"workers": {"nodes": [{**CLOUD, "name": "n1"}]}}}
    assert list(checks.problems(parse(raw))) == []
    declared = declare(parse(raw))
    (entry,) = json.loads(declared["workers-gate"]["stdin"])["nodes"]
    assert entry["addresses"] == ["10.0.0.1"]
    assert entry["certificateAddresses"] == ["203.0.113.7", "10.0.1.1"]
    assert entry["dnsNames"] == ["n1", "a.internal"]
    assert "203.0.113.7" not in declared["n1-files"]["stdin"]


def test_a_node_without_them_is_told_as_before() -> None:
    """Its gate would have to run again."""
    raw = {"pools": {"workers": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}}}
    (entry,) = json.loads(declare(parse(raw))["workers-gate"]["stdin"])["nodes"]
    assert "certificateAddresses" not in entry


def test_what_the_gate_would_refuse_can_be_approved_by_hand() -> None:
    settings = parse({"approval": {"serving": "manual"}, "pools": {"a": {"nodes": [A]}}})
    assert list(claims.server_problems(settings, "https://10.0.0.1:6443")) == []


def test_what_is_for_machines_of_a_control_plane_without_any_is_told() -> None:
    alone = parse({"controlPlane": {"manage": True, "kubeApiQps": 100}})
    assert [line.split(" has ")[0] for line in checks.warnings(alone)] == [
        "controlPlane.manage",
        "controlPlane.kubeApiQps",
    ]
    listed = parse({"controlPlane": {"manage": True, "kubeApiQps": 100, "hosts": [HOST]}})
    assert list(checks.warnings(listed)) == []
