"""The rendered files: compared whole, and no value can break out of where it stands."""

import dataclasses
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import node_files
from node_files import Cluster, Node, Paths
from node_files.scripts import MARKER
from node_files.systemd import arguments

GOLDEN = Path(__file__).parents[1] / "golden"
CLUSTER = Cluster(
    name="lab",
    server="https://10.98.0.10:6443",
    ca_certificate="-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n",
    dns_addresses=("10.97.0.10",),
)
CASES = {
    "default": Node(name="node-1", addresses=("10.98.0.11",)),
    "overridden": Node(
        name="node-2.example.org",
        addresses=("10.98.0.12", "fd00::12"),
        generation=2,
        kubelet={
            "cgroupDriver": None,
            "evictionHard": {"memory.available": "1Gi"},
            "maxPods": 50,
        },
        labels={"example.org/rack": "r1", "a": ""},
        taints=("dedicated=db:NoSchedule", "slow:PreferNoSchedule"),
        runtime="crio",
        runtime_endpoint="unix:///run/crio/crio.sock",
    ),
}

# Timings say nothing on a machine that others use too.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


def data(bundle: str) -> str:
    return bundle.partition(f"\n{MARKER}\n")[2]


@pytest.mark.parametrize("name", CASES)
def test_a_bundle_is_as_the_golden_file_says(name: str) -> None:
    rendered = data(node_files.bundle(CLUSTER, CASES[name]))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(rendered)
    assert rendered == path.read_text()


def test_a_bundle_holds_nothing_that_changes_with_the_pool_or_the_day() -> None:
    node = CASES["default"]
    assert node_files.bundle(CLUSTER, node) == node_files.bundle(CLUSTER, node)


def unquote(bundle: str) -> dict[str, str]:
    """The files of a bundle, read by its documented form alone."""
    found: dict[str, str] = {}
    path = ""
    for line in data(bundle).split("\n"):
        if line.startswith("file "):
            path = line.split(" ")[5]
            found[path] = ""
        elif line == "|" or line.startswith("| "):
            found[path] += line[2:] + "\n"
    return found


@given(text)
def test_no_value_breaks_out_of_its_file(value: str) -> None:
    node = Node(name="n", addresses=("10.0.0.1",), kubelet={"providerID": value})
    found = unquote(node_files.bundle(CLUSTER, node))
    written = {file.path: file.content for file in node_files.files(CLUSTER, node)}
    assert found == written
    assert yaml.safe_load(found[Paths().config]).get("providerID", "") == value


@given(text)
def test_no_certificate_text_breaks_out_of_its_file(value: str) -> None:
    cluster = Cluster(name="c", server="https://x", ca_certificate=value)
    found = unquote(node_files.bundle(cluster, CASES["default"]))
    assert found[Paths().ca].removesuffix("\n") == value.removesuffix("\n")
    assert len(found) == 4


@given(text)
def test_an_argument_is_plain_or_refused(value: str) -> None:
    node = Node(name="n", addresses=("10.0.0.1",), labels={"a": value})
    try:
        listed = arguments(node)
    except ValueError as error:
        assert "give a value without them" in str(error)
    else:
        assert not set(" \t\n\"'\\$%;|&<>`") & set("".join(listed))


@pytest.mark.parametrize("path", ["relative", "/a b", "/a/../b", "/a\n/b", "/", "/a/$HOME", ""])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    node = Node(name="n", addresses=("10.0.0.1",), paths=Paths(ca=path))
    with pytest.raises(ValueError, match="give another path"):
        node_files.bundle(CLUSTER, node)


def lines(node: Node) -> list[str]:
    return data(node_files.bundle(CLUSTER, node)).split("\n")


def test_a_bundle_says_which_checks_are_not_made_and_why_they_are_not() -> None:
    fields = {"failSwapOn": False, "failCgroupV1": False, "resolvConf": ""}
    skipped = ("clock", "port")
    node = Node(name="n", addresses=("10.0.0.1",), kubelet=fields, skip_checks=skipped)
    said = [line for line in lines(node) if line.startswith(("skip ", "without ", "resolver "))]
    assert said == [
        *("without resolver", "without cgroup", "without swap"),
        *("skip clock", "skip port"),
    ]


