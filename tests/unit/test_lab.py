"""What the lab refuses to start on, how it knows what is its own, and how its cache heals."""

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import cgroups, network
from lab.cache import Entry, content_hash
from lab.environment import variables
from lab.errors import LabError
from lab.layout import Layout
from lab.memory import GIB
from lab.plugin_choice import PROVIDERS, own_plugins
from lab.preflight import Facts, problems
from lab.toolchain import Toolchain, pulumi_fits

FIT = Facts(uid=0, system="Linux", architecture="x86_64", free=(("/lab", 9 * GIB, GIB),))
HERE = Path("/srv/project/.lab")


def test_a_fit_machine_has_no_problem() -> None:
    assert problems(FIT) == []


@pytest.mark.parametrize(
    ("facts", "problem", "remedy"),
    [
        (replace(FIT, uid=1000), "the lab runs as user 1000", "sudo"),
        (replace(FIT, architecture="aarch64"), "this is Linux on aarch64", "such a machine"),
        (replace(FIT, system="Darwin"), "this is Darwin on x86_64", "such a machine"),
        (
            replace(FIT, missing_programs=("debootstrap", "ip")),
            "not installed: debootstrap, ip",
            "apt-get install --yes --no-install-recommends debootstrap iproute2",
        ),
        (replace(FIT, missing_namespaces=("net",)), "no net namespaces", "CONFIG_NAMESPACES"),
        (replace(FIT, bridges=False), "can't make a bridge", "modprobe bridge veth"),
        (replace(FIT, overlays=False), "no overlay can be mounted", "LAB_DIR="),
        (replace(FIT, systemd_cgroups=False), "no cgroup hierarchy", "mount -t cgroup2"),
        (
            replace(FIT, bridged_traffic_dropped=True),
            "drops bridged traffic",
            "iptables -I FORWARD",
        ),
        (
            replace(FIT, free=(("/cache", GIB // 2, 6 * GIB),)),
            "/cache has 0.5 GiB free, but 6 are needed",
            "LAB_CACHE=",
        ),
        (
            replace(FIT, memory=(5 * GIB // 2, 4 * GIB)),
            "2.5 GiB of memory are available, but building the programs takes 4",
            "add swap",
        ),
    ],
)
def test_an_unfit_machine_gets_one_problem_and_what_to_do(
    facts: Facts, problem: str, remedy: str
) -> None:
    (found,) = problems(facts)
    assert problem in found.problem
    assert remedy in found.remedy


def link(name: str, address: str = "", alias: str = "") -> dict[str, Any]:
    addresses = [{"local": address}] if address else []
    return {"ifname": name, "ifalias": alias, "addr_info": addresses}


OURS = link(network.BRIDGE, network.HOST_ADDRESS, f"{network.ALIAS}{HERE}")


@pytest.mark.parametrize(
    ("links", "routes"),
    [
        ([], []),
        ([link("eth0", "192.0.2.1")], [{"dst": "default", "dev": "eth0"}]),
        ([OURS], [{"dst": str(network.SUBNET), "dev": network.BRIDGE}]),
        ([], [{"dst": str(network.SUBNET), "protocol": network.ROUTE_PROTOCOL}]),
    ],
)
def test_a_network_that_is_free_or_our_own_is_no_conflict(
    links: list[dict[str, Any]], routes: list[dict[str, Any]]
) -> None:
    assert network.conflict(HERE, links, routes) is None


@pytest.mark.parametrize(
    ("links", "routes", "problem"),
    [
        ([link(network.BRIDGE)], [], "is not the lab's"),
        (
            [
                link(network.BRIDGE, alias=f"{network.ALIAS}/elsewhere"),
                link("vb-cp-1") | {"master": network.BRIDGE},
            ],
            [],
            "another lab runs from /elsewhere",
        ),
        ([link("eth1", "10.98.0.7")], [], "interface eth1 has the address 10.98.0.7"),
        ([], [{"dst": "10.98.0.0/25", "dev": "tun0"}], "a route to 10.98.0.0/25 by tun0"),
    ],
)
def test_somebody_elses_network_is_left_alone(
    links: list[dict[str, Any]], routes: list[dict[str, Any]], problem: str
) -> None:
    found = network.conflict(HERE, links, routes)
    assert found is not None
    assert problem in found.problem


def test_another_lab_that_is_starting_has_the_network(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = network.conflict(
            HERE, [link(network.BRIDGE, alias=f"{network.ALIAS}{tmp_path}")], []
        )
    assert found is not None
    assert f"another lab runs from {tmp_path}" in found.problem


def test_the_bridge_of_a_lab_whose_processes_were_killed_is_no_conflict(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    for directory in (tmp_path, tmp_path / "removed"):
        left = link(network.BRIDGE, alias=f"{network.ALIAS}{directory}")
        assert network.conflict(HERE, [left], []) is None


def maker(content: str, made: list[str]) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        made.append(content)
        (directory / "program").write_text(content)

    return make


def damage(path: Path) -> None:
    path.write_text("DAMAGED"[: len(path.read_text())])


def test_a_cache_entry_is_made_once(tmp_path: Path) -> None:
    made: list[str] = []
    entry = Entry(tmp_path, "set", content_hash(["recipe"]), ("program",))
    for _ in range(2):
        path = entry.ensure(maker("content", made), thorough=True)
        assert (path / "program").read_text() == "content"
    assert made == ["content"]


@pytest.mark.parametrize(
    "harm",
    [
        damage,
        lambda path: path.unlink(),
        lambda path: path.write_text("cont"),
        lambda path: path.with_name("checksums.json").write_text("{"),
    ],
)
def test_a_broken_cache_entry_is_made_again(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    made: list[str] = []
    entry = Entry(tmp_path, "set", content_hash(["recipe"]), ("program",))
    harm(entry.ensure(maker("content", made), thorough=True) / "program")
    path = entry.ensure(maker("content", made), thorough=True)
    assert (path / "program").read_text() == "content"
    assert made == ["content", "content"]


def test_an_interrupted_making_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "set", content_hash(["recipe"]), ("program",))

    def interrupted(directory: Path) -> None:
        (directory / "program").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entry.ensure(interrupted, thorough=False)
    assert not entry.present()
    made: list[str] = []
    assert (entry.ensure(maker("whole", made), thorough=False) / "program").read_text() == "whole"


def test_two_recipes_that_join_to_one_text_have_two_entries() -> None:
    assert content_hash(["ab", "c"]) != content_hash(["a", "bc"])


@pytest.mark.parametrize(
    ("version", "fits"),
    [("v3.259.0", True), ("v3.300.1", True), ("v3.258.9", False), ("v4.0.0", False), ("", False)],
)
def test_an_engine_on_path_is_used_if_it_does_what_ours_does(version: str, fits: bool) -> None:
    assert pulumi_fits(version) is fits


@pytest.mark.parametrize("name", ["LAB_DIR", "LAB_CACHE"])
def test_a_path_that_an_overlay_would_misread_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="colon, comma, quote"):
        Layout.find(environ={name: "/a:b"})


def test_systemds_hierarchies_are_found_on_both_kinds_of_hosts() -> None:
    unified = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    hybrid = (
        "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    )
    assert cgroups.hierarchies(unified) == [Path("/sys/fs/cgroup")]
    assert cgroups.hierarchies(hybrid) == [Path("/sys/fs/cgroup/systemd")]
    assert cgroups.hierarchies("33 1 0:29 / / rw - ext4 /dev/vda rw\n") == []


def test_plugins_that_are_not_installed_can_not_be_chosen(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "PULUMI_HOME": str(tmp_path)}
    assert own_plugins(environ)
    with pytest.raises(LabError, match="are not all on PATH"):
        own_plugins({**environ, "LAB_PLUGINS": "official"})
    with pytest.raises(LabError, match="is not a choice"):
        own_plugins({**environ, "LAB_PLUGINS": "mine"})


def test_installed_plugins_are_preferred_to_our_own(tmp_path: Path) -> None:
    for name in ("pulumi-language-python", *(f"pulumi-resource-{n}" for n in PROVIDERS)):
        (tmp_path / name).touch(mode=0o755)
    environ = {"PATH": str(tmp_path), "PULUMI_HOME": str(tmp_path / "home")}
    assert not own_plugins(environ)
    assert own_plugins({**environ, "LAB_PLUGINS": "own"})


def test_the_environment_can_be_set_twice(tmp_path: Path) -> None:
    toolchain = Toolchain(path=(Path("/cache/bin"),), node=(), control_plane=())
    environ = {"PATH": "/usr/bin", "PULUMI_HOME": str(tmp_path), "NO_PROXY": "example.org"}
    layout = Layout(tmp_path, tmp_path / "cache")
    once = variables(layout, toolchain, environ)
    twice = variables(layout, toolchain, {**environ, **once})
    assert once == twice
    assert once["NO_PROXY"] == f"example.org,{network.SUBNET}"
    assert once["PATH"].split(":")[0] == "/cache/bin"
