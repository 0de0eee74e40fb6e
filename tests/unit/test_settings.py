"""All problems with the settings are reported at once, each with its path and what to do."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from settings import checks
from settings.model import Settings
from settings.parsing import parse, plain
from settings.problem import SettingsError


def with_node(**changes: Any) -> dict[str, Any]:
    return {"pools": {"workers": {"nodes": [{"name": "n1", "address": "10.0.0.1", **changes}]}}}


NODE = "pools.workers.nodes[0]"

WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "address": (
        with_node(address="10.0.0.300"),
        f'{NODE}.address "10.0.0.300" is not an IP address; give the machine\'s own; sshAddress'
        " is for SSH alone, and may be a DNS name",
    ),
    "name": (with_node(name="Node_1"), f'{NODE}.name "Node_1" is not a name in lower-case'),
    "near miss": (
        with_node(adress="10.0.0.1"),
        f"{NODE}.adress is not a known key; did you mean addr",
    ),
    "no near miss": (with_node(colour="red"), f"{NODE}.colour is not a known key; remove it"),
    "missing": (
        {"pools": {"workers": {"nodes": [{"name": "n1"}]}}},
        f"{NODE}.address is missing",
    ),
    "generation": (with_node(generation=0), f"{NODE}.generation 0 is less than 1; give 1 or more"),
    "taint": (with_node(taints=["a=b"]), f'{NODE}.taints[0] "a=b" is not a taint such as'),
    "taint's key": (with_node(taints=["a/b/c:NoSchedule"]), "is not a taint such as"),
    "taint's prefix": (with_node(taints=["A.b/c:NoSchedule"]), "is not a taint such as"),
    "taint's value": (with_node(taints=["a=-b:NoSchedule"]), "is not a taint such as"),
    "long taint": (with_node(taints=["a" * 64 + ":NoSchedule"]), "is not a taint such as"),
    "annotation": (with_node(annotations={"a b": ""}), "is not an annotation's name"),
    "long prefix": (with_node(labels={"a." * 126 + "bc/d": ""}), "is not a label's name"),
    "zone": (with_node(address="fe80::1%eth0"), "is not an IP address"),
    "label": (with_node(labels={"a": "b c"}), "is not a label's value"),
    "label with a slash": (with_node(labels={"a": "b/c"}), "is not a label's value"),
    "long label": (with_node(labels={"a": "b" * 64}), "is not a label's value"),
    "label's name": (with_node(labels={"a/b/c": "d"}), "is not a label's name"),
    "label without a name": (with_node(labels={"": "d"}), "is not a label's name"),
    "pool name": ({"pools": {"a.b": {}}}, 'pools: "a.b" is not a pool\'s name; use'),
    "server": ({"cluster": {"server": "http://x:6443"}}, "cluster.server"),
    "network": ({"cluster": {"serviceCidr": "10.96.0.1/12"}}, "is not a network such as"),
    "two networks of a family": (
        {"cluster": {"serviceCidr": ["10.96.0.0/16", "10.97.0.0/16"]}},
        "is not one network, or one of IPv4 and one of IPv6; give no others",
    ),
    "no network": ({"cluster": {"serviceCidr": []}}, "cluster.serviceCidr"),
    "a network that is none": ({"cluster": {"serviceCidr": 10}}, "or a list of two"),
    "a certificate's address": (
        with_node(certificateAddresses=["10.0.0.300"]),
        'certificateAddresses[0] "10.0.0.300" is not an IP address',
    ),
    "port": ({"ssh": {"port": 70000}}, "ssh.port 70000 is not a number from 1 to 65535"),
    "no share": (
        {"rollout": {"maxUnavailable": 0}},
        "rollout.maxUnavailable 0 allows no node, so nothing could ever change; give 1 or more",
    ),
    "more than all": (
        {"rollout": {"maxUnavailable": "101%"}},
        'rollout.maxUnavailable "101%" is not a number from 0 or a percentage up to "100%"',
    ),
    "no percent": (
        {"rollout": {"maxUnavailable": "0%"}},
        'rollout.maxUnavailable "0%" allows no node, so nothing could ever change',
    ),
    "half a node": (
        {"rollout": {"maxUnavailable": 1.5}},
        "rollout.maxUnavailable 1.5 is not a number from 0 or a percentage",
    ),
    "no canary": ({"rollout": {"canary": 0}}, "rollout.canary 0 is less than 1; give 1 or more"),
    "pause": (
        {"pools": {"a": {"rollout": {"pauseSeconds": -1}}}},
        "pools.a.rollout.pauseSeconds -1 is not a number from 0 to 86400",
    ),
    "health": (
        {"rollout": {"healthSeconds": 1}},
        "rollout.healthSeconds 1 is not a number from 5 to 600",
    ),
    "removals by a word": (
        {"maxRemovals": "all"},
        'maxRemovals "all" is not a number from 0 or a percentage up to "100%"; give one such as 5',
    ),
    "removals below 0": (
        {"pools": {"workers": {"maxRemovals": -1}}},
        "pools.workers.maxRemovals -1 is not a number from 0 or a percentage",
    ),
    "more removals than there are": (
        {"maxRemovals": "101%"},
        'maxRemovals "101%" is not a number from 0',
    ),
    "removals as a list": (
        {"pools": {"workers": {"maxRemovals": [1]}}},
        "pools.workers.maxRemovals is not a number from 0",
    ),
    "removals as a truth value": (
        {"pools": {"workers": {"maxRemovals": True}}},
        "pools.workers.maxRemovals true is not a number from 0",
    ),
    "drain time": (
        {"drain": {"timeoutSeconds": 0}},
        "drain.timeoutSeconds 0 is not a number from 1 to 86400",
    ),
    "drain time below 0": (
        {"pools": {"workers": {"drain": {"graceSeconds": -1}}}},
        "pools.workers.drain.graceSeconds -1 is not a number from 0 to 86400",
    ),
    "drain time as text": (
        {"drain": {"timeoutSeconds": "5m"}},
        'drain.timeoutSeconds "5m" is not a whole number',
    ),
    "drains at once": (
        {"drain": {"parallel": 0}},
        "drain.parallel 0 is not a number from 1 to 1000",
    ),
    "drain without a number": (
        {"drain": {"parallel": None}},
        "drain.parallel is empty; give a whole number, or remove the key",
    ),
    "drain by a word": (
        {"drain": {"force": "yes"}},
        'drain.force "yes" is not true or false',
    ),
    "drain of a node": (with_node(drain={}), f"{NODE}.drain is not a known key"),
    "token time": (
        {"token": {"ttlMinutes": 1}},
        "token.ttlMinutes 1 is not a number from 5 to 1440",
    ),
    "token end": (
        {"token": {"afterJoin": "forget"}},
        'token.afterJoin "forget" is not revoke, expire or keep',
    ),
    "token scope": ({"token": {"scope": "rack"}}, 'token.scope "rack" is not pool or node'),
    "approval": (
        {"approval": {"client": "nobody"}},
        'approval.client "nobody" is not controller-manager or gate',
    ),
    "approval's key": ({"approval": {"cliient": "gate"}}, "did you mean client?"),
    "check": ({"skipClusterChecks": ["clocks"]}, "did you mean clock?"),
    "version": ({"kubernetesVersion": "1.20"}, 'kubernetesVersion "1.20"'),
    "user data": (
        {"pools": {"workers": {"cloudInit": {"withTokens": True}}}},
        "cloudInit.withTokens is not a known key; did you mean withToken?",
    ),
    "repair": ({"repair": -1}, "repair -1 is less than 0"),
    "host key file": ({"ssh": {"knownHostPath": "x"}}, "did you mean knownHostsPath?"),
    "runtime": (
        {"pools": {"workers": {"runtimeEndpoint": "tcp://10.0.0.1:1"}}},
        "pools.workers.runtimeEndpoint",
    ),
    "a map for a list": (
        {"pools": {"workers": {"nodes": {"n1": "10.0.0.1"}}}},
        "nodes is a map; give a list",
    ),
    "nothing for a list": ({"pools": {"workers": {"nodes": None}}}, "nodes is empty; give a list"),
    "a list for a map": ({"pools": [{"name": "workers"}]}, "pools is a list; give a map"),
    "nothing for a pool": ({"pools": {"workers": None}}, "pools.workers is empty; give a map"),
    "a text for a host": (
        {"controlPlane": {"hosts": ["cp-1"]}},
        "hosts[0] is a single value; give a map",
    ),
}


@pytest.mark.parametrize(("raw", "message"), WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_form_is_reported_with_its_path(
    raw: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as error:
        parse(raw)
    assert message in str(error.value)


def test_a_text_in_the_place_of_another_type_is_reported_with_all_other_problems() -> None:
    texts = {"stallSeconds": "2m", "repair": "true", "embedCa": "maybe", "pools": "hunter2"}
    pulumi.runtime.set_all_config({f"typed:{key}": text for key, text in texts.items()})
    try:
        with pytest.raises(SettingsError) as error:
            parse(plain(pulumi.Config("typed")))
    finally:
        pulumi.runtime.set_all_config({})
    assert {problem.path for problem in error.value.problems} == set(texts)
    assert 'stallSeconds "2m" is not a whole number' in str(error.value)
    assert "hunter2" not in str(error.value)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        parse(with_node(address="x", generation=-1, colour="red"))
    assert len(error.value.problems) == 3
    assert str(error.value).startswith("3 problems in the settings; nothing was changed:")


def nodes(*entries: dict[str, Any], **settings: Any) -> Settings:
    return parse({"pools": {"workers": {"nodes": list(entries)}}, **settings})


CONFLICTS: dict[str, tuple[Settings, str]] = {
    "a name twice": (
        nodes({"name": "a", "address": "10.0.0.1"}, {"name": "a", "address": "10.0.0.2"}),
        'nodes[1].name "a" is already used by pools.workers.nodes[0]',
    ),
    "an address twice": (
        nodes({"name": "a", "address": "10.0.0.1"}, {"name": "b", "address": "10.0.0.1"}),
        'nodes[1].address "10.0.0.1" is already used by pools.workers.nodes[0]',
    ),
    "a control-plane host's address": (
        nodes(
            {"name": "a", "address": "10.0.0.1"},
            controlPlane={"hosts": [{"name": "cp", "address": "10.0.0.1"}]},
        ),
        'pools.workers.nodes[0].address "10.0.0.1" is already used by controlPlane.hosts[0]',
    ),
    "two addresses of a family": (
        nodes({"name": "a", "address": "10.0.0.1", "addresses": ["10.0.0.2"]}),
        "pools.workers.nodes[0] has 2 IPv4 addresses; a kubelet takes one IPv4 and one IPv6"
        " address, so move the others to certificateAddresses, or remove them",
    ),
    "an address of a service": (
        nodes({"name": "a", "address": "10.96.0.7"}),
        'nodes[0].address "10.96.0.7" is in cluster.serviceCidr (10.96.0.0/12)',
    ),
    "a token in user data that is revoked": (
        parse(
            {
                "token": {"scope": "pool"},
                "approval": {"client": "controller-manager"},
                "pools": {"w": {"cloudInit": {"withToken": True}}},
            }
        ),
        "pools.w.cloudInit.withToken is true, but token.afterJoin is revoke",
    ),
    "a token of one node in user data": (
        parse(
            {"token": {"afterJoin": "expire"}, "pools": {"w": {"cloudInit": {"withToken": True}}}}
        ),
        "pools.w.cloudInit.withToken is true, but token.scope is node, which makes tokens only for"
        " nodes in the settings; set token.scope to pool and approval.client to controller-manager,"
        " for this pool alone if you like",
    ),
    "a token of the pool where the gate approves": (
        nodes(token={"scope": "pool"}),
        'token.scope is "pool", but approval.client is "gate", the default; a token of the whole'
        " pool does not show which machine holds it, so set token.scope to node, or approval.client"
        " to controller-manager if a token's holder may become any node",
    ),
    "a token of one pool where the gate approves": (
        parse({"pools": {"w": {"token": {"scope": "pool"}}}}),
        'pools.w.token.scope is "pool", but approval.client is "gate"',
    ),
    "a pool where the gate approves, with the stack's tokens": (
        parse(
            {
                "token": {"scope": "pool"},
                "approval": {"client": "controller-manager"},
                "pools": {"w": {"approval": {"client": "gate"}}},
            }
        ),
        'token.scope is "pool", but pools.w.approval.client is "gate"',
    ),
    "a pool's token that outlives the trace of its use": (
        parse({"pools": {"w": {"token": {"ttlMinutes": 90}}}}),
        "pools.w.token.ttlMinutes 90 is more than 60",
    ),
    "a token that outlives the trace of its use": (
        nodes(approval={"client": "gate"}, token={"scope": "node", "ttlMinutes": 61}),
        "token.ttlMinutes 61 is more than 60",
    ),
    "approval by hand and by the resident approver": (
        nodes(approval={"serving": "manual"}, approver={"enabled": True, "image": "x"}),
        'approval.serving is "manual", but approver.enabled is true',
    ),
    "names too long for a token's group": (
        parse(
            {
                "token": {"scope": "node"},
                "pools": {"p" * 63: {"nodes": [{"name": "n" + ".n" * 120, "address": "10.0.0.1"}]}},
            }
        ),
        "and its pool's name have 304 characters together, but a token's group can have only 255",
    ),
    "a protected field": (
        nodes({"name": "a", "address": "10.0.0.1", "kubelet": {"rotateCertificates": False}}),
        "nodes[0].kubelet.rotateCertificates can't be overridden: without it the node drops out",
    ),
    "a canary that is more than the pool": (
        parse(
            {
                "pools": {
                    "a": {
                        "rollout": {"canary": 2},
                        "nodes": [{"name": "a", "address": "10.0.0.1"}],
                    }
                }
            }
        ),
        "pools.a.rollout.canary 2 is more than the pool's nodes (1); give fewer",
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
def test_values_that_do_not_fit_together_are_reported(settings: Settings, message: str) -> None:
    assert message in "\n".join(map(str, checks.problems(settings)))


def test_a_problem_of_a_pool_is_reported_once() -> None:
    kubelet = {"maxPod": 1, "cgroupsPerQOS": False}
    entries = [{"name": f"n{i}", "address": f"10.0.0.{i}"} for i in range(1, 50)]
    for fault in ("maxPod", "cgroupsPerQOS"):
        pool = {"kubelet": {fault: kubelet[fault]}, "nodes": entries}
        (problem,) = checks.problems(parse({"pools": {"workers": pool}}))
        assert problem.path == f"pools.workers.kubelet.{fault}"


def test_two_families_fit_together() -> None:
    settings = nodes({"name": "a", "address": "10.0.0.1", "addresses": ["fd00::1"]})
    assert list(checks.problems(settings)) == []


def test_the_gate_approves_with_a_token_for_each_node() -> None:
    settings = nodes(
        {"name": "a.b", "address": "10.0.0.1"},
        approval={"client": "gate", "serving": "manual"},
        token={"scope": "node"},
        skipClusterChecks=["clock", "token-cleaner"],
    )
    assert list(checks.problems(settings)) == []


def test_addresses_are_compared_in_one_form() -> None:
    settings = nodes(
        {"name": "a", "address": "fd00::1"}, {"name": "b", "address": "fd00:0:0:0:0:0:0:1"}
    )
    (problem,) = checks.problems(settings)
    assert str(problem).endswith('"fd00::1" is already used by pools.workers.nodes[0]')


@pytest.mark.parametrize(
    ("given", "asked"), [(True, False), ({}, False), ({"withToken": True}, True), (False, None)]
)
def test_user_data_is_asked_for_by_a_word_or_with_options(given: Any, asked: bool | None) -> None:
    pool = parse({"pools": {"w": {"cloudInit": given}}}).pools["w"]
    assert (pool.cloud_init and pool.cloud_init.with_token) == asked


def test_an_unknown_key_of_the_stack_is_refused() -> None:
    pulumi.runtime.set_all_config({"p:tokens": "s3cret", "p:repair": "1", "q:tokens": "1"})
    try:
        raw = plain(pulumi.Config("p"))
    finally:
        pulumi.runtime.set_all_config({})
    with pytest.raises(SettingsError) as error:
        parse(raw)
    (problem,) = error.value.problems
    assert str(problem) == "tokens is not a known key; did you mean token?"


@pytest.mark.parametrize(("given", "meant"), [(3, 3), ("3", 3), ("3%", "3%"), ("100%", "100%")])
def test_a_share_is_a_number_or_a_percentage(given: object, meant: object) -> None:
    assert parse({"rollout": {"maxUnavailable": given}}).rollout.max_unavailable == meant


@pytest.mark.parametrize(
    ("approver", "warned"),
    [
        ({"enabled": True, "image": "registry.example.org/approver:1"}, True),
        ({"enabled": True, "image": "registry.example.org/approver@sha256:abc"}, True),
        ({"enabled": True, "image": f"registry.example.org/approver@sha256:{'a' * 64}"}, False),
        ({"enabled": False, "image": "registry.example.org/approver:1"}, False),
    ],
)
def test_an_image_without_a_digest_is_warned_of(approver: dict[str, Any], warned: bool) -> None:
    found = list(checks.warnings(parse({"approver": approver})))
    assert [line.split(" has no digest")[0] for line in found] == (
        [f"approver.image {approver['image']}"] if warned else []
    )


@pytest.mark.parametrize(
    "given",
    ["10.96.0.0/16,fd00:10:96::/112", ["10.96.0.0/16", "fd00:10:96::/112"]],
    ids=["as kubeadm writes them", "a list"],
)
def test_a_dual_stack_cluster_has_two_service_networks(given: object) -> None:
    settings = parse({"cluster": {"serviceCidr": given}})
    assert settings.cluster.service_cidr == ("10.96.0.0/16", "fd00:10:96::/112")


def test_the_safe_mode_is_the_default() -> None:
    settings = parse({"pools": {"w": {}}})
    pool = settings.pools["w"]
    assert settings.client_approval_of(pool) == "gate"
    assert settings.token_of(pool).scope == "node"
    assert list(checks.warnings(settings)) == []


OPEN = {"token": {"scope": "pool"}, "approval": {"client": "controller-manager"}}


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        ({**OPEN, "pools": {"a": {}, "b": {}}}, ["approval.client"]),
        ({"pools": {"a": OPEN, "b": {}}}, ["pools.a.approval.client"]),
        (
            {**OPEN, "pools": {"a": {"approval": {"client": "gate"}, "token": {"scope": "node"}}}},
            [],
        ),
        (OPEN, []),
    ],
    ids=["all pools", "one pool", "no pool by its own choice", "no pools"],
)
def test_the_open_mode_is_warned_of_once_for_each_place_that_sets_it(
    raw: dict[str, Any], paths: list[str]
) -> None:
    settings = parse(raw)
    assert list(checks.problems(settings)) == []
    told = list(checks.warnings(settings))
    assert [line.split(" is ")[0] for line in told] == paths
    assert all("can become any node of the cluster" in line for line in told)


def test_what_one_setting_of_the_stack_gets_wrong_for_all_pools_is_told_once() -> None:
    settings = parse({"token": {"scope": "pool"}, "pools": {"a": {}, "b": {}}})
    assert [problem.path for problem in checks.problems(settings)] == ["token.scope"]


def test_who_approves_serving_certificates_is_the_stacks_choice() -> None:
    with pytest.raises(SettingsError, match=r"pools\.a\.approval\.serving"):
        parse({"pools": {"a": {"approval": {"serving": "manual"}}}})


SERVERS = {
    "https://10.0.0.10:6443": "https://10.0.0.10:6443",
    "https://10.0.0.10": "https://10.0.0.10",
    "https://10.0.0.10:6443/": "https://10.0.0.10:6443",
    "HTTPS://Api.Example.org:6443": "https://Api.Example.org:6443",
    "https://api.example.org.": "https://api.example.org.",
    "https://k8s_api:6443": "https://k8s_api:6443",
    "https://[fd00::10]:6443": "https://[fd00::10]:6443",
    "https://127.0.0.1:6443": "https://127.0.0.1:6443",  # a proxy on each machine
}


@pytest.mark.parametrize(("given", "read"), SERVERS.items())
def test_a_server_that_kubelets_take_is_taken(given: str, read: str) -> None:
    settings = parse({"cluster": {"server": given}, "approver": {"server": given}})
    assert settings.cluster.server == settings.approver.server == read


@pytest.mark.parametrize(
    "given",
    [
        *("", "10.0.0.10:6443", "http://10.0.0.10:6443", "https://", "https://:6443", "https://."),
        *("https://10.0.0.300:6443", "https://10.0.0:6443", "https://10.0.0.10:99999"),
        *("https://10.0.0.10:0", "https://10.0.0.10:x", "https://10.0.0.10:1:2", "https://a b"),
        *("https://fd00::10:6443", "https://[fd00::10", "https://[10.0.0.10]:6443", "https://a]"),
        *("https://[fe80::1%eth0]:6443", "https://[fe80::1]:6443", "https://0.0.0.0:6443"),
        *(
            "https://a..b",
            "https://-a",
            "https://me@a",
            "https://a?b",
            "https://a#b",
            "https://a\n",
        ),
        "https://rancher.example.org/k8s/clusters/c-1",
    ],
)
def test_a_server_that_no_kubelet_reaches_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="is not an https URL of a host and its port") as found:
        parse({"cluster": {"server": given}})
    (problem,) = found.value.problems
    assert problem.path == "cluster.server"


KUBERNETES_TAINTS: list[tuple[dict[str, Any], str]] = [
    ({"key": "a", "effect": "NoSchedule"}, "a:NoSchedule"),
    ({"key": "a", "value": "b", "effect": "NoExecute", "timeAdded": None}, "a=b:NoExecute"),
    ({"key": "x.org/a", "value": "", "effect": "PreferNoSchedule"}, "x.org/a:PreferNoSchedule"),
]


@pytest.mark.parametrize(("given", "read"), KUBERNETES_TAINTS)
def test_a_taint_may_be_an_object_as_kubernetes_has_it(given: dict[str, Any], read: str) -> None:
    assert parse({"taints": [given]}).taints == (read,)


@pytest.mark.parametrize(
    "given",
    [
        *({}, {"key": "a"}, {"effect": "NoSchedule"}, {"value": "b", "effect": "NoSchedule"}),
        *({"key": "a", "effect": "noschedule"}, {"key": "a=b", "effect": "NoSchedule"}),
        *({"key": "a", "effect": "NoSchedule", "colour": "red"}, {"key": 1, "effect": "NoExecute"}),
    ],
)
def test_an_object_that_is_no_taint_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as found:
        parse({"taints": [given]})
    (problem,) = found.value.problems
    assert str(problem).startswith("taints[0] is not a taint such as key=value:NoSchedule;")


TAKEN: dict[str, dict[str, Any]] = {
    "a cluster's name in capitals": {"cluster": {"name": "Production_EU"}},
    "a cluster's name as kubectl makes it": {"cluster": {"name": "arn:aws:eks:eu:1:cluster/a"}},
    "a domain with a dot": {"cluster": {"dnsDomain": "cluster.local."}},
    "users of a directory": {"paths": {"user": "kube.svc@corp.org", "kubeconfigAcl": ["u:K.b:r"]}},
    "a path of a directory": {"paths": {"root": "/data/kubelet/"}},
    "a unit's path with a slash": {"paths": {"unit": "/etc/systemd/system/kubelet.service/"}},
    "an annotation with capitals": {"annotations": {"Example.ORG/owner": "web"}},
    "a long part of a prefix": {"labels": {"a" * 64 + ".org/b": ""}},
    "parentheses": {"flags": {"provider-id": "azure:///subscriptions/a/resourceGroups/b(c)/d"}},
}


@pytest.mark.parametrize("raw", TAKEN.values(), ids=TAKEN)
def test_what_kubernetes_takes_is_taken(raw: dict[str, Any]) -> None:
    assert list(checks.problems(parse(raw))) == []


@pytest.mark.parametrize(("name", "given"), [("root", "/data/k"), ("unit", "/s/kubelet.service")])
def test_a_slash_at_the_end_of_a_path_is_left_out(name: str, given: str) -> None:
    assert parse({"paths": {name: f"{given}/"}}) == parse({"paths": {name: given}})


@pytest.mark.parametrize(
    "given", ["/run/crio.sock", "unix:/run/crio.sock", "unix:///run/crio.sock"]
)
def test_a_socket_is_given_as_a_kubelet_takes_it(given: str) -> None:
    assert parse({"runtimeEndpoint": given}).runtime_endpoint == "unix:///run/crio.sock"


@pytest.mark.parametrize("given", ["v1.30", "1.30.4", "v1.30.4", "1.30.4+k3s1", "v1.30.4-eks-a1b"])
def test_a_releases_name_is_told_with_its_minor_version(given: str) -> None:
    with pytest.raises(SettingsError, match=r'is not a minor version; give "1\.30"'):
        parse({"kubernetesVersion": given})


@pytest.mark.parametrize(
    "given", ["", " r/a:1", "r/a b", "https://r/a", "docker://r/a", "@sha256:a"]
)
def test_what_is_no_image_is_told(given: str) -> None:
    with pytest.raises(SettingsError, match="is not an image; give one such as"):
        parse({"approver": {"image": given}})


@pytest.mark.parametrize("given", ["10.96.0.0", "10.96.0.0/255.240.0.0", "10.96.0.0/", ""])
def test_a_network_needs_a_prefix_length(given: str) -> None:
    with pytest.raises(SettingsError, match="is not a network such as"):
        parse({"cluster": {"serviceCidr": given}})


LONG = {
    "a key": "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n",
    "a key on one line": "c2VjcmV0" * 100,
    "a number": "1" * 5000,
    "a time": "1" * 5000 + "s",
    "two lines": "c2VjcmV0\nc2VjcmV0",
}


@pytest.mark.parametrize("value", LONG.values(), ids=LONG)
def test_a_problem_is_one_line_and_quotes_no_long_value(value: str) -> None:
    kubelet = {
        "maxPods": value,
        "syncFrequency": value,
        "evictionHard": {"memory.available": value},
        "kubeReserved": {"memory": value},
        "containerLogMaxSize": value,
        "cpuManagerPolicy": value,
    }
    found = [str(problem) for problem in checks.problems(parse({"kubelet": kubelet}))]
    assert len(found) == len(kubelet)
    assert all(text.isprintable() and value[:50] not in text for text in found)
    (problem,) = checks.problems(parse({"kubelet": {value: 1}}))
    assert len(str(problem)) < 1000
    assert str(problem).isprintable()
