"""The pools' inventories in the cluster, each alone and all together."""

import ipaddress
import json
from typing import Any

import pytest

from admission.pool_inventory import from_config_maps, read
from tests.unit.admission.approver_fakes import inventory_map


def document(pool: str, *nodes: tuple[str, str], **fields: Any) -> str:
    entries = [{"name": n, "addresses": [a], "dnsNames": [n]} for n, a in nodes]
    denied = {"addresses": ["10.0.0.9"], "cidrs": ["10.96.0.0/12"]}
    return json.dumps({"pool": pool, "nodes": entries, "denied": denied, **fields})


def maps(*documents: str) -> list[dict[str, Any]]:
    return [inventory_map(json.loads(text)["pool"], text) for text in documents]


def test_pools_are_one_inventory() -> None:
    found = from_config_maps(
        maps(
            document("a", ("n1", "10.0.0.1")),
            document("b", ("n2", "10.0.0.2"), denied={"addresses": ["fd00::9"], "cidrs": []}),
        )
    )
    assert found.nodes.keys() == {"n1", "n2"}
    assert found.pools == {"n1": "a", "n2": "b"}
    assert found.disputes == {}
    for address in ("10.0.0.9", "10.96.0.1", "fd00::9"):
        assert found.denied.covers(ipaddress.ip_address(address))


def test_nothing_is_an_empty_inventory() -> None:
    assert from_config_maps([]).nodes == {}


@pytest.mark.parametrize(
    ("second", "claim"),
    [
        (("n1", "10.0.0.2"), "n1"),
        (("n2", "10.0.0.1"), "10.0.0.1"),
    ],
)
def test_who_claims_what_another_claims_is_left_out_with_the_other(
    second: tuple[str, str], claim: str
) -> None:
    found = from_config_maps(
        maps(document("a", ("n1", "10.0.0.1"), ("n3", "10.0.0.3")), document("b", second))
    )
    assert found.nodes.keys() == {"n3"}
    assert found.disputes.keys() == {"n1", second[0]}
    assert all(claim in why for why in found.disputes.values())


def test_another_node_s_name_among_the_dns_names_is_a_claim() -> None:
    entry = {"name": "n2", "addresses": ["10.0.0.2"], "dnsNames": ["n2", "n1"]}
    found = from_config_maps(maps(document("a", ("n1", "10.0.0.1")), document("b", nodes=[entry])))
    assert found.disputes.keys() == {"n1", "n2"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("[]", "malformed"),
        ("{}", "has no 'pool'"),
        (document("a", ("n1", "10.0.0.300")), "10.0.0.300"),
        (document("a", ("N1", "10.0.0.1")), "not a node's name"),
        (document("a", denied={}), "has no 'addresses'"),
        (document("a", nodes=[{"name": "n1", "addresses": [], "dnsNames": []}]), "no address"),
        (document("a", nodes={"n1": 1}), "malformed"),
    ],
)
def test_what_can_not_be_read_is_left_out_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(text)
    found = from_config_maps([inventory_map("a", text), *maps(document("b", ("n2", "10.0.0.2")))])
    assert found.nodes.keys() == {"n2"}
    (problem,) = found.problems
    assert problem.startswith("the inventory kubelet-tls-bootstrap-a is left out: ")


def test_a_config_map_without_data_is_a_problem() -> None:
    assert from_config_maps([{"metadata": {"name": "x"}}]).problems


@pytest.mark.parametrize("name", [["n1"], {}, 5, "N1", "*.n1"])
def test_an_inventory_with_an_odd_name_is_left_out(name: Any) -> None:
    entry = {"name": "n1", "addresses": ["10.0.0.1"], "dnsNames": [name]}
    odd = json.dumps({**json.loads(document("a")), "nodes": [entry]})
    found = from_config_maps(maps(odd, document("b", ("n2", "10.0.0.2"))))
    assert found.nodes.keys() == {"n2"}
    assert "is not a lower-case DNS name" in found.problems[0]


def test_an_inventory_that_is_nested_without_end_is_left_out() -> None:
    found = from_config_maps(
        [inventory_map("a", "[" * 200_000), *maps(document("b", ("n2", "10.0.0.2")))]
    )
    assert found.nodes.keys() == {"n2"}
    assert "it is malformed" in found.problems[0]


def test_only_the_config_maps_of_given_pools_count() -> None:
    given = maps(document("a", ("n1", "10.0.0.1")), document("b", ("n2", "10.0.0.2")))
    theirs = {**given[0], "metadata": {"name": "a"}}
    theirs["data"] = {"inventory.json": document("a", ("n3", "10.0.0.3"))}
    found = from_config_maps([*given, theirs], ("a", "c"))
    assert found.nodes.keys() == {"n1"}
    assert [problem.split(" is left out")[0] for problem in found.problems] == [
        "the inventory kubelet-tls-bootstrap-b",
        "the inventory a",
    ]
    assert from_config_maps(given, ()).nodes == {}
