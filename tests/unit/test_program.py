"""The resources that the program declares for a stack's settings, seen by a mock of the engine."""

import base64
import json
import os
import runpy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

import node_files
from admission import pool_inventory
from admission.inventory import read_denied, read_node
from components.bootstrap_rbac import BINDINGS, SERVING_ROLE, BootstrapRbac
from components.bootstrap_token import derive
from components.control_plane import ControlPlane
from components.former_tokens import FormerTokens
from components.node_pool import NodePool
from credentials import Credentials
from preview.digest import POOL_TYPE
from settings.model import Settings
from settings.parsing import parse
from stack import arguments, state
from stack.nodes import to_node
from stack.reading import Stack
from stack.record import Record, RecordedNode
from stack.sender import Sender
from stack.shared_cluster import APPROVER_PATH
from tests.unit.certificates import authority
from tests.unit.engine import COMPONENT, SEED, Engine

ROOT = Path(__file__).parents[2]

TOKEN = derive(SEED, "")  # of a pool
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"
OPEN = {"token": {"scope": "pool"}, "approval": {"client": "controller-manager"}}
RAW = {
    "kubeconfigPath": "kubeconfig",
    **OPEN,
    "cluster": {"serviceCidr": "10.97.0.0/16"},
    "controlPlane": {"manage": True, "hosts": [{"name": "cp", "address": "10.0.0.9"}]},
    "pools": {
        "workers": {
            "kubelet": {"maxPods": 50, "evictionHard": {"memory.available": "1Gi"}},
            "labels": {"a": "pool"},
            "nodes": [
                {"name": "n1", "address": "10.0.0.1"},
                {
                    "name": "n2",
                    "address": "10.0.0.2",
                    "generation": 3,
                    "kubelet": {"maxPods": 10},
                    "labels": {"a": "node"},
                },
            ],
        }
    },
}


NODE_1 = {"name": "n1", "address": "10.0.0.1"}


def declare(settings: Settings, record: Record | None = None) -> dict[str, dict[str, Any]]:
    """Every resource of a program with these settings, by its name."""
    credentials = Credentials(
        kubeconfig_path="kubeconfig",
        kubeconfig=None,
        server="https://10.0.0.9:6443",
        api_server="https://10.0.0.9:6443",
        ca_certificate="-----BEGIN CERTIFICATE-----\n",
        private_key=None,
        host_keys=dict.fromkeys(("n1", "n2", "cp", "cp-2"), HOST_KEY),
        bastion_keys={"10.0.0.8:22": HOST_KEY},
    )

    def program() -> None:
        private_key = pulumi.Output.secret(KEY)
        stack = Stack(
            settings=settings,
            credentials=replace(credentials, private_key=private_key),
            record=record or Record(),
        )
        ControlPlane("control-plane", arguments.control_plane(stack))
        rbac = BootstrapRbac("rbac")
        for name, pool in settings.pools.items():
            NodePool(name, arguments.node_pool(stack, pool, rbac, Sender(stack.credentials)))

    engine = Engine().run(program)
    for request in engine.requests.values():
        if request["type"] == POOL_TYPE:
            for shared in request["object"].get("shared", ()):
                for name in shared["nodes"]:
                    engine.resources[f"{name}-files"]["__bundle"] = shared["text"]
    return engine.resources


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    return declare(parse(RAW))


def test_a_node_is_two_resources(resources: dict[str, dict[str, Any]]) -> None:
    assert {name for name in resources if name.startswith("n1")} == {
        "n1-files",
        "n1-member",
    }


def test_the_rest_does_not_grow_with_the_nodes(resources: dict[str, dict[str, Any]]) -> None:
    assert {name for name in resources if not name.startswith(("n1", "n2"))} == {
        "cp-flags",
        "kubelet-bootstrap",
        "auto-approve-csrs-for-group",
        "node-client-cert-renewal",
        "node-server-cert-renewal",
        "approve-node-server-renewal-csr",
        "workers-inventory",
        "workers-token-seed",
        "workers-token",
        "workers-gate",
    }


