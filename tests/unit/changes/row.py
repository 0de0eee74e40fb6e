"""A row of docs/changes.md, and the stack that each change is made to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.unit.certificates import authority
from tests.unit.changes.program import World

Change = Callable[[World], None]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A change of the settings, and what cannot be seen in the resources that it touches."""

    title: str
    change: Change
    note: str
    first: Change | None = None
    """What is different in the stack before the change."""
    tests: tuple[str, ...] = ()
    """The tests that show on a machine or in a cluster what the note says: FILE::TEST."""


def both(*changes: Change) -> Change:
    """Return one change that makes all of these."""

    def make(world: World) -> None:
        for change in changes:
            change(world)

    return make


def stack(**values: Any) -> Change:
    """Return the change of keys of the stack, or of the keys in one of its maps; None removes."""
    return lambda world: _merge(world.settings, values)


def pool(name: str, **values: Any) -> Change:
    return lambda world: _merge(world.pool(name), values)


def node(name: str, **values: Any) -> Change:
    return lambda world: _merge(world.node(name), values)


def add(pool: str, name: str, address: str) -> Change:
    return lambda world: world.pool(pool)["nodes"].append(machine(name, address))


def remove(pool: str, *names: str) -> Change:
    def make(world: World) -> None:
        listed = world.pool(pool)["nodes"]
        listed[:] = [entry for entry in listed if entry["name"] not in names]

    return make


def move(name: str, old: str, new: str) -> Change:
    def make(world: World) -> None:
        entry = world.node(name)
        world.pool(old)["nodes"].remove(entry)
        world.pool(new)["nodes"].append(entry)

    return make


def rename_pool(old: str, new: str) -> Change:
    def make(world: World) -> None:
        pools = world.settings["pools"]
        pools[new] = pools.pop(old)

    return make


def remove_pool(name: str) -> Change:
    def make(world: World) -> None:
        del world.settings["pools"][name]

    return make


def add_pool(name: str, *nodes: dict[str, Any]) -> Change:
    return lambda world: world.settings["pools"].update({name: {"nodes": list(nodes)}})


def remove_all_pools(world: World) -> None:
    world.settings["pools"].clear()


def add_host_as_node(host: dict[str, Any], pool: str) -> Change:
    return lambda world: world.pool(pool)["nodes"].append(host)


def swap_addresses(one: str, other: str) -> Change:
    def make(world: World) -> None:
        a, b = world.node(one), world.node(other)
        a["address"], b["address"] = b["address"], a["address"]

    return make


def hosts(*entries: dict[str, Any]) -> Change:
    return lambda world: world.settings["controlPlane"].update(hosts=list(entries))


def file(name: str, content: bytes) -> Change:
    return lambda world: world.files.update({name: content})


def _merge(place: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            place.pop(key, None)
        elif isinstance(value, dict) and isinstance(place.get(key), dict):
            _merge(place[key], value)
        else:
            place[key] = value


def machine(name: str, address: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "address": address, "hostKey": HOST_KEY, **more}


def kubeconfig(server: str = "https://api.example.org:6443", token: str = "one") -> bytes:  # noqa: S107
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    return yaml.safe_dump(document).encode()


def private_key() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


KEY, OTHER_KEY = private_key(), private_key()
OLD_CA, NEW_CA = authority(days=9), authority(days=99)
CP_1, CP_2 = machine("cp-1", "10.0.0.1"), machine("cp-2", "10.0.0.2")


def world() -> World:
    """Return the stack before a change: two pools, three nodes that have joined, two hosts."""
    return World(
        settings={
            "kubeconfigPath": "kubeconfig",
            "cluster": {"caPath": "ca.crt"},
            "ssh": {"privateKeyPath": "key"},
            "controlPlane": {"manage": True, "hosts": [CP_1, CP_2]},
            "pools": {
                "workers": {
                    "nodes": [machine("node-1", "10.0.0.11"), machine("node-2", "10.0.0.12")]
                },
                "storage": {"nodes": [machine("node-3", "10.0.0.13")]},
            },
        },
        files={
            "kubeconfig": kubeconfig(),
            "other-kubeconfig": kubeconfig(),
            "ca.crt": OLD_CA,
            "key": KEY,
            "other-key": OTHER_KEY,
        },
    )
