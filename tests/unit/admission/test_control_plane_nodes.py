"""A machine of the control plane that is a node gets its own address, and nobody else does."""

from dataclasses import replace

import pytest
from cryptography.x509.oid import NameOID

from admission.pool_inventory import Inventory, from_config_maps
from admission.rules import Approve, Decision, NodeObject, decide_serving
from tests.unit.admission.test_pool_inventory import document, maps
from tests.unit.admission.test_serving_rules import GOOD, NOW, csr, dns, ip, subject

# The stack's pools deny the address to nobody, since the node cp-1 claims it.
NOTHING_DENIED = {"addresses": [], "cidrs": ["10.96.0.0/12"]}
CONTROL_PLANE = document("control", ("cp-1", "10.0.0.9"), denied=NOTHING_DENIED)
WORKERS = document("workers", ("node-1", "10.0.0.1"), denied=NOTHING_DENIED)


def ask(node: str, address: str, inventory: Inventory, *, server: str = "10.0.0.100") -> Decision:
    """The approver's decision on a node's request for its name and an address."""
    user = f"system:node:{node}"
    name = subject((NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, user))
    return decide_serving(
        replace(GOOD, user=user, pem=csr([*dns(node), *ip(address)], name=name)),
        inventory=inventory.nodes,
        node=NodeObject(name=node, deleting=False),
        denied=inventory.denied.and_host(server),
        allowed=True,
        now=NOW,
    )


def reason(decision: Decision) -> str:
    assert not isinstance(decision, Approve)
    return decision.reason


def test_the_machine_gets_its_own_address() -> None:
    inventory = from_config_maps(maps(CONTROL_PLANE, WORKERS))
    assert isinstance(ask("cp-1", "10.0.0.9", inventory), Approve)
    assert isinstance(ask("node-1", "10.0.0.1", inventory), Approve)


def test_another_node_does_not_get_it() -> None:
    inventory = from_config_maps(maps(CONTROL_PLANE, WORKERS))
    why = "the address 10.0.0.9 is not one of the node's in the inventory"
    assert reason(ask("node-1", "10.0.0.9", inventory)) == why


def test_a_pool_that_claims_it_too_gets_it_for_nobody() -> None:
    thief = document("thieves", ("thief", "10.0.0.9"), denied=NOTHING_DENIED)
    inventory = from_config_maps(maps(CONTROL_PLANE, WORKERS, thief))
    for node in ("thief", "cp-1"):
        assert "is not a node of the inventory" in reason(ask(node, "10.0.0.9", inventory))
    assert isinstance(ask("node-1", "10.0.0.1", inventory), Approve)


def test_a_pool_that_claims_it_does_not_lift_another_stacks_denial() -> None:
    elsewhere = document("elsewhere", ("node-1", "10.0.0.1"))  # denies 10.0.0.9
    inventory = from_config_maps(maps(CONTROL_PLANE, elsewhere))
    why = "the address 10.0.0.9 is one that no node may have"
    assert reason(ask("cp-1", "10.0.0.9", inventory)) == why


@pytest.mark.parametrize("address", ["10.0.0.9", "10.96.0.1"])
def test_the_api_servers_own_address_and_the_services_stay_denied(address: str) -> None:
    control_plane = document("control", ("cp-1", address), denied=NOTHING_DENIED)
    inventory = from_config_maps(maps(control_plane, WORKERS))
    why = f"the address {address} is one that no node may have"
    assert reason(ask("cp-1", address, inventory, server="10.0.0.9")) == why