def test_the_secret_has_each_key_of_a_bootstrap_token(
    resources: dict[str, dict[str, Any]],
) -> None:
    secret = resources["workers-token"]
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert secret["metadata"] == {
        "name": f"bootstrap-token-{TOKEN[0]}",
        "namespace": "kube-system",
        "labels": {
            "app.kubernetes.io/managed-by": "kubelet-tls-bootstrap",
            "kubelet-tls-bootstrap/pool": "workers",
            "kubelet-tls-bootstrap/round": "1",
        },
    }
    # All of it is a secret, which the mock gets in its wire form.
    assert secret["data"]["value"].keys() == {
        "auth-extra-groups",
        "description",
        "expiration",
        "token-id",
        "token-secret",
        "usage-bootstrap-authentication",
        "usage-bootstrap-signing",
    }


def test_no_command_line_names_a_secret(resources: dict[str, dict[str, Any]]) -> None:
    for name, resource in resources.items():
        for which in ("create", "update", "delete"):
            text = str(resource.get(which) or "")
            assert TOKEN[1] not in text, name
            assert "PRIVATE KEY" not in text, name


def test_only_the_secret_holds_the_token(resources: dict[str, dict[str, Any]]) -> None:
    forms = (TOKEN[1], base64.b64encode(TOKEN[1].encode()).decode(), SEED)
    holders = {
        name
        for name, resource in resources.items()
        if any(form in json.dumps(resource) for form in forms)
    }
    assert holders == {"workers-token"}


def test_each_command_on_a_host_pins_its_key(resources: dict[str, dict[str, Any]]) -> None:
    remote = [r for r in resources.values() if r["__type"] == "command:remote:Command"]
    assert len(remote) == 3
    for command in remote:
        # All of a connection is a secret, which the mock gets in its wire form.
        assert command["connection"]["value"]["hostKey"] == HOST_KEY
        assert command["addPreviousOutputInEnv"] is False


def test_of_commands_on_hosts_only_the_files_command_shows_its_output(
    resources: dict[str, dict[str, Any]],
) -> None:
    shown = {
        name: resource["logging"]
        for name, resource in resources.items()
        if resource["__type"] == "command:remote:Command"
    }
    assert shown == {"n1-files": "stdout", "n2-files": "stdout", "cp-flags": "none"}


def test_a_join_is_known_by_its_name_and_nothing_replaces_it(
    resources: dict[str, dict[str, Any]],
) -> None:
    """To be replaced it would have to leave."""
    assert resources["n2-member"]["stdin"] == "join 3"
    assert not {"create", "update", "triggers"} & resources["n2-member"].keys()


def test_the_gate_gets_the_inventory_and_no_secret(
    resources: dict[str, dict[str, Any]],
) -> None:
    orders = json.loads(resources["workers-gate"]["stdin"])
    assert orders["kubeconfig"] == {"stack": "o/p/s", "server": "https://10.0.0.9:6443"}
    assert orders["ca"] == "-----BEGIN CERTIFICATE-----\n"  # the machines'
    assert orders["report"] == ".pulumi-gate/o/p/s/workers.json"
    assert [node["name"] for node in orders["nodes"]] == ["n1", "n2"]
    assert orders["tokens"] == [
        {
            "id": TOKEN[0],
            "secretUid": "u-1",
            "node": None,
            "group": "system:bootstrappers:workers",
        }
    ]
    assert orders["afterJoin"] == "revoke"
    assert orders["approval"] == {"client": "controller-manager", "serving": "gate"}
    assert [node["kubeletVersion"] for node in orders["nodes"]] == ["1.37", "1.37"]
    assert orders["denied"] == {"addresses": ["10.0.0.9"], "cidrs": ["10.97.0.0/16"], "names": []}


def test_the_gate_gets_the_labels_and_the_pool_shows_them(
    resources: dict[str, dict[str, Any]],
) -> None:
    orders = json.loads(resources["workers-gate"]["stdin"])
    assert orders["attributes"] == [
        {"nodes": ["n1"], "labels": {"a": "pool"}},
        {"nodes": ["n2"], "labels": {"a": "node"}},
    ]


@pytest.mark.parametrize(
    ("stack_has", "registered"),
    [
        ({}, ["a:NoSchedule", "b:NoSchedule"]),  # it joins in this run
        ({"joined": {}}, None),
        ({"joined": {"taints": ["b:NoSchedule"]}}, ["b:NoSchedule"]),
    ],
    ids=["joins", "has joined", "has joined by an earlier release"],
)
def test_the_gate_is_told_which_taints_a_kubelet_has_registered_with(
    stack_has: dict[str, Any], registered: list[str] | None
) -> None:
    raw = {"pools": {"w": {"taints": ["b:NoSchedule", "a:NoSchedule"], "nodes": [NODE_1]}}}
    record = Record()
    if "joined" in stack_has:
        known = RecordedNode(address="10.0.0.1", join="1", **stack_has["joined"])
        record = Record(nodes={"n1": known}, joins={"n1": "1"}, members={"n1": "urn"})
    orders = json.loads(declare(parse(raw), record)["w-gate"]["stdin"])
    found = [entry["taints"] for entry in orders["registered"]]
    assert found == ([] if registered is None else [registered])


