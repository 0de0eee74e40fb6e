"""What is wrong in the settings is told at once, each with its path and what to do."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components.conflicts import conflicts
from components.problems import SettingsError
from components.settings import Settings, parse, plain


def with_node(**changes: Any) -> dict[str, Any]:
    return {"pools": {"workers": {"nodes": [{"name": "n1", "address": "10.0.0.1", **changes}]}}}


NODE = "pools.workers.nodes[0]"

WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "address": (
        with_node(address="10.0.0.300"),
        f'{NODE}.address "10.0.0.300" is not an IP address; give the address on which the'
        " machine's sshd listens",
    ),
    "name": (with_node(name="Node_1"), f'{NODE}.name "Node_1" is not a name in lower-case'),
    "near miss": (
        with_node(adress="10.0.0.1"),
        f"{NODE}.adress is no known key; did you mean addr",
    ),
    "no near miss": (with_node(colour="red"), f"{NODE}.colour is no known key; remove it"),
    "missing": (
        {"pools": {"workers": {"nodes": [{"name": "n1"}]}}},
        f"{NODE}.address is missing",
    ),
    "generation": (with_node(generation=0), f'{NODE}.generation "0" input should be greater'),
    "taint": (with_node(taints=["a=b"]), f'{NODE}.taints[0] "a=b" is not a taint such as'),
    "zone": (with_node(address="fe80::1%eth0"), "is not an IP address"),
    "label": (with_node(labels={"a": "b c"}), "is not a label's value"),
    "label with a slash": (with_node(labels={"a": "b/c"}), "is not a label's value"),
    "long label": (with_node(labels={"a": "b" * 64}), "is not a label's value"),
    "label's name": (with_node(labels={"a/b/c": "d"}), "is not a label's name"),
    "label without a name": (with_node(labels={"": "d"}), "is not a label's name"),
    "pool name": ({"pools": {"a.b": {}}}, "pools.a.b"),
    "server": ({"cluster": {"server": "http://x:6443"}}, "cluster.server"),
    "network": ({"cluster": {"serviceCidr": "10.96.0.1/12"}}, "is not a network such as"),
    "port": ({"ssh": {"port": 70000}}, 'ssh.port "70000"'),
    "token time": ({"token": {"ttlMinutes": 1}}, 'token.ttlMinutes "1"'),
    "token end": ({"token": {"afterJoin": "forget"}}, 'token.afterJoin "forget"'),
    "token scope": ({"token": {"scope": "rack"}}, 'token.scope "rack"'),
    "approval": ({"approval": {"client": "nobody"}}, 'approval.client "nobody"'),
    "approval's key": ({"approval": {"cliient": "gate"}}, "did you mean client?"),
    "check": ({"skipClusterChecks": ["clocks"]}, 'skipClusterChecks[0] "clocks"'),
    "version": ({"kubernetesVersion": "1.20"}, 'kubernetesVersion "1.20"'),
    "user data": (
        {"pools": {"workers": {"cloudInit": {"withTokens": True}}}},
        "cloudInit.withTokens is no known key; did you mean withToken?",
    ),
    "repair": ({"repair": -1}, 'repair "-1" input should be greater'),
    "host key file": ({"ssh": {"knownHostPath": "x"}}, "did you mean knownHostsPath?"),
    "runtime": (
        {"pools": {"workers": {"runtimeEndpoint": "/run/x.sock"}}},
        "pools.workers.runtimeEndpoint",
    ),
    "a map for a list": ({"pools": {"workers": {"nodes": {"n1": "10.0.0.1"}}}}, "nodes is no list"),
    "nothing for a list": ({"pools": {"workers": {"nodes": None}}}, "nodes is no list"),
    "a list for a map": ({"pools": [{"name": "workers"}]}, "pools is no map"),
    "nothing for a pool": ({"pools": {"workers": None}}, "pools.workers is no map"),
    "a text for a host": ({"controlPlane": {"hosts": ["cp-1"]}}, "hosts[0] is no map"),
}


@pytest.mark.parametrize(("raw", "message"), WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_form_is_told_with_its_path(
    raw: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as error:
        parse(raw)
    assert message in str(error.value)


def test_a_text_in_the_place_of_another_type_is_told_with_all_other_problems() -> None:
    texts = {"stallSeconds": "2m", "repair": "true", "embedCa": "maybe", "pools": "hunter2"}
    pulumi.runtime.set_all_config({f"typed:{key}": text for key, text in texts.items()})
    try:
        with pytest.raises(SettingsError) as error:
            parse(plain(pulumi.Config("typed")))
    finally:
        pulumi.runtime.set_all_config({})
    assert {problem.path for problem in error.value.problems} == set(texts)
    assert 'stallSeconds "2m" input should be a valid integer' in str(error.value)
    assert "hunter2" not in str(error.value)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        parse(with_node(address="x", generation=-1, colour="red"))
    assert len(error.value.problems) == 3
    assert str(error.value).startswith("3 problems in the settings, nothing was touched:")


def nodes(*entries: dict[str, Any], **settings: Any) -> Settings:
    return parse({"pools": {"workers": {"nodes": list(entries)}}, **settings})


CONFLICTS: dict[str, tuple[Settings, str]] = {
    "a name twice": (
        nodes({"name": "a", "address": "10.0.0.1"}, {"name": "a", "address": "10.0.0.2"}),
        'nodes[1].name "a" is there twice',
    ),
    "an address twice": (
        nodes({"name": "a", "address": "10.0.0.1"}, {"name": "b", "address": "10.0.0.1"}),
        'nodes[1].address "10.0.0.1" is there twice',
    ),
    "a control-plane host's address": (
        nodes(
            {"name": "a", "address": "10.0.0.1"},
            controlPlane={"hosts": [{"name": "cp", "address": "10.0.0.1"}]},
        ),
        "is there twice",
    ),
    "two addresses of a family": (
        nodes({"name": "a", "address": "10.0.0.1", "addresses": ["10.0.0.2"]}),
        "two addresses of one family",
    ),
    "an address of a service": (
        nodes({"name": "a", "address": "10.96.0.7"}),
        "is one of cluster.serviceCidr",
    ),
    "a token in user data that is revoked": (
        parse({"pools": {"w": {"cloudInit": {"withToken": True}}}}),
        "pools.w.cloudInit.withToken can't be with token.afterJoin revoke",
    ),
    "a token of the pool where the gate approves": (
        nodes(approval={"client": "gate"}),
        'token.scope is "pool", and approval.client is "gate"; a token of the whole pool does not'
        " say which machine holds it, so set token.scope to node",
    ),
    "a token that outlives the trace of its use": (
        nodes(approval={"client": "gate"}, token={"scope": "node", "ttlMinutes": 61}),
        'token.ttlMinutes "61" is more than 60',
    ),
    "approval by hand and by the resident approver": (
        nodes(approval={"serving": "manual"}, approver={"enabled": True, "image": "x"}),
        'approval.serving is "manual", and approver.enabled is true',
    ),
    "names too long for a token's group": (
        parse(
            {
                "token": {"scope": "node"},
                "pools": {"p" * 63: {"nodes": [{"name": "n" + ".n" * 120, "address": "10.0.0.1"}]}},
            }
        ),
        "too many for a token's group",
    ),
    "a protected field": (
        nodes({"name": "a", "address": "10.0.0.1", "kubelet": {"rotateCertificates": False}}),
        "nodes[0].kubelet.rotateCertificates can't be overridden: without it the node drops out",
    ),
    "a field's near miss": (
        nodes({"name": "a", "address": "10.0.0.1", "kubelet": {"maxPod": 1}}),
        "nodes[0].kubelet.maxPod is not a field of KubeletConfiguration in 1.37;"
        " did you mean maxPods",
    ),
    "a pool's and a node's fields": (
        parse(
            {
                "pools": {
                    "workers": {
                        "kubelet": {"imageGCHighThresholdPercent": 90},
                        "nodes": [
                            {
                                "name": "a",
                                "address": "10.0.0.1",
                                "kubelet": {"imageGCLowThresholdPercent": 95},
                            }
                        ],
                    }
                }
            }
        ),
        "nodes[0].kubelet.imageGCLowThresholdPercent makes imageGCLowThresholdPercent 95,"
        " which is not",
    ),
}


@pytest.mark.parametrize(("settings", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_values_that_do_not_fit_together_are_told(settings: Settings, message: str) -> None:
    assert message in "\n".join(map(str, conflicts(settings)))


def test_a_problem_of_a_pool_is_told_once() -> None:
    kubelet = {"maxPod": 1, "cgroupsPerQOS": False}
    entries = [{"name": f"n{i}", "address": f"10.0.0.{i}"} for i in range(1, 50)]
    for fault in ("maxPod", "cgroupsPerQOS"):
        pool = {"kubelet": {fault: kubelet[fault]}, "nodes": entries}
        (problem,) = conflicts(parse({"pools": {"workers": pool}}))
        assert problem.path == f"pools.workers.kubelet.{fault}"


def test_two_families_fit_together() -> None:
    settings = nodes({"name": "a", "address": "10.0.0.1", "addresses": ["fd00::1"]})
    assert list(conflicts(settings)) == []


def test_the_gate_approves_with_a_token_for_each_node() -> None:
    settings = nodes(
        {"name": "a.b", "address": "10.0.0.1"},
        approval={"client": "gate", "serving": "manual"},
        token={"scope": "node"},
        skipClusterChecks=["clock", "token-cleaner"],
    )
    assert list(conflicts(settings)) == []


def test_addresses_are_compared_in_one_form() -> None:
    settings = nodes(
        {"name": "a", "address": "fd00::1"}, {"name": "b", "address": "fd00:0:0:0:0:0:0:1"}
    )
    assert len(list(conflicts(settings))) == 2


@pytest.mark.parametrize(
    ("given", "asked"), [(True, False), ({}, False), ({"withToken": True}, True), (False, None)]
)
def test_user_data_is_asked_for_by_a_word_or_with_options(given: Any, asked: bool | None) -> None:
    pool = parse({"pools": {"w": {"cloudInit": given}}}).pools["w"]
    assert (pool.cloud_init and pool.cloud_init.with_token) == asked


def test_a_key_of_the_stack_that_there_is_not_is_refused_and_not_passed_over() -> None:
    pulumi.runtime.set_all_config({"p:tokens": "s3cret", "p:repair": "1", "q:tokens": "1"})
    try:
        raw = plain(pulumi.Config("p"))
    finally:
        pulumi.runtime.set_all_config({})
    with pytest.raises(SettingsError) as error:
        parse(raw)
    (problem,) = error.value.problems
    assert str(problem) == "tokens is no known key; did you mean token?"
