"""Each component by itself, without settings: what it declares, needs and registers."""

import asyncio
import json
import re
import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi_random import RandomPassword

import node_files
from admission import release
from components import commands
from components.access import Access, SshServer
from components.approver_arguments import ServingApproverArgs
from components.bootstrap_rbac import SERVING_ROLE, BootstrapRbac, BootstrapRbacArgs
from components.bootstrap_token import BootstrapTokenArgs, bootstrap_token, derive
from components.control_plane import ControlPlane, ControlPlaneArgs
from components.deliveries import Deliveries
from components.dependencies import together, unless_failed
from components.join_approver import JoinApprover
from components.joined_node import JoinedNodeArgs, Machine, _bring, gone_node, joined_node
from components.node_pool import NodePool
from components.pool_arguments import Approval, NodePoolArgs, PoolNode, TokenPolicy
from components.pool_inventory import Denied
from components.rollout import Rollout, RolloutPolicy
from components.serving_approver import ServingApprover
from components.user_data import UserDataArgs
from settings.parsing import parse
from settings.problem import SettingsError
from tests.unit.engine import COMPONENT, SEED, Engine

CLUSTER = node_files.Cluster(
    name="c",
    server="https://10.0.0.9:6443",
    ca_certificate="-\n",
)
NODE = node_files.Node(name="n1", addresses=("10.0.0.1",), version="1.36")
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def reach(address: str) -> Access:
    return Access(server=SshServer(address=address, host_key="ssh-ed25519 AAAA", private_key=KEY))


MACHINE = Machine(cluster=CLUSTER, node=NODE, access=reach("10.0.0.1"))


def pool_node(name: str = "n1", **changes: Any) -> PoolNode:
    node = replace(NODE, name=name)
    names = (name, f"{name}.example.org")
    return PoolNode(node=node, access=reach("10.0.0.1"), dns_names=names, bring=bring, **changes)


async def bring(_delivery: node_files.Delivery) -> None:
    raise AssertionError("hooks don't run here")


def pool_args(rbac: BootstrapRbac, **changes: Any) -> NodePoolArgs:
    usual = NodePoolArgs(
        cluster=CLUSTER,
        nodes=(pool_node(),),
        stack="s",
        api_server="https://api",
        rbac=rbac,
        token=TokenPolicy(scope="pool"),
        denied=Denied(addresses=("10.0.0.9", "10.0.0.8"), cidrs=("10.96.0.0/12",)),
    )
    return replace(usual, **changes)


SECRET_TYPE = "kubernetes:core/v1:Secret"


def depends_on(engine: Engine, name: str) -> set[str]:
    """The names of the resources on which the one with this name depends."""
    (request,) = (r for r in engine.requests.values() if r["name"] == name)
    return {urn.rpartition("::")[2] for urn in request.get("dependencies", ())}


def hooks(engine: Engine, name: str) -> dict[str, list[str]]:
    """The names of the hooks of the resource with this name."""
    (request,) = (r for r in engine.requests.values() if r["name"] == name)
    return dict(request.get("hooks", {}))


def test_the_control_planes_hosts_are_looked_at_one_after_the_other() -> None:
    def program() -> None:
        args = ControlPlaneArgs(
            hosts={"cp-1": reach("10.0.0.8"), "cp-2": reach("10.0.0.9")},
            manage=False,
            signing_certificate="/pki/ca.crt",
            signing_key="/pki/ca.key",
        )
        after = pulumi.ResourceOptions(depends_on=ControlPlane("cp", args).ready)
        commands.python_module("later", create="x", opts=after)

    engine = Engine().run(program)
    assert list(engine.resources) == ["cp-1-flags", "cp-2-flags", "later"]
    assert depends_on(engine, "later") == {"cp-1-flags", "cp-2-flags"}
    assert depends_on(engine, "cp-2-flags") == {"cp-1-flags"}
    assert "\nmanage false\nflag kube-apiserver " in engine.resources["cp-1-flags"]["stdin"]
    assert "delete" not in engine.resources["cp-1-flags"]
    assert engine.outputs_of("cp") == {"hosts": ["cp-1", "cp-2"]}