def test_the_inventory_in_the_cluster_is_what_the_gate_gets(
    resources: dict[str, dict[str, Any]],
) -> None:
    written = resources["workers-inventory"]
    assert written["metadata"] == {
        "name": "kubelet-tls-bootstrap-workers",
        "namespace": "kube-system",
        "labels": {"kubelet-tls-bootstrap/inventory": "workers"},
        "annotations": {"kubelet-tls-bootstrap/stack": "o/p/s"},
    }
    told = json.loads(resources["workers-gate"]["stdin"])
    found = pool_inventory.from_config_maps([written])
    assert found.problems == ()
    assert found.nodes == {node["name"]: read_node(node) for node in told["nodes"]}
    assert found.denied == read_denied(told["denied"])


@pytest.fixture(scope="module")
def gated() -> dict[str, dict[str, Any]]:
    """The resources by default: the gate approves clients, each node has a token of its own."""
    return declare(parse({key: value for key, value in RAW.items() if key not in OPEN}))


def test_each_node_has_a_token_of_its_own_bound_to_its_name_and_generation(
    gated: dict[str, dict[str, Any]],
) -> None:
    assert "workers-token" not in gated
    assert "data" not in gated["n2-token"]  # the run writes that into it, and no state has it
    orders = json.loads(gated["workers-gate"]["stdin"])
    assert [(token["node"], token["group"]) for token in orders["tokens"]] == [
        ("n1", "system:bootstrappers:workers:n1"),
        ("n2", "system:bootstrappers:workers:n2"),
    ]
    assert orders["approval"]["client"] == "gate"


def token_groups(resources: dict[str, dict[str, Any]], token: str) -> list[str]:
    encoded = resources[token]["data"]["value"]["auth-extra-groups"]
    return base64.b64decode(encoded).decode().split(",")


def test_the_controller_manager_approves_no_client_where_the_gate_does(
    resources: dict[str, dict[str, Any]], gated: dict[str, dict[str, Any]]
) -> None:
    """A change of mode is one of tokens: the bindings are the same."""
    for found in (resources, gated):
        (subject,) = found["auto-approve-csrs-for-group"]["subjects"]
        assert subject["name"] == "system:bootstrappers:-auto-approve"
    assert "system:bootstrappers:-auto-approve" in token_groups(resources, "workers-token")


def test_each_pool_has_its_own_way_to_approve_and_its_own_tokens() -> None:
    pools = {
        "safe": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]},
        "open": {**OPEN, "nodes": [{"name": "n2", "address": "10.0.0.2"}]},
    }
    declared = declare(parse({"pools": pools}))
    assert {"n1-token", "open-token"} < declared.keys()
    assert not {"safe-token", "n2-token"} & declared.keys()
    assert token_groups(declared, "open-token") == [
        "system:bootstrappers:-auto-approve",
        "system:bootstrappers:open",
    ]
    for pool, client in (("safe", "gate"), ("open", "controller-manager")):
        approval = json.loads(declared[f"{pool}-gate"]["stdin"])["approval"]
        assert approval == {"client": client, "serving": "gate"}


def test_a_node_that_joins_once_more_gets_a_token_after_the_one_that_the_stack_has() -> None:
    """A run ends its tokens, and so the next has others; a preview says the same as the run."""
    had = {f"n{n}-token": ("w", "3") for n in (1, 2)}
    record = Record(
        nodes={"n1": RecordedNode(address="10.0.0.1", join="1")},
        joins={"n1": "1"},
        members={"n1": "urn"},
        tokens=FormerTokens(made=had, seeds={"w-token-seed": {"round": "3"}}),
    )
    nodes = [{"name": f"n{n}", "address": f"10.0.0.{n}"} for n in (1, 2)]
    declared = declare(parse({"pools": {"w": {"nodes": nodes}}}), record)
    assert declared["w-token-seed"]["keepers"] == {"round": "4"}
    assert "n1-token" not in declared
    assert "n2-token" in declared


