"""Objects that can't be read, on a real API server: the others are judged all the same.

`metadata.managedFields` is whatever its writer has given: as deeply nested as they like, which is
left out of the object, and so long in JSON that nobody reads it.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from admission.api_server.rights import GRACE_S
from admission.proving import not_ready
from admission.rules import MOST_PENDING
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.test_hostile_requests import CHECKOUT, FLAGS, create, orders, prepare
from tests.hostile.api_server import CSRS, Caller, administrator, object_of
from tests.hostile.vector import ADDRESSES, Vector, dns, ip, node, serving

pytestmark = pytest.mark.contract

NODES = "/api/v1/nodes"
DEPTH = 1500
LONG = 900_000  # each takes six bytes in JSON
TOO_LONG = "it has more than 4 MiB"
LIMIT_S = 60
MARK = "NESTED"
DENIED = {"addresses": [], "cidrs": []}
# An API server takes any name of a request that has no slash and no percent sign.
ODD_NAMES = (
    "evil?", "h#ash", "a&watch=1", "a,metadata.name=b", "x;reboot", "$(reboot)", "new\nline", "-rf",
    "it's", "\x1b[2J", "\u202e", "n" * 254, "n" * 15_000,
)  # fmt: skip


def nested(body: Mapping[str, Any]) -> bytes:
    """The object with managedFields that no recursive parser reads."""
    return managed(body, '{"f:a":' * DEPTH + "{}" + "}" * DEPTH)


def long(body: Mapping[str, Any]) -> bytes:
    """The object with managedFields that JSON escapes to more than an object may have."""
    return managed(body, '{"f:' + "<" * LONG + '":{}}')


def managed(body: Mapping[str, Any], fields: str) -> bytes:
    """The object with these managedFields."""
    entry = {
        "manager": "x",
        "operation": "Update",
        "apiVersion": body["apiVersion"],
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": MARK,
    }
    marked = {**body, "metadata": {**body["metadata"], "managedFields": [entry]}}
    return json.dumps(marked).replace(f'"{MARK}"', fields).encode()


def plain(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


Write = Callable[[Mapping[str, Any]], bytes]


def request_of(name: str, claims: str) -> Vector:
    pem = serving(dns(name), ip(ADDRESSES[claims]), name=name)
    return Vector(title=name, pem=pem, by=node(name), reason="")


@dataclass
class World:
    """A cluster in which somebody has written what can't be read."""

    cluster: Cluster
    admin: Caller
    directory: Path
    uids: Mapping[str, str]
    number: int = 0

    def ask(self, name: str, *, claims: str = "", csr: str = "", written: Write = plain) -> str:
        """Make the serving request of a node, and return its name."""
        self.number += 1
        csr, vector = csr or f"csr-{self.number:04}", request_of(name, claims or name)
        body = object_of(vector, csr)
        status, answer = self.admin.send("POST", CSRS, written(body), vector.by)
        assert status == 201, answer
        return csr

    def write_node(self, name: str, written: Write) -> None:
        """Write a Node, as its kubelet may."""
        self.number += 1
        metadata = {"name": name, "annotations": {"number": str(self.number)}}
        # The taint of a Node without a kubelet, which a kubelet may not remove.
        taints = [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
        found = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        found["spec"] = {"taints": taints}
        status, answer = self.admin.send("PUT", f"{NODES}/{name}", written(found), node(name))
        assert status == 200, answer

    def delete(self, csr: str) -> None:
        self.cluster.request("DELETE", f"{CSRS}/{quote(csr, safe='')}")

    def is_approved(self, csr: str) -> bool:
        found = self.cluster.get(f"{CSRS}/{quote(csr, safe='')}")
        if "text" in found:
            return '"type":"Approved"' in found["text"]
        conditions = found["status"].get("conditions", [])
        return any(condition["type"] == "Approved" for condition in conditions)

    def await_approval(self, csr: str, process: subprocess.Popen[bytes], log: Path) -> None:
        end = time.monotonic() + LIMIT_S
        while not self.is_approved(csr):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("unreadable")
    with running(directory, *FLAGS) as cluster:
        kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        admin = administrator(kubeconfig, directory)
        yield World(cluster, admin, directory, prepare(admin))


def judging(world: World, *arguments: str, text: str = "") -> tuple[subprocess.Popen[bytes], Path]:
    log = world.directory / f"{arguments[0]}-{time.monotonic_ns()}.log"
    stdin = log.with_suffix(".json")
    stdin.write_text(text)
    with stdin.open() as given, log.open("w") as told:
        command = [sys.executable, "-m", "admission", *arguments]
        started = subprocess.Popen(command, stdin=given, stdout=told, stderr=told, cwd=CHECKOUT)
    return started, log


@pytest.fixture(scope="module")
def serve(world: World) -> tuple[str, ...]:
    """What starts a resident approver: there is an inventory, and the Lease."""
    inventory(world)
    lease(world)
    return "serve", "--kubeconfig", str(world.cluster.kubeconfig), "--port", "0"


def inventory(world: World) -> None:
    entries = [
        {"name": name, "addresses": [address], "dnsNames": [name]}
        for name, address in ADDRESSES.items()
    ]
    document = {"pool": "workers", "nodes": entries, "denied": DENIED}
    labels = {"kubelet-tls-bootstrap/inventory": "workers"}
    path = "/api/v1/namespaces/kube-system/configmaps"
    create(
        world.admin, path, "v1", "ConfigMap",
        metadata={"name": "kubelet-tls-bootstrap-workers", "labels": labels},
        data={"inventory.json": json.dumps(document)},
    )  # fmt: skip


def lease(world: World) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    metadata = {"name": "kubelet-serving-approver"}
    create(world.admin, leases, "coordination.k8s.io/v1", "Lease", metadata=metadata)


def judges_the_others(world: World, *arguments: str, text: str = "") -> None:
    """An honest request is approved before and after one that can't be read, told of once.

    What is nested is no obstacle: it is approved or refused as any other.
    """
    process, log = judging(world, *arguments, text=text)
    try:
        world.await_approval(world.ask("node-2"), process, log)
        refused = [world.ask("node-1", written=long)]
        world.write_node("node-1", long)
        world.await_approval(world.ask("node-2"), process, log)
        world.write_node("node-1", nested)
        refused.append(world.ask("node-1", written=nested, claims="node-2"))
        world.await_approval(world.ask("node-2", written=nested), process, log)
    finally:
        process.terminate()
        process.wait()
    told = log.read_text()
    assert told.count(f"{refused[0]} is refused: {TOO_LONG}") == 1, told
    assert refused[1] in told
    assert not any(world.is_approved(csr) for csr in refused)
    for csr in refused:
        world.delete(csr)


def test_a_gate_judges_the_others_beside_what_was_there_and_what_comes(world: World) -> None:
    there = world.ask("node-1", written=long)
    world.write_node("node-1", long)
    text = json.dumps(orders(world.cluster, world.uids))
    judges_the_others(world, "gate", text=text)
    world.delete(there)


def test_the_approver_judges_the_others(world: World, serve: tuple[str, ...]) -> None:
    there = world.ask("node-1", written=long)
    world.write_node("node-1", long)
    judges_the_others(world, *serve)
    world.delete(there)


def test_many_nested_requests_are_read_as_fast_as_others(
    world: World, serve: tuple[str, ...]
) -> None:
    there = [world.ask("node-1", written=nested, claims="node-2") for _ in range(100)]
    there.append(world.ask("node-2", written=nested))
    process, log = judging(world, *serve)
    try:
        world.await_approval(there[-1], process, log)
    finally:
        process.terminate()
        process.wait()
        for csr in there:
            world.delete(csr)


@pytest.mark.parametrize("command", ["gate", "serve"])
def test_names_of_requests_are_those_that_kubelets_give(
    world: World, serve: tuple[str, ...], command: str
) -> None:
    """A node's own requests, honest but for their names: refused, and the others are judged."""
    arguments, text = serve, ""
    if command == "gate":
        arguments, text = ("gate",), json.dumps(orders(world.cluster, world.uids))
    before = [world.ask("node-2", csr=f"{name}.") for name in ODD_NAMES]
    process, log = judging(world, *arguments, text=text)
    odd = [*before]
    try:
        world.await_approval(world.ask("node-2"), process, log)
        odd += [world.ask("node-2", csr=name) for name in ODD_NAMES]
        time.sleep(GRACE_S + 2)  # a right that is missing for so long ends it
        world.await_approval(world.ask("node-2"), process, log)
    finally:
        process.terminate()
        process.wait()
        approved = [csr for csr in odd if world.is_approved(csr)]
        for csr in odd:
            world.delete(csr)
    assert not approved
    told = log.read_text()
    assert "its name is not one that a kubelet gives" in told
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) < 1000


