"""The kubelet's own decoder, defaults and validation agree with ours, in the lab's version."""

from typing import Any

import pytest

from node_files import Cluster, Node, versions
from node_files.kubelet_configuration import kubelet_configuration, merge, to_yaml
from node_files.versions.defaults import leaves
from tests.contract import judges
from tests.unit.test_versions import LATEST, RIGHT, WRONG
from tests.unit.test_versions_seed import whole

pytestmark = pytest.mark.contract

HEAD = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "serverTLSBootstrap": True,
    "failCgroupV1": False,  # whatever host the test runs on
}
# What a kubelet swallows, or finds only after its validation: why we look at it here.
SWALLOWED = {
    "a typing error", "the wrong case", "a field of another place", "a flag's name",
    "no field at all", "a nested typing error", "in a list of structures",  # one line in its log
    "null in a list", "a null above what is protected",  # read as not set
    "a negative duration", "a constant of Go", "a DNS name",
    # Found later, when the part that reads it starts.
    "a cipher", "an eviction signal", "a threshold", "a share", "a grace period missing",
    "a reservation", "a resource", "no size",
}  # fmt: skip


@pytest.fixture(scope="module")
def judgement(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the kubelet says of every case, and its defaults."""
    program = judges.build(LATEST, tmp_path_factory.mktemp("kubelet_judge"))
    return judges.ask(program, {name: to_yaml(given) for name, given in cases().items()}, {})


# Text that one reader of YAML or another takes for something else.
TRICKY = [
    "y", "n", "Y", "yes", "off", "~", "null", "true", "1", "1.0", "1e9", "1E3", "-1e-3", ".5",
    "1_0", "0o14", "0x1f", "0b1", "010", "12:30:45", ".inf", "-.inf", ".nan", "2020-01-01", "=",
    "<<", "a: b", "- a", "a #b", "#", "'", '"', "\\", "%a", "@a", "`", "*a", "&a", "!a", "|", ">",
    "? a", "[a", "{a", "a\nb", " a ", "\u2028", "\x85", "\U0001f600", "\ufeff", "\t", "---", "...",
    "1e", "e1", "+", "0.",
]  # fmt: skip


def cases() -> dict[str, Any]:
    cluster = Cluster(name="c", server="https://10.0.0.1:6443", ca_certificate="")
    node = Node(name="n", addresses=("10.0.0.2",), kubelet={**whole(), "failCgroupV1": False})
    wrong = {f"wrong: {n}": {**HEAD, **o} for n, (o, v, _, _) in WRONG.items() if v == LATEST}
    right = {f"right: {n}": merge(HEAD, o) for n, (o, v) in RIGHT.items() if v == LATEST}
    procedure = {
        "right: the procedure": {**HEAD, **whole()},
        "right: what we make of it": kubelet_configuration(cluster, node),
    }
    tricky = {f"tricky: {text}": {**HEAD, "providerID": text} for text in TRICKY}
    return {**wrong, **right, **procedure, **tricky}


def test_the_kubelet_reads_the_text_that_we_wrote(judgement: dict[str, Any]) -> None:
    for text in TRICKY:
        assert judgement["said"][f"tricky: {text}"] == ""
        assert judgement["providers"][f"tricky: {text}"] == text


def test_what_we_let_through_the_kubelet_takes(judgement: dict[str, Any]) -> None:
    refused = {n: s for n, s in judgement["said"].items() if n.startswith("right: ") and s}
    assert refused == {}


def test_what_the_kubelet_refuses_we_refuse_before_it(judgement: dict[str, Any]) -> None:
    said = {n.partition(": ")[2]: s for n, s in judgement["said"].items() if n.startswith("wrong")}
    assert {name for name, reason in said.items() if not reason} == SWALLOWED
    assert said["beyond 32 bits"].startswith("failed to decode")


def test_the_defaults_of_the_table_are_the_kubelets(judgement: dict[str, Any]) -> None:
    real = dict(leaves(judgement["defaults"]))
    table = {p: f.default for p, f in versions.fields(LATEST).items() if f.default is not None}
    unset = {path: value for path, value in table.items() if path not in real}
    # Set later, after the drop-in files; and what is zero is not printed.
    assert unset.pop("evictionHard")["memory.available"] == "100Mi"
    assert [path for path, value in unset.items() if value] == []
    assert {path: table.get(path) for path in real} == real