def test_a_node_overrides_its_pool(resources: dict[str, dict[str, Any]]) -> None:
    first, second = resources["n1-files"]["__bundle"], resources["n2-files"]["__bundle"]
    assert "| maxPods: 50" in first
    assert "| maxPods: 10" in second
    assert "|   memory.available: 1Gi" in second
    assert "--node-labels=a=node" in second


@pytest.mark.parametrize(
    ("known", "stack"),
    [
        (None, "o/p/s"),
        ("bundle 0\nnode n1\ngeneration 1\nend\n", "o/p/s"),
        # The stack, or its organization, has had another name since.
        ("bundle 0\nnode n1\nstack o/p/former\ngeneration 1\nend\n", "o/p/former"),
    ],
)
def test_a_machine_is_told_the_first_name_of_its_stack(known: str | None, stack: str) -> None:
    files = {} if known is None else {"n1": state.Files(urn="urn", address="10.0.0.1", known=known)}
    declared = declare(parse(RAW), Record(files=files))
    assert f"node n1\nstack {stack}\n" in declared["n1-files"]["stdin"]
    assert "node n2\nstack o/p/s\n" in declared["n2-files"]["stdin"]
    assert "stack" not in declared["n1-files"]["__bundle"]


def test_a_member_only_leaves(resources: dict[str, dict[str, Any]]) -> None:
    member = resources["n1-member"]
    assert "create" not in member
    assert member["delete"].endswith(
        "-m admission leave n1 --stack o/p/s --server https://10.0.0.9:6443 --pool workers"
        " --ssh 10.0.0.1 22"
    )


@pytest.mark.parametrize(
    "raised",
    [
        {"repair": 1},
        {"pools": {"workers": {"repair": 1}}},
        {"pools": {"workers": {"nodes": [{"repair": 1}]}}},
    ],
    ids=["stack", "pool", "node"],
)
def test_a_raised_repair_changes_what_a_node_is_sent(raised: dict[str, Any]) -> None:
    raw = {
        "repair": 2,
        "pools": {
            "workers": {"repair": 3, "nodes": [{"name": "a", "address": "10.0.0.1", "repair": 4}]}
        },
    }
    before, after = (repair_line(parse(settings)) for settings in (raw, raise_by(raw, raised)))
    assert (before, after) == ("repair 9", "repair 10")


def raise_by(raw: dict[str, Any], raised: dict[str, Any]) -> dict[str, Any]:
    """The settings with the numbers of the other added to theirs."""
    merged = dict(raw)
    for key, value in raised.items():
        if isinstance(value, dict):
            merged[key] = raise_by(raw[key], value)
        elif isinstance(value, list):
            merged[key] = [raise_by(raw[key][0], value[0])]
        else:
            merged[key] += value
    return merged


def repair_line(settings: Settings) -> str:
    pool = settings.pools["workers"]
    node = to_node(settings, pool, pool.nodes[0])
    bundle = node_files.bundle(
        node_files.Cluster(name="c", server="https://x", ca_certificate="-"), node
    )
    (line,) = (line for line in bundle.splitlines() if line.startswith("repair "))
    return line


def user_data(cloud_init: object) -> tuple[str, bool]:
    """The output of a pool with such machines, and whether it is a secret."""
    settings = parse(
        {
            "token": {"scope": "pool", "afterJoin": "expire"},
            "approval": {"client": "controller-manager"},
            "pools": {"workers": {"labels": {"a": "pool"}, "cloudInit": cloud_init}},
        }
    )
    credentials = Credentials(
        kubeconfig_path="kubeconfig",
        kubeconfig=None,
        server="https://10.0.0.9:6443",
        api_server="https://10.0.0.9:6443",
        ca_certificate="-",
        private_key=None,
        host_keys={},
    )
    found: list[tuple[str, bool]] = []

    def program() -> pulumi.Output[None]:
        stack = Stack(settings=settings, credentials=credentials)
        rbac = BootstrapRbac("rbac")
        pool = NodePool(
            "workers",
            arguments.node_pool(stack, settings.pools["workers"], rbac, Sender(stack.credentials)),
        )
        assert pool.user_data is not None
        secret = pulumi.Output.from_input(pool.user_data.is_secret())
        return pulumi.Output.all(pulumi.Output.unsecret(pool.user_data), secret).apply(
            lambda told: found.append((told[0], told[1]))
        )

    Engine().run(program)
    return found[0]


def test_user_data_holds_no_token_and_is_no_secret() -> None:
    text, secret = user_data(True)
    assert "--node-labels=a=pool" in text
    assert TOKEN[1] not in text
    assert not secret


