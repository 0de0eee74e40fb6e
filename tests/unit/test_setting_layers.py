"""Preset, cluster, pool and node: what a node gets, and at which layer a problem is reported."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from node_files import PRESETS, Cluster, Node, files, problems
from node_files.versions import SUPPORTED_VERSIONS, fields
from settings import checks
from settings.model import Settings
from settings.parsing import parse
from settings.problem import SettingsError
from stack.nodes import to_node

CLUSTER = Cluster(name="k", server="https://10.0.0.9:6443", ca_certificate="-")


def settings(
    cluster: dict[str, Any], pool: dict[str, Any], node: dict[str, Any], **more: Any
) -> Settings:
    entry = {"name": "n1", "address": "10.0.0.1", **node}
    return parse({**cluster, "pools": {"w": {**pool, "nodes": [entry]}}, **more})


def rendered(cluster: dict[str, Any], pool: dict[str, Any], node: dict[str, Any]) -> Node:
    whole = settings(cluster, pool, node)
    assert list(checks.problems(whole)) == []
    found = whole.pools["w"]
    return to_node(whole, found, found.nodes[0])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ca", "/ca.crt"), ("ca", "/tmp/ca.crt"), ("arguments", "/root/kubelet"),
        ("certificates", "/etc/ssl"), ("manifests", "/etc"), ("root", "/var/lib"),
    ],
)  # fmt: skip
def test_no_system_directory_gets_another_mode(name: str, path: str) -> None:
    whole = settings({"paths": {name: path}}, {}, {})
    (problem,) = checks.problems(whole)
    assert str(problem).startswith(
        f'paths "{path}" would change the mode and the owner of a system directory'
    )


def test_files_may_be_in_the_system_s_directories_of_settings() -> None:
    node = rendered({"paths": {"arguments": "/etc/default/kubelet", "root": "/data"}}, {}, {})
    assert node.paths.arguments == "/etc/default/kubelet"


def test_maps_merge_and_the_node_has_the_last_word() -> None:
    node = rendered(
        {"kubelet": {"maxPods": 1, "kubeReserved": {"cpu": "1"}}, "labels": {"a": "c", "b": "c"}},
        {"kubelet": {"maxPods": 2, "kubeReserved": {"memory": "1Gi"}}, "labels": {"b": "p"}},
        {"kubelet": {"maxPods": 3}, "labels": {"d": "n"}},
    )
    assert node.kubelet == {"maxPods": 3, "kubeReserved": {"cpu": "1", "memory": "1Gi"}}
    assert node.labels == {"a": "c", "b": "p", "d": "n"}


def test_lists_replace() -> None:
    node = rendered(
        {"taints": ["a:NoSchedule"], "skipChecks": ["clock"], "unsafe": ["readOnlyPort"]},
        {"taints": ["b:NoSchedule"], "skipChecks": ["swap", "port"]},
        {"taints": []},
    )
    assert node.taints == ()
    assert node.skip_checks == ("swap", "port")
    assert node.unsafe == {"readOnlyPort"}


def test_null_removes_what_the_layers_below_say() -> None:
    node = rendered(
        {"labels": {"a": "c", "b": "c"}, "taints": ["a:NoSchedule"], "preset": "cis"},
        {"flags": {"v": 4}, "paths": {"root": "/data"}},
        {
            "labels": {"a": None}, "taints": None, "flags": {"v": None}, "preset": None,
            "paths": {"root": None}, "kubelet": {"seccompDefault": None},
        },
    )  # fmt: skip
    assert node.labels == {"b": "c"}
    assert (node.taints, node.flags) == ((), {})
    assert node.paths.root == "/var/lib/kubelet"
    # It stays a null, which takes away what the program itself configures.
    assert node.kubelet == {"seccompDefault": None}


def test_a_preset_lies_below_the_cluster_and_any_layer_may_choose_it() -> None:
    node = rendered({"kubelet": {"podPidsLimit": 100}}, {}, {"preset": "cis"})
    assert node.kubelet["podPidsLimit"] == 100
    assert "tlsCipherSuites" in node.kubelet


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_every_version(name: str, version: str) -> None:
    node = rendered({"preset": name}, {}, {"kubernetesVersion": version})
    assert list(problems(node.kubelet, version)) == []
    assert set(node.kubelet) <= set(fields(version))
    assert node.kubelet.get("eventRecordQPS") != 0


def test_versions_may_be_mixed() -> None:
    assert rendered({"kubernetesVersion": "1.37"}, {}, {}).version == "1.37"
    assert rendered({"kubernetesVersion": "1.37"}, {"kubernetesVersion": "1.35"}, {}).version == (
        "1.35"
    )
    assert rendered({}, {"kubernetesVersion": "1.35"}, {"kubernetesVersion": "1.34"}).version == (
        "1.34"
    )


CRIO, OTHER = "unix:///var/run/crio/crio.sock", "unix:///run/other.sock"
ENDPOINTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"runtime": "crio"}, CRIO),
    ({"runtime": "crio"}, {}, CRIO),
    ({"runtimeEndpoint": OTHER}, {}, OTHER),
    ({"runtime": "crio"}, {"runtimeEndpoint": OTHER}, OTHER),
    ({"runtimeEndpoint": OTHER}, {"runtime": "crio"}, CRIO),
    ({"runtimeEndpoint": OTHER}, {"runtimeEndpoint": None}, "unix:///run/containerd/containerd.sock"),
]  # fmt: skip


@pytest.mark.parametrize(("pool", "node", "endpoint"), ENDPOINTS)
def test_an_endpoint_belongs_to_the_runtime_beside_it(
    pool: dict[str, Any], node: dict[str, Any], endpoint: str
) -> None:
    assert rendered({}, pool, node).runtime_endpoint == endpoint


def test_paths_go_over_the_presets() -> None:
    node = rendered({"preset": "classic"}, {"paths": {"root": "/srv/kubelet"}}, {})
    assert node.paths.root == "/srv/kubelet"
    assert node.paths.config == "/etc/kubernetes/kubelet.yaml"
    assert node.paths.user == "kube"


NODE = "pools.w.nodes[0]"
READ_ONLY = {"readOnlyPort": 10255}
PROBLEMS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "at the cluster": ({"kubelet": {"maxPod": 1}}, {}, {}, "kubelet.maxPod is not a field"),
    "at the pool": ({}, {"kubelet": {"maxPods": "1"}}, {}, "pools.w.kubelet.maxPods"),
    "at the node": ({}, {}, {"kubelet": READ_ONLY}, f"{NODE}.kubelet.readOnlyPort can't be"),
    "by the node's version": (
        {"kubelet": {"failCgroupV1": False}}, {}, {"kubernetesVersion": "1.30"},
        "kubelet.failCgroupV1 does not exist in 1.30; it was added in 1.31",
    ),
    "by layers together": (
        {"kubelet": {"imageGCHighThresholdPercent": 60}}, {},
        {"kubelet": {"imageGCLowThresholdPercent": 70}},
        f"{NODE}.kubelet.imageGC",
    ),
    "a flag": ({"flags": {"network-plugin": "cni"}}, {}, {}, "flags.network-plugin was removed"),
    "a watchdog": (
        {"watchdogSeconds": 60}, {"kubernetesVersion": "1.31"}, {},
        "watchdogSeconds is for kubelets of 1.32 and later, but this one is 1.31; set it to 0",
    ),
    "two files at a path": (
        {}, {"paths": {"ca": "/etc/x"}}, {"paths": {"config": "/etc/x"}},
        f'{NODE}.paths "/etc/x" is used for config and ca; give each',
    ),
    "a file and a directory at a path": (
        {}, {"paths": {"ca": "/etc/x"}}, {"paths": {"manifests": "/etc/x"}},
        f'{NODE}.paths "/etc/x" is used for ca and manifests; give each',
    ),
    "a user without sudo": (
        {}, {"ssh": {"user": "admin"}}, {}, 'pools.w.ssh.user "admin" is not root; set sudo',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cluster", "pool", "node", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_reported_once_at_the_layer_that_causes_it(
    cluster: dict[str, Any], pool: dict[str, Any], node: dict[str, Any], message: str
) -> None:
    found = [str(problem) for problem in checks.problems(settings(cluster, pool, node))]
    assert len(found) == 1, found
    assert found[0].startswith(message)


def test_a_problem_of_a_pool_is_reported_once_for_all_of_its_nodes() -> None:
    nodes = [{"name": f"n{i}", "address": f"10.0.0.{i}"} for i in range(1, 20)]
    whole = parse({"pools": {"w": {"kubelet": {"maxPod": 1}, "nodes": nodes}}})
    assert len(list(checks.problems(whole))) == 1


def test_what_no_node_uses_is_looked_at_too() -> None:
    assert len(list(checks.problems(parse({"kubelet": {"maxPod": 1}})))) == 1
    assert len(list(checks.problems(parse({"pools": {"w": {"flags": {"nope": "1"}}}})))) == 1


def test_a_protected_field_changes_where_it_is_unsafe() -> None:
    node = rendered({"unsafe": ["readOnlyPort"]}, {"kubelet": READ_ONLY}, {})
    assert node.kubelet == READ_ONLY
    whole = settings({"unsafe": ["readOnlyPort"]}, {"kubelet": READ_ONLY}, {"unsafe": []})
    found = list(checks.problems(whole))
    assert [problem.path for problem in found] == ["pools.w.kubelet.readOnlyPort"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a version as a number": (
        {"kubernetesVersion": 1.36},
        f'{NODE}.kubernetesVersion is the number 1.36; quote it: "1.36"',
    ),
    "a version whose zero YAML drops": (
        {"kubernetesVersion": 1.3},
        'kubernetesVersion is the number 1.3; quote it: "1.30"',
    ),
    "a version": (
        {"kubernetesVersion": "1.23"},
        "is not a supported version; give a minor version from 1.24 to 1.37",
    ),
    "a preset": ({"preset": "cic"}, f'{NODE}.preset "cic"'),
    "a runtime": ({"runtime": "docker"}, f'{NODE}.runtime "docker"'),
    "unsafe": ({"unsafe": ["maxPods"]}, f'{NODE}.unsafe[0] "maxPods" is not a protected field'),
    "a check": ({"skipChecks": ["files", "nope"]}, f'{NODE}.skipChecks[1] "nope" is not a check'),
    "a path": ({"paths": {"root": "data"}}, f'{NODE}.paths.root "data" is not an absolute path'),
    "a path upwards": ({"paths": {"ca": "/a..b"}}, "is not an absolute path"),
    "a unit": ({"paths": {"unit": "/etc/a.service"}}, "does not end in /kubelet.service"),
    "a key of paths": ({"paths": {"rot": "/a"}}, "did you mean root?"),
    "an ACL that writes": ({"paths": {"kubeconfigAcl": ["u:kube:rw"]}}, "kubeconfigAcl[0]"),
    "a flag's value": ({"flags": {"v": "4 --x"}}, 'flags.v "4 --x" has a character other than'),
    "a watchdog": ({"watchdogSeconds": 5}, 'watchdogSeconds 5 is not 0 (off)'),
    "an annotation": ({"annotations": {"a/b/c": ""}}, f'{NODE}.annotations: "a/b/c" is not an ann'),
    "a key of ssh": ({"ssh": {"sudoo": True}}, f"{NODE}.ssh.sudoo is not a known key; did you"),
    "a user": ({"ssh": {"user": "a;b"}}, f'{NODE}.ssh.user "a;b"'),
}  # fmt: skip


@pytest.mark.parametrize(("node", "message"), WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_form_is_reported_with_its_layer(
    node: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as error:
        settings({}, {}, node)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("label", "by_kubelet"),
    [
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/x", True),
        ("example.org/kubernetes.io", True),
        ("a", True),
        ("node-role.kubernetes.io/worker", False),
        ("node-restriction.kubernetes.io/team", False),
        ("example.k8s.io/x", False),
    ],
)
def test_any_label_is_taken_and_kubelets_give_those_that_they_may(
    label: str, by_kubelet: bool
) -> None:
    node = rendered({}, {}, {"labels": {label: "a"}})
    assert node.labels == {label: "a"}
    arguments = files(CLUSTER, node)[2].content
    assert (f"--node-labels={label}=a" in arguments) == ("--node-labels" in arguments) == by_kubelet


def test_two_taints_with_one_key_and_effect_are_told_apart() -> None:
    taints = ["a=1:NoSchedule", "a=1:NoExecute", "a=1:NoSchedule", "a:NoSchedule"]
    (problem,) = checks.problems(settings({}, {"taints": taints}, {}))
    assert str(problem) == (
        'pools.w.taints[3] "a:NoSchedule" has the key and the effect of "a=1:NoSchedule"; remove'
        " one of them"
    )


def test_a_taint_that_a_kubelet_sets_itself_is_told() -> None:
    taints = ["a:NoSchedule", "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule"]
    pool = {"taints": taints}
    assert list(checks.problems(settings({}, pool, {}))) == []
    external = {"flags": {"cloud-provider": "external"}}
    (problem,) = checks.problems(settings(external, pool, {}))
    assert str(problem).startswith(f'pools.w.taints[1] "{taints[1]}" has the key and the effect of')
    assert "that a kubelet with cloud-provider: external sets; remove it" in str(problem)


def test_a_name_that_is_no_label_needs_another_label_of_the_host() -> None:
    name = "n1." + "a" * 60
    nodes = [{"name": name, "address": "10.0.0.1"}, {"name": f"{name}b", "address": "10.0.0.2"}]
    (problem,) = checks.problems(parse({"pools": {"w": {"nodes": nodes}}}))
    assert str(problem).startswith(
        "pools.w.nodes[1].name has 64 characters, but its kubelet gives it to the Node as the label"
        " kubernetes.io/hostname, which takes 63;"
    )
    nodes[1]["labels"] = {"kubernetes.io/hostname": "n1"}
    assert list(checks.problems(parse({"pools": {"w": {"nodes": nodes}}}))) == []


def test_annotations_that_are_too_long_together_are_refused() -> None:
    annotations = {"a": "ä" * 50_000}
    below = {"annotations": annotations}
    (problem,) = checks.problems(settings(below, {}, {"annotations": {"b": "b" * 99_999}}))
    assert str(problem) == (
        "pools.w.nodes[0].annotations have 200001 bytes together, but a Node takes 200000; shorten"
        " them"
    )
    assert list(checks.problems(settings(below, {}, {"annotations": {"b": "b" * 99_998}}))) == []


def test_annotations_merge_key_by_key_and_null_removes() -> None:
    node = rendered(
        {"annotations": {"a": "c", "b": "c"}},
        {"annotations": {"b": "p\nq"}},
        {"annotations": {"a": None, "example.org/d": "n"}},
    )
    assert node.annotations == {"b": "p\nq", "example.org/d": "n"}


def test_ssh_settings_merge_as_all_others() -> None:
    whole = settings(
        {"ssh": {"user": "a", "sudo": True, "bastion": {"address": "10.0.0.8", "user": "jump"}}},
        {"ssh": {"port": 2222, "bastion": {"address": "10.0.0.8", "port": 222}}},
        {"ssh": {"user": "b"}},
        controlPlane={
            "ssh": {"bastion": None},
            "hosts": [{"name": "cp", "address": "10.0.0.9", "ssh": {"port": 1}}],
        },
    )
    found = {machine.host.name: machine.ssh for machine in whole.machines()}
    assert (found["n1"].user, found["n1"].sudo, found["n1"].port) == ("b", True, 2222)
    assert found["n1"].bastion is not None
    assert found["n1"].bastion.destination == "10.0.0.8:222"
    assert found["n1"].bastion.user == "root"  # a bastion replaces another as a whole
    assert (found["cp"].user, found["cp"].port, found["cp"].bastion) == ("a", 1, None)


def test_what_has_no_effect_is_reported_once_at_its_layer_and_defaults_are_not() -> None:
    settings = parse(
        {
            "kubelet": {"iptablesDropBit": 15, "maxPods": 110},
            "pools": {
                "workers": {
                    "flags": {"maximum-dead-containers": "9"},
                    "nodes": [
                        {"name": "a", "address": "10.0.0.1"},
                        {"name": "b", "address": "10.0.0.2"},
                    ],
                }
            },
        }
    )
    assert [warning.partition(" (")[0] for warning in checks.warnings(settings)] == [
        "kubelet.iptablesDropBit has no effect since 1.28",
        "pools.workers.flags.maximum-dead-containers is deprecated",
    ]


def test_the_labs_own_settings_give_no_warning() -> None:
    text = (Path(__file__).parents[2] / "Pulumi.dev.yaml").read_text()
    config = yaml.safe_load(text)["config"]
    raw = {key.partition(":")[2]: value for key, value in config.items()}
    assert list(checks.warnings(parse(raw))) == []


def test_a_packages_unit_is_told_where_a_benchmark_asks_for_its_mode() -> None:
    node = {"name": "a", "address": "10.0.0.1"}
    pools = {"pools": {"workers": {"unit": "drop-in", "nodes": [node]}}}
    told = list(checks.warnings(parse({"preset": "cis"} | pools)))
    assert [text.partition(" leaves")[0] for text in told] == ["pools.workers.unit drop-in"]
    assert list(checks.warnings(parse(pools))) == []


OWN_VALUES: list[dict[str, Any]] = [
    {"authentication": {"x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}}},
    {"staticPodPath": "/etc/kubernetes/manifests"},
    {"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock"},
    # As kubeadm writes what is not set.
    {"containerRuntimeEndpoint": ""},
]


@pytest.mark.parametrize("kubelet", OWN_VALUES)
@pytest.mark.parametrize("layer", ["stack", "node"])
def test_a_value_that_the_program_writes_anyway_changes_nothing(
    kubelet: dict[str, Any], layer: str
) -> None:
    entry: dict[str, Any] = {"name": "a", "address": "10.0.0.1", "taints": ["a=b:NoSchedule"]}
    given = {"kubelet": {**kubelet, "maxPods": 60}}
    more = {"kubelet": {"maxPods": 60}}
    texts = []
    for layer_values in (given, more):
        of_stack, of_node = (layer_values, {}) if layer == "stack" else ({}, layer_values)
        settings = parse({"pools": {"w": {"nodes": [entry | of_node]}}} | of_stack)
        assert list(checks.problems(settings)) == []
        pool = settings.pools["w"]
        node = to_node(settings, pool, pool.nodes[0])
        cluster = Cluster(name="k", server="https://10.0.0.9:6443", ca_certificate="ca\n")
        texts.append([file.content for file in files(cluster, node)])
    assert texts[0] == texts[1]


def test_no_taints_is_what_the_program_writes_where_there_are_none() -> None:
    node = {"name": "a", "address": "10.0.0.1"}
    raw = {"kubelet": {"registerWithTaints": []}, "pools": {"w": {"nodes": [node]}}}
    assert list(checks.problems(parse(raw))) == []
    (problem,) = checks.problems(parse(raw | {"taints": ["a=b:NoSchedule"]}))
    assert "it is the setting taints" in str(problem)


@pytest.mark.parametrize("field", ["staticPodPath", "authentication.x509.clientCAFile"])
def test_an_empty_value_that_turns_something_off_is_not_left_out_in_silence(field: str) -> None:
    kubelet: Any = ""
    for part in reversed(field.split(".")):
        kubelet = {part: kubelet}
    node = {"name": "a", "address": "10.0.0.1"}
    (problem,) = checks.problems(parse({"kubelet": kubelet, "pools": {"w": {"nodes": [node]}}}))
    assert str(problem).startswith(f"kubelet.{field} can't be overridden")


def test_another_value_is_refused_with_the_setting_to_use() -> None:
    for kubelet, setting in (
        ({"authentication": {"x509": {"clientCAFile": "/etc/ca.crt"}}}, "paths.ca"),
        ({"staticPodPath": "/etc/kubelet.d"}, "paths.manifests"),
        ({"containerRuntimeEndpoint": "unix:///run/crio.sock"}, "runtimeEndpoint"),
        ({"registerWithTaints": [{"key": "a", "effect": "NoSchedule"}]}, "taints"),
    ):
        node = {"name": "a", "address": "10.0.0.1"}
        raw = {"kubelet": kubelet, "pools": {"w": {"nodes": [node]}}}
        (problem,) = checks.problems(parse(raw))
        assert f"it is the setting {setting}" in str(problem)


def test_what_is_own_is_as_the_settings_of_that_node_say() -> None:
    """One value below the stack's `kubelet` is right for one node and wrong for another."""
    nodes = [
        {"name": "a", "address": "10.0.0.1"},
        {"name": "b", "address": "10.0.0.2", "paths": {"manifests": "/etc/kubelet.d"}},
    ]
    raw = {"kubelet": {"staticPodPath": "/etc/kubernetes/manifests"}}
    (problem,) = checks.problems(parse(raw | {"pools": {"w": {"nodes": nodes}}}))
    assert str(problem).startswith("kubelet.staticPodPath can't be overridden")