def test_a_control_plane_without_hosts_has_nothing_to_wait_for() -> None:
    def program() -> None:
        args = ControlPlaneArgs(hosts={}, manage=True, signing_certificate="/a", signing_key="/b")
        after = pulumi.ResourceOptions(depends_on=ControlPlane("cp", args).ready)
        commands.python_module("later", create="x", opts=after)

    assert depends_on(Engine().run(program), "later") == set()


def test_all_bindings_of_the_manual_procedure_are_there_in_every_mode() -> None:
    engine = Engine().run(lambda: BootstrapRbac("rbac") and None)
    assert engine.outputs_of("rbac") == {
        "bindings": [
            *("kubelet-bootstrap", "auto-approve-csrs-for-group"),
            *("node-client-cert-renewal", "node-server-cert-renewal"),
        ]
    }


def test_bindings_end_with_the_last_node_and_not_with_the_stack() -> None:
    args = BootstrapRbacArgs(stack="o/p/s", api_server="https://api")
    engine = Engine().run(lambda: BootstrapRbac("rbac", args) and None)
    bindings = {name for name in engine.resources if name != "rbac-end"}
    assert len(bindings) == 5
    assert all(requested(engine, name)["retainOnDelete"] for name in bindings)
    assert depends_on(engine, "rbac-end") == bindings
    words = shlex.split(engine.resources["rbac-end"]["delete"])
    assert words[words.index("release") + 1 :] == [
        *(
            "clusterrolebindings/kubelet-bootstrap",
            "clusterrolebindings/auto-approve-csrs-for-group",
        ),
        *("clusterrolebindings/node-client-cert-renewal",),
        *("clusterrolebindings/node-server-cert-renewal",),
        *("clusterroles/approve-node-server-renewal-csr", "--stack", "o/p/s"),
        *("--server", "https://api"),
    ]
    alone = Engine().run(lambda: BootstrapRbac("rbac") and None)
    assert "rbac-end" not in alone.resources
    assert not requested(alone, "kubelet-bootstrap").get("retainOnDelete")


def test_each_stack_applies_bindings_as_a_field_manager_and_says_that_it_needs_them() -> None:
    """The provider creates no object that another stack has made, but patches it."""
    found = []
    for stack in ("o/p/one", "o/p/two"):
        args = BootstrapRbacArgs(stack=stack, api_server="https://api")
        engine = Engine().run(lambda args=args: BootstrapRbac("rbac", args) and None)
        shared = {n: r for n, r in engine.resources.items() if n != "rbac-end"}
        assert all(resource["__type"].endswith("Patch") for resource in shared.values())
        (annotations,) = {tuple(r["metadata"]["annotations"].items()) for r in shared.values()}
        assert annotations == ((release.claim(stack), stack),)
        for resource in shared.values():
            del resource["metadata"]["annotations"]
        found.append(shared)
    assert found[0] == found[1]


def test_a_binding_beside_one_of_the_same_name_has_another_name_and_role() -> None:
    names = {name: f"own:{name}" for name in (SERVING_ROLE, "node-server-cert-renewal")}
    args = BootstrapRbacArgs(stack="o/p/s", api_server="https://api", names=names)
    engine = Engine().run(lambda: BootstrapRbac("rbac", args) and None)
    bound = engine.resources["node-server-cert-renewal"]
    assert bound["metadata"]["name"] == "own:node-server-cert-renewal"
    assert bound["roleRef"]["name"] == f"own:{SERVING_ROLE}"
    assert engine.resources[SERVING_ROLE]["metadata"]["name"] == f"own:{SERVING_ROLE}"
    words = shlex.split(engine.resources["rbac-end"]["delete"])
    assert {f"clusterroles/own:{SERVING_ROLE}", "clusterrolebindings/kubelet-bootstrap"} < {*words}