def test_user_data_with_a_token_is_a_secret() -> None:
    text, secret = user_data({"withToken": True})
    assert ".".join(TOKEN) in text
    assert secret


def test_a_machine_is_reached_by_its_own_ssh_settings() -> None:
    bastion = {"address": "10.0.0.8", "user": "jump", "hostKey": HOST_KEY}
    raw = {
        **RAW,
        "ssh": {"user": "admin", "sudo": True, "bastion": bastion},
        "controlPlane": {**RAW["controlPlane"], "ssh": {"user": "root", "sudo": False}},  # type: ignore[dict-item]
        "pools": {
            "workers": {
                "ssh": {"port": 2222},
                "nodes": [
                    {"name": "n1", "address": "10.0.0.1"},
                    {"name": "n2", "address": "10.0.0.2", "ssh": {"bastion": None, "user": "me"}},
                ],
            }
        },
    }
    declared = declare(parse(raw))
    ways = {
        name: declared[name]["connection"]["value"] for name in ("n1-files", "n2-files", "cp-flags")
    }
    assert (ways["n1-files"]["user"], ways["n1-files"]["port"]) == ("admin", 2222)
    assert ways["n1-files"]["proxy"]["hostKey"] == HOST_KEY
    assert ways["n1-files"]["proxy"]["user"] == "jump"
    assert ways["n2-files"]["user"] == "me"
    assert "proxy" not in ways["n2-files"]
    for name in ("n1-files", "n2-files"):
        assert declared[name]["create"].startswith("sudo -n timeout -k 10 ")
    assert declared["n1-files"]["delete"].startswith("sudo -n sh -c ")
    assert declared["cp-flags"]["create"].startswith("timeout -k 10 ")


def test_a_node_of_another_version_and_runtime_gets_its_own_files() -> None:
    pool = {
        "kubernetesVersion": "1.35",
        "nodes": [
            {"name": "n1", "address": "10.0.0.1", "runtime": "crio"},
            {"name": "n2", "address": "10.0.0.2", "kubernetesVersion": "1.37"},
        ],
    }
    declared = declare(parse({**RAW, "pools": {"workers": pool}}))
    assert "kubelet /usr/bin/kubelet 1.35\n" in declared["n1-files"]["__bundle"]
    assert "After=network-online.target crio.service\n" in declared["n1-files"]["__bundle"]
    assert "kubelet /usr/bin/kubelet 1.37\n" in declared["n2-files"]["__bundle"]


