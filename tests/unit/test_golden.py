"""What nodes get by their settings, compared as whole files under tests/golden.

`make golden` writes those files anew.
"""

import os
from pathlib import Path
from typing import Any

import pytest

import node_files
from node_files import Cluster, Node
from node_files.scripts import MARKER
from settings import checks
from settings.parsing import parse
from stack.nodes import to_node

GOLDEN = Path(__file__).parents[1] / "golden"
CLUSTER = Cluster(
    name="lab",
    server="https://10.98.0.10:6443",
    ca_certificate="-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n",
    dns_addresses=("10.97.0.10",),
)
NAME = {"name": "node-1"}
IPV4 = {"address": "10.98.0.11"}

# The file's name -> the settings of a node.
CASES: dict[str, dict[str, Any]] = {
    "classic": {**IPV4, "preset": "classic"},
    "cis": {**IPV4, "preset": "cis"},
    "crio": {**IPV4, "runtime": "crio"},
    "cri-dockerd": {**IPV4, "runtime": "cri-dockerd"},
    "drop-in": {**IPV4, "unit": "drop-in", "watchdogSeconds": 60},
    "1.24": {**IPV4, "kubernetesVersion": "1.24"},
    "1.28": {**IPV4, "kubernetesVersion": "1.28"},
    "1.31": {**IPV4, "kubernetesVersion": "1.31"},
    "1.35": {**IPV4, "kubernetesVersion": "1.35"},
    "cis-1.24": {**IPV4, "preset": "cis", "kubernetesVersion": "1.24"},
    "ipv6": {"address": "fd00:98::11"},
    "dual-stack": {**IPV4, "addresses": ["fd00:98::11"]},
}
JOINS: dict[str, dict[str, Any]] = {
    "join-classic": {**IPV4, "preset": "classic"},
    "join-embedded-ca": {**IPV4, "embedCa": True},
}


def node(said: dict[str, Any]) -> Node:
    pools = {"workers": {"nodes": [{**NAME, **said}]}}
    settings = parse({"cluster": {"serviceCidr": "10.97.0.0/16"}, "pools": pools})
    assert list(checks.problems(settings)) == []
    pool = settings.pools["workers"]
    return to_node(settings, pool, pool.nodes[0])


def check(name: str, stdin: str) -> None:
    rendered = stdin.partition(f"\n{MARKER}\n")[2]
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(rendered)
    assert rendered == path.read_text()


@pytest.mark.parametrize("name", CASES)
def test_a_bundle_is_as_the_golden_file_says(name: str) -> None:
    check(name, node_files.bundle(CLUSTER, node(CASES[name])))


@pytest.mark.parametrize("name", JOINS)
def test_a_join_is_as_the_golden_file_says(name: str) -> None:
    check(name, node_files.join_bundle(CLUSTER, node(JOINS[name]), "abcdef", "0123456789abcdef"))


def test_a_node_without_settings_of_its_own_is_the_default_one() -> None:
    rendered = node_files.bundle(CLUSTER, node(IPV4)).partition(f"\n{MARKER}\n")[2]
    assert rendered == (GOLDEN / "default.txt").read_text()