def test_approval_by_the_controller_manager_is_for_a_group_that_no_pool_and_no_node_has() -> None:
    engine = Engine().run(lambda: BootstrapRbac("rbac") and None)
    (subject,) = engine.resources["auto-approve-csrs-for-group"]["subjects"]
    # cluster-bootstrap/token/api: BootstrapGroupPattern.
    pattern = r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]"
    assert re.fullmatch(pattern, subject["name"])
    pool = subject["name"].removeprefix("system:bootstrappers:").partition(":")[0]
    with pytest.raises(SettingsError, match="is not a pool's name"):
        parse({"pools": {pool: {}}})


def joining(join: str = "1", *, joins: bool = True, **former: Any) -> Engine:
    """The resources of one node that joins."""

    def program() -> None:
        owner = pulumi.ComponentResource(f"{COMPONENT}NodePool", "p")
        seed = RandomPassword("seed", length=32, keepers={"round": "1"})
        given = BootstrapTokenArgs(pool="p", round="1", ttl_minutes=5)
        token = bootstrap_token("t", given, seed, owner, together())
        orders, activations = pulumi.Output.from_input("{}"), pulumi.Output.from_input({})
        args = JoinedNodeArgs(
            machine=MACHINE,
            token=token,
            join=join,
            is_new=joins,
            joins=joins,
            bring=bring,
            deliveries=Deliveries("p"),
            rollout=rollout(owner),
            join_limit_s=180,
            stack="a stack",
            pool="p",
            api_server="https://api",
            approver=JoinApprover("p", orders=orders, activations=activations, owner=owner),
            rbac=BootstrapRbac("rbac"),
            **former,
        )
        joined_node("n1", args, owner)

    return Engine().run(program)


def rollout(owner: pulumi.Resource) -> Rollout:
    """A rollout in which nobody waits."""
    return Rollout(
        "p",
        changes=(),
        members=(),
        policy=RolloutPolicy(),
        orders=pulumi.Output.from_input("{}"),
        owner=owner,
    )


def requested(engine: Engine, name: str) -> dict[str, Any]:
    (found,) = (r for r in engine.requests.values() if r["name"] == name)
    return found


def test_a_node_joins_after_its_token_and_its_files() -> None:
    engine = joining()
    assert depends_on(engine, "n1-files") == set()
    # Its bindings go after it, so that a node whose drain fails can renew its certificates.
    renewal = {"node-client-cert-renewal", "node-server-cert-renewal"}
    assert depends_on(engine, "n1-member") == {"n1-files", *renewal}
    assert "retainOnDelete" not in requested(engine, "n1-files")
    assert "ignoreChanges" not in requested(engine, "n1-files")


def test_a_machine_gets_its_files_while_its_token_is_made() -> None:
    order = [*joining().resources]
    assert order.index("n1-files") < order.index("t") < order.index("n1-member")


