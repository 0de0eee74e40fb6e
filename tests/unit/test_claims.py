"""One name and one address are one node's, over all pools; a control-plane host may be a node."""

import json
from typing import Any

import pytest

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
    hosts = [HOST, {"name": "cp-2", "address": "10.0.0.8"}]
    raw = {
        "controlPlane": {"hosts": hosts},
        "pools": {"workers": {"nodes": [{"name": "n1", "address": "10.0.0.1"}, HOST]}},
    }
    settings = parse(raw)
    assert claims.control_plane_addresses(settings) == ("10.0.0.8",)
    declared = declare(settings)
    assert json.loads(declared["workers-gate"]["stdin"])["denied"]["addresses"] == ["10.0.0.8"]
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