def test_a_raised_repair_changes_one_line() -> None:
    node = CASES["default"]
    added = set(lines(dataclasses.replace(node, repair=2))) - set(lines(node))
    assert added == {"repair 2"}


def test_acls_owners_and_types_are_words_of_the_bundle() -> None:
    paths = Paths(user="kube", group="kube", kubeconfig_acl=("u:kube:r",))
    said = lines(Node(name="n", addresses=("10.0.0.1",), paths=paths))
    assert "dir 0700 kube kube /var/lib/kubelet" in said
    at = said.index("acl u:kube:r")
    assert said[at - 1] == "made /etc/kubernetes/kubelet.conf"


WORDS = ["u:kube:r x", "", "u:a\nend", "$(id)", "a'b"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_is_not_plain_is_refused(word: str) -> None:
    for paths in (Paths(kubeconfig_acl=(word,)), Paths(user=word), Paths(group=word)):
        with pytest.raises(ValueError, match="use only letters, digits"):
            node_files.bundle(CLUSTER, Node(name="n", addresses=("10.0.0.1",), paths=paths))


def test_a_resolver_can_not_break_out_of_its_line() -> None:
    node = Node(name="n", addresses=("10.0.0.1",), kubelet={"resolvConf": "/a\nend"})
    with pytest.raises(ValueError, match="give another path"):
        node_files.bundle(CLUSTER, node)


def test_of_a_packages_unit_only_a_drop_in_is_written() -> None:
    node = dataclasses.replace(CASES["default"], unit_drop_in=True)
    said = [line for line in lines(node) if "/systemd/" in line and not line.startswith("|")]
    assert said == [
        "dir 0755 root root /etc/systemd/system/kubelet.service.d",
        "file 0600 root root unit"
        " /etc/systemd/system/kubelet.service.d/90-kubelet-tls-bootstrap.conf",
    ]


def test_overrides_that_must_not_be_are_all_named() -> None:
    overrides = {"rotateCertificates": False, "maxPod": 1}
    node = Node(name="n", addresses=("10.0.0.1",), kubelet=overrides)
    with pytest.raises(ValueError, match=r"maxPod is not a field.*\nrotateCertificates can't"):
        node_files.files(CLUSTER, node)


MERGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
    ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
    ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
]


@pytest.mark.parametrize(("base", "override", "merged"), MERGES)
def test_overrides_merge_as_a_json_merge_patch(
    base: dict[str, Any], override: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert node_files.merge(base, override) == merged


def test_the_join_holds_the_token_and_the_bundle_does_not() -> None:
    node = CASES["default"]
    joined = data(node_files.join_bundle(CLUSTER, node, "abcdef", "0123456789abcdef"))
    assert "|     token: abcdef.0123456789abcdef" in joined
    assert "0123456789abcdef" not in node_files.bundle(CLUSTER, node)


def test_commands_are_short() -> None:
    """The state of each node has them twice."""
    node = CASES["default"]
    assert len(node_files.install(node)) < 100
    assert len(node_files.remove(node)) < 700


def test_a_state_knows_of_a_bundle_its_hash_and_the_nodes_own_lines() -> None:
    node = CASES["default"]
    known = node_files.known(CLUSTER, node).split("\n")
    shared = node_files.shared(CLUSTER, node)
    bundle = node_files.bundle(CLUSTER, node)
    assert known[0] == f"bundle {hashlib.sha256(bundle.encode()).hexdigest()}"
    assert known[1:] == ["node node-1", "generation 1", "addresses 10.98.0.11", "end", ""]
    assert not {node.name, *node.addresses} & set(re.findall(r"[\w.-]+", shared))
    whose = node_files.known(CLUSTER, dataclasses.replace(node, stack="o/p/s")).split("\n")
    assert whose[1:4] == ["node node-1", "stack o/p/s", "generation 1"]