@pytest.mark.parametrize("joins", [True, False])
def test_what_approves_is_imported_while_a_machine_that_joins_gets_its_files(
    monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr("components.joined_node.prepare", lambda: prepared.append(True))
    brought: list[object] = []

    async def bring(delivery: object) -> None:
        assert prepared == [True] * joins
        brought.append(delivery)

    checked = SimpleNamespace(check=lambda _: None)
    args: Any = SimpleNamespace(rollout=checked, machine=MACHINE, joins=joins, bring=bring)
    asyncio.run(_bring(args))
    assert len(brought) == 1


def test_a_command_has_the_same_hooks_in_every_run() -> None:
    engine = joining("3@10.0.0.1")
    assert engine.resources["n1-member"]["stdin"] == "join 3@10.0.0.1"
    expected = {"before_create": ["p-once", "p-deliver"], "before_update": ["p-deliver"]}
    assert hooks(engine, "n1-member") == hooks(engine, "n1-files") == expected
    assert hooks(joining("3@10.0.0.1", joins=False), "n1-member") == expected


def test_what_an_earlier_release_has_had_elsewhere_is_taken_over() -> None:
    engine = joining(former_files=("urn:a", "urn:b"), former_member="urn:c")
    aliases = {n: requested(engine, f"n1-{n}")["aliases"] for n in ("files", "member")}
    assert aliases == {"files": [{"urn": "urn:a"}, {"urn": "urn:b"}], "member": [{"urn": "urn:c"}]}
    assert "aliases" not in requested(joining(), "n1-member")


def test_a_node_leaves_by_the_kubeconfig_of_the_day_on_which_it_does() -> None:
    delete = joining().resources["n1-member"]["delete"]
    words = shlex.split(delete)
    assert words[-12:-7] == ["admission", "leave", "n1", "--stack", "a stack"]
    assert words[-7:-3] == ["--server", "https://api", "--pool", "p"]
    assert words[-3:] == ["--ssh", "10.0.0.1", "22"]


def test_a_machine_that_is_gone_keeps_its_files_and_nothing_touches_it() -> None:
    def program() -> None:
        gone_node("n1", MACHINE, (), pulumi.ComponentResource(f"{COMPONENT}NodePool", "p"))

    engine = Engine().run(program)
    assert list(engine.resources) == ["n1-files"]
    request = requested(engine, "n1-files")
    assert request["retainOnDelete"]
    # Whatever has an effect on a command is ignored, so that none runs.
    assert {"connection", "create", "delete", "stdin"} <= set(request["ignoreChanges"])


def test_a_pool_goes_on_without_a_machine_that_is_gone() -> None:
    def program() -> None:
        rbac = BootstrapRbac("rbac")
        gone = pool_node("n2", gone=True, existing=frozenset({"files"}))
        nodes = (gone, pool_node("n1"), pool_node("n3", gone=True))
        NodePool("p", pool_args(rbac, nodes=nodes, token=TokenPolicy(scope="node")))

    engine = Engine().run(program)
    assert {name for name in engine.resources if name[:2] in ("n2", "n3")} == {"n2-files"}
    for text in (
        engine.resources["p-gate"]["stdin"],
        engine.resources["p-inventory"]["data"]["inventory.json"],
    ):
        assert [node["name"] for node in json.loads(text)["nodes"]] == ["n1"]


def gate(printed: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """What the gate of a pool is declared with."""

    def program() -> None:
        rbac = BootstrapRbac("rbac")
        NodePool("p", pool_args(rbac, **changes))

    engine = Engine(printed=printed or {}).run(program)
    assert set(requested(engine, "p-gate")["ignoreChanges"]) == {"create", "stdin"}
    return engine.resources["p-gate"]


@pytest.mark.parametrize(
    "changes",
    [
        {"stall_seconds": 600},
        {"denied": Denied(addresses=("10.0.0.8",), cidrs=("10.97.0.0/16",))},
        {"stack": "another"},
        {"api_server": "https://another"},
        {"skip_cluster_checks": ("clock",)},
        {"approval": Approval(serving="manual")},
        {"token": TokenPolicy(scope="pool", after_join="keep")},
        {"nodes": (pool_node(),), "user_data": UserDataArgs(node=NODE)},
    ],
)
def test_what_decides_about_no_membership_does_not_run_a_gate_again(
    changes: dict[str, Any],
) -> None:
    assert gate(**changes)["triggers"] == gate()["triggers"]


@pytest.mark.parametrize(
    "nodes",
    [
        (pool_node(join="2"),),
        (pool_node(), pool_node("n2")),
        (replace(pool_node(), node=replace(NODE, version="1.37")),),
        (replace(pool_node(), node=replace(NODE, addresses=("10.0.0.7",))),),
        (replace(pool_node(), node=replace(NODE, labels={"tier": "a"})),),
        (replace(pool_node(), node=replace(NODE, annotations={"owner": "a"})),),
        (replace(pool_node(), node=replace(NODE, taints=("gpu:NoSchedule",))),),
    ],
)
def test_another_membership_or_node_runs_a_gate_again(nodes: tuple[PoolNode, ...]) -> None:
    assert gate(nodes=nodes)["triggers"] != gate()["triggers"]


def test_a_kubelet_that_was_restarted_is_proven_by_a_gate_once() -> None:
    def restarted(at: str, kubelet: str = "restarted") -> dict[str, Any]:
        return gate(printed={"n1-files": json.dumps({"kubelet": kubelet, "restarted": at})})

    first, second = restarted("2026-01-01T00:00:00Z"), restarted("2026-01-02T00:00:00Z")
    assert len({gate()["triggers"][0], first["triggers"][0], second["triggers"][0]}) == 3
    # What has changed since then without a restart is nothing to prove.
    assert restarted("2026-01-02T00:00:00Z", "running")["triggers"] == second["triggers"]
    assert gate(printed={"n1-files": '{"kubelet":"running"}'})["triggers"] == gate()["triggers"]
    (node,) = json.loads(first["stdin"])["nodes"]
    assert node["restarted"] == "2026-01-01T00:00:00Z"
    assert "restarted" not in json.loads(gate()["stdin"])["nodes"][0]


def test_new_files_are_proven_by_a_gate_whether_a_kubelet_restarts_or_not() -> None:
    assert gate(nodes=(replace(pool_node(), node=replace(NODE, repair=1)),)) != gate()
    # Nothing of this is on the machine.
    registered = (replace(pool_node(), registered_taints=("startup:NoExecute",)),)
    assert gate(nodes=registered)["triggers"] == gate()["triggers"]


def test_a_preview_expects_a_gate_where_files_change_and_not_for_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = json.dumps({"kubelet": "restarted", "restarted": "2026-01-01T00:00:00Z"})
    known = node_files.known(CLUSTER, NODE)
    before = replace(pool_node(), joins=False, installed=known, printed=printed)
    expected = gate(nodes=(before,), printed={"n1-files": printed})["triggers"]
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    # A preview does not know what the command prints when it runs again.
    assert gate(nodes=(before,), printed={"n1-files": ""})["triggers"] == expected
    assert gate(nodes=(replace(before, installed="other"),))["triggers"] != expected


def test_what_nodes_have_alike_is_told_to_a_gate_once() -> None:
    alike = replace(NODE, labels={"b": "1", "a": "2"}, taints=("x:NoSchedule", "a:NoSchedule"))
    nodes = (
        replace(
            pool_node("n3"), node=replace(alike, name="n3"), registered_taints=("a:NoSchedule",)
        ),
        replace(pool_node("n1"), node=replace(alike, name="n1", taints=alike.taints[::-1])),
        replace(pool_node("n2"), node=replace(NODE, name="n2", annotations={"c": "d"})),
        pool_node("n4"),
        replace(pool_node("n5"), node=replace(alike, name="n5"), gone=True),
    )
    orders = json.loads(gate(nodes=nodes)["stdin"])
    assert orders["attributes"] == [
        {
            "nodes": ["n1", "n3"],
            "labels": {"a": "2", "b": "1"},
            "taints": ["a:NoSchedule", "x:NoSchedule"],
        },
        {"nodes": ["n2"], "annotations": {"c": "d"}},
    ]
    assert orders["registered"] == [{"nodes": ["n3"], "taints": ["a:NoSchedule"]}]


def test_the_order_in_which_nodes_and_hosts_are_listed_is_no_input_of_a_gate() -> None:
    nodes = (pool_node("n2"), pool_node("n1"))
    one, other = gate(nodes=nodes), gate(nodes=nodes[::-1])
    assert one["triggers"] == other["triggers"]
    assert one["stdin"] == other["stdin"]
    both = ("10.0.0.8", "10.0.0.9")
    assert Denied(addresses=both).document() == Denied(addresses=both[::-1]).document()


@pytest.mark.parametrize("scope", ["pool", "node"])
def test_a_pool_tells_no_secret_and_the_state_nothing_twice(scope: Any) -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        pool = NodePool("p", pool_args(BootstrapRbac("rbac"), token=TokenPolicy(scope=scope)))
        return pulumi.Output.all(pool.token_id, pool.nodes).apply(found.append)

    engine = Engine().run(program)
    token_id = derive(SEED, "" if scope == "pool" else "n1")[0]
    assert found == [[token_id if scope == "pool" else {"n1": token_id}, {}]]
    assert engine.outputs_of("p") == {}  # they are the stack's
    for secret in (SEED, KEY):
        assert secret not in json.dumps(found) + json.dumps(engine.outputs)


def test_a_pools_gate_works_beside_the_joins() -> None:
    def program() -> None:
        rbac = BootstrapRbac("rbac")
        pool = NodePool("p", pool_args(rbac))
        assert len(pool.ready) == 2
        assert pool.user_data is None

    engine = Engine().run(program)
    # It waits for the tokens, of which the state says nothing: there may be hundreds.
    assert depends_on(engine, "p-gate") == set()
    assert list(engine.resources).index("p-token") < list(engine.resources).index("p-gate")
    orders = json.loads(engine.resources["p-gate"]["stdin"])
    (node,) = orders["nodes"]
    assert node["dnsNames"] == ["n1", "n1.example.org"]
    assert orders["denied"] == {
        "addresses": ["10.0.0.8", "10.0.0.9"],
        "cidrs": ["10.96.0.0/12"],
        "names": [],
    }
    inventory = json.loads(engine.resources["p-inventory"]["data"]["inventory.json"])
    assert inventory["nodes"] == [{key: node[key] for key in ("name", "addresses", "dnsNames")}]


@pytest.mark.parametrize("failing", ["n1-member", "p-gate"])
def test_a_failure_is_told_of_its_node_or_of_the_gate(failing: str) -> None:
    found: list[list[str]] = []

    def program() -> pulumi.Output[None]:
        rbac = BootstrapRbac("rbac")
        return NodePool("p", pool_args(rbac)).unfinished.apply(found.append)

    with pytest.raises(Exception, match=f"{failing} fails"):
        Engine(failing=failing).run(program)
    assert found == [[failing.removesuffix("-member")]]


def test_a_hook_tells_when_the_gate_begins_and_a_join_needs_its_files_alone() -> None:
    def program() -> None:
        rbac = BootstrapRbac("rbac")
        NodePool("p", pool_args(rbac, token=TokenPolicy(scope="node")))

    engine = Engine().run(program)
    assert hooks(engine, "p-gate") == {
        "before_create": ["p-gate-begins"],
        "before_update": ["p-gate-begins"],
        "after_create": ["p-gate-succeeded"],
        "after_update": ["p-gate-succeeded"],
    }
    # An order that only creations need: deletions know nothing of it.
    # Its bindings go after it, so that a node whose drain fails can renew its certificates.
    renewal = {"node-client-cert-renewal", "node-server-cert-renewal"}
    assert depends_on(engine, "n1-member") == {"n1-files", *renewal}
    known = {"p-once", "p-deliver", "p-gate-begins", "p-gate-succeeded", "p-token-begins"}
    assert set(engine.hooks) == known
    (secret,) = (r for r in engine.requests.values() if r["type"] == SECRET_TYPE)
    assert secret["hooks"] == {"before_create": ["p-token-begins"]}


def test_user_data_of_a_pool_with_a_token_for_each_node_holds_none() -> None:
    found: list[str] = []

    def program() -> pulumi.Output[None]:
        rbac = BootstrapRbac("rbac")
        wanted = UserDataArgs(node=NODE, with_token=True)
        args = pool_args(rbac, token=TokenPolicy(scope="node"), user_data=wanted)
        data = NodePool("p", args).user_data
        assert data is not None
        return data.apply(found.append)

    Engine().run(program)
    assert found[0].startswith("#cloud-config\n")
    assert not [half for half in derive(SEED, "") if half in found[0]]


def test_an_approver_starts_after_what_it_is_given() -> None:
    def program() -> None:
        token = commands.python_module("t", create="x", opts=pulumi.ResourceOptions())
        ServingApprover("a", ServingApproverArgs(image="i", after=unless_failed([token])))

    engine = Engine().run(program)
    assert "t" in depends_on(engine, "a-deployment")
    assert engine.outputs_of("a") == {
        "name": "kubelet-serving-approver",
        "namespace": "kube-system",
    }
