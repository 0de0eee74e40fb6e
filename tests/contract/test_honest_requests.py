"""What kubelets of 1.24 to 1.37 ask for is approved, whatever names and addresses a machine has.

A gate on a real API server; the kubelets are impersonated. Their requests have the form that
pkg/kubelet/certificate of those versions gives them: ECDSA keys, one name and one organization,
and from the Node's addresses first the names, then the addresses, both sorted.
"""

import ipaddress
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.contract.kubernetes_provider.cluster import running
from tests.contract.test_hostile_requests import (
    CHECKOUT,
    FLAGS,
    create,
    group,
    orders,
    prepare,
    token,
)
from tests.hostile.api_server import administrator
from tests.hostile.attack import Attack
from tests.hostile.vector import (
    ADDRESSES,
    CLIENT_SIGNER,
    CLIENT_USAGES,
    NODES,
    SERVING_USAGES,
    Vector,
    client,
    dns,
    holder_of,
    ip,
    node,
    serving,
)

pytestmark = pytest.mark.contract

# Until 1.26 with every key, since 1.27 with RSA keys only (kubernetes/kubernetes#111660), which a
# kubelet does not make.
ENCIPHERMENT = "key encipherment"
USAGES = {"1.24 to 1.26": (ENCIPHERMENT,), "1.27 to 1.37": ()}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine, by what its settings give the inventory and what its Node has by a cloud."""

    name: str
    addresses: tuple[str, ...]
    more: tuple[str, ...] = ()  # `certificateAddresses`
    names: tuple[str, ...] = ()  # `dnsNames`
    asks: tuple[str, ...]
    """The names and addresses of its Node, in the order of a request."""


MACHINES = [
    Machine(name="plain-4", addresses=("10.98.0.14",), asks=("plain-4", "10.98.0.14")),
    Machine(
        name="ip-10-98-0-15.eu-west-1.compute.internal",
        addresses=("10.98.0.15",),
        more=("192.0.2.15",),
        names=("ec2-192-0-2-15.eu-west-1.compute.example.org",),
        asks=(
            "ec2-192-0-2-15.eu-west-1.compute.example.org",
            "ip-10-98-0-15.eu-west-1.compute.internal",
            "10.98.0.15",
            "192.0.2.15",
        ),
    ),
    # An external cloud provider sets no Hostname address, and no name then.
    Machine(
        name="cloud-6",
        addresses=("10.98.0.16",),
        names=("cloud-6.internal.example.org",),
        asks=("cloud-6.internal.example.org", "10.98.0.16"),
    ),
    Machine(
        name="dual-7",
        addresses=("10.98.0.17", "2001:db8::17"),
        asks=("dual-7", "10.98.0.17", "2001:db8::17"),
    ),
    Machine(name="six-8", addresses=("2001:db8::18",), asks=("six-8", "2001:db8::18")),
    # A Hostname that is an address goes to the addresses.
    Machine(name="10.98.0.19", addresses=("10.98.0.19",), asks=("10.98.0.19",)),
    # Addresses alone, as of a Node whose cloud gives no names.
    Machine(name="bare-0", addresses=("10.98.0.20",), asks=("10.98.0.20",)),
]


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def number(machine: Machine) -> str:
    """What tells its token from others."""
    return f"n{MACHINES.index(machine) + 4}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    """A gate at work in which all of them join; what asks is no attacker here."""
    directory = tmp_path_factory.mktemp("honest")
    with running(directory, *FLAGS) as cluster:
        kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        admin = administrator(kubeconfig, directory)
        numbers = {number(machine): machine for machine in MACHINES}
        uids = prepare(admin, (*ADDRESSES, *numbers))
        told: dict[str, Any] = orders(cluster, uids)
        told["nodes"] += [
            {
                "name": machine.name,
                "addresses": machine.addresses,
                "certificateAddresses": machine.more,
                "dnsNames": [machine.name, *machine.names],
                "kubeletVersion": "1.37",
            }
            for machine in MACHINES
        ]
        for entry in told["tokens"]:
            if entry["node"] in numbers:
                entry["node"] = numbers[entry["node"]].name
        world = {f"id-of-{name}": token(name)[0] for name in numbers}
        world |= {f"group-of-{name}": group(name) for name in numbers}
        stolen = cluster.authority.sign("system:node:node-1", NODES)
        (directory / "node.pem").write_text(stolen.certificate + stolen.key)
        (directory / "orders.json").write_text(json.dumps(told))
        with (
            (directory / "orders.json").open() as stdin,
            (directory / "gate.log").open("w") as log,
            subprocess.Popen(
                [sys.executable, "-m", "admission", "gate"],
                stdin=stdin, stdout=log, stderr=log, cwd=CHECKOUT,
            ) as gate,
        ):  # fmt: skip
            try:
                token_of_node_3 = ".".join(token("node-3"))
                yield Attack(kubeconfig, world, directory / "node.pem", token_of_node_3)
            except BaseException:
                print((directory / "gate.log").read_text())
                raise
            finally:
                gate.terminate()
            print((directory / "gate.log").read_text())


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_a_machine_gets_its_first_certificate_and_then_those_for_its_port(
    cluster: Attack, machine: Machine
) -> None:
    which = number(machine)
    old = MACHINES.index(machine) % 2
    vector = Vector(
        title=machine.name,
        pem=client(machine.name),
        reason="",
        by=holder_of(which),
        signer=CLIENT_SIGNER,
        usages=(*CLIENT_USAGES, *((ENCIPHERMENT,) if old else ())),
    )
    cluster.await_approval(vector)
    create(cluster.admin, "/api/v1/nodes", "v1", "Node", metadata={"name": machine.name})
    asked = [ip(value) if is_address(value) else dns(value) for value in machine.asks]
    for more in USAGES.values():
        vector = Vector(
            title=machine.name,
            pem=serving(*asked, name=machine.name),
            reason="",
            by=node(machine.name),
            usages=(*more, *SERVING_USAGES),
        )
        cluster.await_approval(vector)
