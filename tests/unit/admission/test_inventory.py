"""The gate's orders: complete ones are read, and others refused with the reason."""

import copy
import json
from typing import Any

import pytest

from admission.gate.orders import read_orders
from admission.inventory import Denied

ORDERS: dict[str, Any] = {
    "kubeconfig": {"path": ".lab/kubeconfig"},
    "pool": "workers",
    "nodes": [
        {
            "name": "a",
            "addresses": ["10.0.0.1", "fd00::1"],
            "dnsNames": ["a"],
            "generation": 1,
            "kubeletVersion": "1.37",
        },
        {
            "name": "b.example.org",
            "addresses": ["10.0.0.2"],
            "dnsNames": ["b.example.org"],
            "kubeletVersion": "1.36",
        },
    ],
    "tokens": [
        {
            "id": "abc123",
            "secretUid": "uid",
            "node": None,
            "group": "system:bootstrappers:workers",
        }
    ],
    "afterJoin": "revoke",
    "approval": {"serving": "gate", "client": "controller-manager"},
    "skipClusterChecks": [],
    "denied": {"addresses": ["10.0.0.10"], "cidrs": ["10.96.0.0/12"]},
    "stallSeconds": 300,
}


def changed(path: str, value: Any) -> str:
    """The orders with one value changed; without it where it is None."""
    document = copy.deepcopy(ORDERS)
    *parents, last = path.split(".")
    place: Any = document
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


def test_orders_are_read() -> None:
    orders = read_orders(json.dumps(ORDERS))
    assert list(orders.nodes) == ["a", "b.example.org"]
    assert [str(address) for address in orders.nodes["a"].addresses] == ["10.0.0.1", "fd00::1"]
    assert orders.nodes["a"].user == "system:node:a"
    assert [(token.id, token.user) for token in orders.tokens] == [
        ("abc123", "system:bootstrap:abc123")
    ]
    assert orders.token_of("a") is orders.tokens[0]
    assert orders.after_join == "revoke"
    assert orders.kubelet_versions == {"a": "1.37", "b.example.org": "1.36"}
    assert (orders.kubeconfig_path, orders.kubeconfig) == (".lab/kubeconfig", None)
    assert orders.stall_s == 300


def test_a_pool_may_be_empty() -> None:
    assert read_orders(changed("nodes", [])).nodes == {}


def test_a_kubeconfigs_content_is_never_shown() -> None:
    orders = read_orders(changed("kubeconfig", {"content": "hunter2"}))
    assert orders.kubeconfig == "hunter2"
    assert "hunter2" not in repr(orders)


WRONG = {
    "no JSON": ("hunter2", "are not JSON"),
    "a list": ("[]", "malformed"),
    "no pool": (changed("pool", None), "have no 'pool'"),
    "no kubeconfig": (changed("kubeconfig", {}), "need a stack, or a kubeconfig's path"),
    "two kubeconfigs": (
        changed("kubeconfig", {"path": "a", "content": "b"}),
        "need a stack, or a kubeconfig's path",
    ),
    "a token's id": (changed("tokens.0.id", "../x"), "a token's id, as in abc123"),
    "no UID": (changed("tokens.0.secretUid", ""), "its Secret's UID"),
    "after the join": (
        changed("afterJoin", "burn"),
        "afterJoin 'burn' is not one of revoke, expire",
    ),
    "an approval": (changed("approval.serving", "all"), "serving 'all' is not one of gate, manual"),
    "a token for all": (changed("approval.client", "gate"), "needs a token for each node"),
    "no version": (changed("nodes.0.kubeletVersion", None), "have no 'kubeletVersion'"),
    "an address": (changed("nodes.0.addresses", ["10.0.0.300"]), "10.0.0.300"),
    "no address": (changed("nodes.0.addresses", []), "the node a has no address"),
    "a node's name": (changed("nodes.0.name", "../a"), "is not a node's name"),
    "an upper-case name": (changed("nodes.0.name", "A"), "is not a node's name"),
    "a name twice": (changed("nodes.0.name", "b.example.org"), "two nodes"),
    "a network": (changed("denied.cidrs", ["10.96.0.0/33"]), "10.96.0.0/33"),
    "a number": (changed("stallSeconds", "soon"), "soon"),
}


@pytest.mark.parametrize(("text", "reason"), WRONG.values(), ids=WRONG)
def test_wrong_orders_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_orders(text)
    assert "hunter2" not in str(caught.value)


def test_a_host_is_denied_by_its_address_or_its_name() -> None:
    denied = Denied().and_host("10.0.0.9").and_host("API.example.org.").and_host("::1")
    assert sorted(map(str, denied.addresses)) == ["10.0.0.9", "::1"]
    assert denied.names == {"api.example.org"}