def test_what_is_left_of_a_flood_is_read_again(world: World, serve: tuple[str, ...]) -> None:
    honest = world.ask("node-2")
    time.sleep(1.1)  # what is younger is so by a whole second
    junk = [world.ask("node-2", claims="node-1") for _ in range(MOST_PENDING + 5)]
    process, log = judging(world, *serve)
    try:
        end = time.monotonic() + LIMIT_S
        while "requests of system:node:node-2 are pending" not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        assert not world.is_approved(honest)
        for csr in junk:
            world.delete(csr)
        world.await_approval(honest, process, log)
    finally:
        process.terminate()
        process.wait()


def test_the_status_shows_the_others(world: World) -> None:
    refused = world.ask("node-1", written=long)
    shown = subprocess.run(
        [sys.executable, "-m", "command_line", "status", "--kubeconfig", world.cluster.kubeconfig],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "node-2" in shown.stdout
    assert f"{refused} is left out: {TOO_LONG}" in shown.stdout
    world.delete(refused)


def test_a_wave_is_told_of_a_node_that_can_not_be_read(world: World) -> None:
    world.write_node("node-1", long)
    found = asyncio.run(not_ready(json.dumps(orders(world.cluster, world.uids))))
    assert (found["node-1"], found["node-2"]) == (TOO_LONG, "")


def test_a_node_leaves_whatever_it_has_written(world: World) -> None:
    world.write_node("node-1", nested)
    left = subprocess.run(
        [
            *(sys.executable, "-m", "admission", "leave", "node-1"),
            *("--kubeconfig", str(world.cluster.kubeconfig), "--force"),
        ],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert left.returncode == 0, left.stderr
    assert world.cluster.gone(f"{NODES}/node-1")