def write_stack(directory: Path) -> dict[str, Any]:
    """Settings with a node, a control-plane host and an approver, and the files they name."""
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://10.0.0.9:6443"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (directory / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    (directory / "ca.crt").write_bytes(authority(days=9))
    return {
        "kubeconfigPath": str(directory / "kubeconfig"),
        "cluster": {"caPath": str(directory / "ca.crt")},
        "controlPlane": {"hosts": [{"name": "cp", "address": "10.0.0.9", "hostKey": HOST_KEY}]},
        "approver": {"enabled": True, "image": "registry.example.org/approver:1"},
        "pools": {
            "workers": {"nodes": [{"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}]}
        },
    }


def described(engine: Engine) -> str:
    """Each resource in a line: type, name, parent, what it depends on, how it is treated."""
    lines = []
    for request in engine.requests.values():
        if request["type"] == "pulumi:pulumi:Stack":
            continue
        after = {urn.rpartition("::")[2] for urn in request.get("dependencies", ())}
        treated = {
            option: request[option]
            for option in ("ignoreChanges", "retainOnDelete", "deleteBeforeReplace")
            if request.get(option)
        }
        inputs = ",".join(sorted(request.get("object", {})))
        lines.append(
            f"{request['type']} {request['name']}"
            f" parent={request.get('parent', '').rpartition('::')[2]}"
            f" inputs={inputs} after={','.join(sorted(after))}"
            f"{f' {json.dumps(treated, sort_keys=True)}' if treated else ''}\n"
        )
    return "".join(sorted(lines))


def run_program(
    raw: dict[str, Any],
    outputs: dict[str, Any] | None = None,
    pending: Sequence[str] = (),
    in_cluster: Sequence[str] = (),
    former: Engine | None = None,
) -> Engine:
    """Run the whole program with these settings of its stack, and the outputs of the last run."""
    left: dict[str, Any] = {
        "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s": {"type": state.STACK, "outputs": outputs or {}}
    }
    for name in in_cluster:
        kind = "ClusterRole" if name == SERVING_ROLE else "ClusterRoleBinding"
        kinds = f"{COMPONENT}BootstrapRbac$kubernetes:rbac.authorization.k8s.io/v1:{kind}Patch"
        made = {"type": kinds.rpartition("$")[2], "outputs": {"metadata": {"name": name}}}
        left[f"urn:pulumi:s::p::{kinds}::{name}"] = made
    left |= former.left_behind() if former else {}
    texts = {f"p:{key}": v if isinstance(v, str) else json.dumps(v) for key, v in raw.items()}
    pulumi.runtime.set_all_config(texts)
    try:
        return Engine(joined={"n1": "10.0.0.1"}, state=left, pending=pending).run_stack(
            lambda: runpy.run_path(str(ROOT / "__main__.py"))
        )
    finally:
        pulumi.runtime.set_all_config({})


def test_types_names_parents_and_order_of_all_resources_are_as_the_golden_file_says(
    tmp_path: Path,
) -> None:
    found = described(run_program(write_stack(tmp_path)))
    golden = ROOT / "tests/golden/resources.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    # A changed type, name or parent replaces what a stack has already: give it an alias.
    assert found == golden.read_text()


def test_a_stack_without_pools_has_all_that_is_the_clusters(tmp_path: Path) -> None:
    engine = run_program({**write_stack(tmp_path), "pools": {}})
    assert {"cp-flags", "rbac-end", "kubelet-bootstrap"} <= engine.resources.keys()
    assert "serving-approver-deployment" in engine.resources
    assert engine.resources["rbac-end"]["delete"].endswith(" --approver")
    assert not any(name.startswith(("workers", "n1")) for name in engine.resources)
    outputs = engine.outputs_of("p-s")
    empty: dict[str, Any] = {"nodes": {}, "pendingNodes": [], "bootstrapTokenId": {}}
    assert {key: outputs[key] for key in empty} == empty
    assert outputs["record"]["nodes"] == {}


def test_a_run_that_is_new_looks_at_the_cluster_and_the_next_one_does_not(tmp_path: Path) -> None:
    def look(*names: str) -> list[tuple[str, ...]]:
        return run_program(write_stack(tmp_path), in_cluster=names).looks

    roles = ("approve-node-server-renewal-csr", *BINDINGS)
    ((first,),) = [look()]
    assert len(first) == 2 * len(roles) + 1  # each by two names, and the approver's binding
    assert look(*roles) == [(APPROVER_PATH,)]  # the pool and the node are still new too


def test_a_run_looks_at_the_cluster_when_a_node_that_has_joined_gets_more(tmp_path: Path) -> None:
    raw = write_stack(tmp_path)
    first = run_program(raw)
    assert run_program(raw, former=first).looks == []
    (node,) = raw["pools"]["workers"]["nodes"]
    node["certificateAddresses"] = ["10.0.0.77"]
    assert run_program(raw, former=first).looks == [()]


def test_a_program_ends_with_an_error_if_a_node_has_not_joined(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError, match=r"^n1 has not joined, .* This run removes nothing;"):
        run_program(write_stack(tmp_path), pending=["n1"])


def test_the_next_run_is_told_who_has_joined_and_by_what(tmp_path: Path) -> None:
    earlier = {"nodes": [{"name": "n1", "address": "10.0.0.7"}]}
    outputs = run_program(write_stack(tmp_path), earlier).outputs_of("p-s")
    # Its address is another one, so that it joins once more, with a new token.
    assert outputs["record"]["nodes"]["n1"]["join"] == "1@10.0.0.1"
    entry = outputs["nodes"]["workers"]["n1"]
    assert (entry["address"], entry["join"]) == ("10.0.0.1", "1@10.0.0.1")
    assert outputs["pendingNodes"] == []


def test_the_outputs_of_an_earlier_release_change_no_token_and_no_join(tmp_path: Path) -> None:
    earlier = {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}
    resources = run_program(write_stack(tmp_path), earlier).resources
    assert resources["workers-token-seed"]["keepers"] == {"round": "1"}
    assert resources["n1-member"]["stdin"] == "join 1"


def test_a_report_of_an_earlier_run_is_not_taken_for_one_of_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = tmp_path / ".pulumi-gate/o/p/s/workers.json"
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    run_program(write_stack(tmp_path))
    assert not report.exists()
