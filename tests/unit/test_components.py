"""Each component by itself, without settings: what it declares, needs and registers."""

import base64
import json
import shlex
from typing import Any

import pulumi
import pytest

import node_files
from components import commands
from components.access import Access, SshServer
from components.bootstrap_rbac import BootstrapRbac, BootstrapRbacArgs
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.control_plane import ControlPlane, ControlPlaneArgs
from components.joined_node import JoinedNode, JoinedNodeArgs
from components.kubeconfig_source import KubeconfigSource
from components.node_pool import NodePool, NodePoolArgs, PoolNode, TokenPolicy
from components.pool_inventory import Denied
from components.serving_approver import ServingApprover, ServingApproverArgs
from components.user_data import UserDataArgs
from tests.unit.engine import Engine

CLUSTER = node_files.Cluster(name="c", server="https://10.0.0.9:6443", ca_certificate="-\n")
NODE = node_files.Node(name="n1", addresses=("10.0.0.1",), version="1.36")
KUBECONFIG = KubeconfigSource(path="~/.kube/config")
SECRET = "0123456789abcdef"  # of the token
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def reach(address: str) -> Access:
    return Access(server=SshServer(address=address, host_key="ssh-ed25519 AAAA", private_key=KEY))


def pool_args(rbac: pulumi.Resource, **changes: Any) -> NodePoolArgs:
    entry = PoolNode(node=NODE, access=reach("10.0.0.1"), dns_names=("n1", "n1.example.org"))
    return NodePoolArgs(
        cluster=CLUSTER,
        nodes=(entry,),
        kubeconfig=KUBECONFIG,
        rbac=rbac,
        denied=Denied(addresses=("10.0.0.9",), cidrs=("10.96.0.0/12",)),
        **changes,
    )


def depends_on(engine: Engine, name: str) -> set[str]:
    """The names of the resources on which the one with this name depends."""
    (request,) = (r for r in engine.requests.values() if r["name"] == name)
    return {urn.rpartition("::")[2] for urn in request.get("dependencies", ())}


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
    assert "\nmanage false\nfile /pki/ca.crt\n" in engine.resources["cp-1-flags"]["stdin"]
    assert "delete" not in engine.resources["cp-1-flags"]
    assert engine.outputs_of("cp") == {"hosts": ["cp-1", "cp-2"]}


def test_a_control_plane_without_hosts_has_nothing_to_wait_for() -> None:
    def program() -> None:
        args = ControlPlaneArgs(hosts={}, manage=True, signing_certificate="/a", signing_key="/b")
        after = pulumi.ResourceOptions(depends_on=ControlPlane("cp", args).ready)
        commands.python_module("later", create="x", opts=after)

    assert depends_on(Engine().run(program), "later") == set()


def test_the_gate_needs_no_binding_for_client_certificates() -> None:
    engine = Engine().run(
        lambda: BootstrapRbac("rbac", BootstrapRbacArgs(client_approval="gate")) and None
    )
    assert engine.outputs_of("rbac") == {
        "bindings": ["kubelet-bootstrap", "node-client-cert-renewal", "node-server-cert-renewal"]
    }


def test_a_token_registers_its_public_half_alone() -> None:
    args = BootstrapTokenArgs(pool="p", members={"n1": 1}, ttl_minutes=5)
    engine = Engine().run(lambda: BootstrapToken("p-token", args) and None)
    assert engine.outputs_of("p-token") == {"tokenId": "abcdef", "secretUid": "u-1"}
    data = engine.resources["p-token"]["data"]["value"]
    assert base64.b64decode(data["token-secret"]).decode() == SECRET


@pytest.mark.parametrize("force", [True, False])
def test_a_node_joins_after_its_token_and_its_files(force: bool) -> None:
    def program() -> None:
        token = BootstrapToken("t", BootstrapTokenArgs(pool="p", members={}, ttl_minutes=5))
        args = JoinedNodeArgs(
            cluster=CLUSTER, node=NODE, access=reach("10.0.0.1"), token=token,
            kubeconfig=KUBECONFIG, join_limit_s=180, force=force,
        )  # fmt: skip
        JoinedNode("n1", args)

    engine = Engine().run(program)
    assert depends_on(engine, "n1-files") == {"t"}
    assert "n1-files" in depends_on(engine, "n1-join")
    assert depends_on(engine, "n1-member") == {"n1-join"}
    (files,) = (r for r in engine.requests.values() if r["name"] == "n1-files")
    assert files.get("retainOnDelete", False) == force
    assert engine.resources["n1-member"]["delete"].endswith(" --force") == force
    assert engine.outputs_of("n1") == {"addresses": ["10.0.0.1"], "kubeletVersion": "1.36"}


@pytest.mark.parametrize("scope", ["pool", "node"])
def test_a_pool_registers_no_secret(scope: Any) -> None:
    def program() -> None:
        rbac = BootstrapRbac("rbac", BootstrapRbacArgs(client_approval="gate"))
        NodePool("p", pool_args(rbac, token=TokenPolicy(scope=scope)))

    engine = Engine().run(program)
    tokens = "abcdef" if scope == "pool" else {"n1": "abcdef"}
    assert engine.outputs_of("p") == {"tokenId": tokens, "nodes": []}
    for secret in (SECRET, KEY):
        assert secret not in json.dumps(engine.outputs)


def test_a_pools_gate_works_beside_the_joins() -> None:
    def program() -> None:
        rbac = BootstrapRbac("rbac", BootstrapRbacArgs(client_approval="gate"))
        pool = NodePool("p", pool_args(rbac))
        assert len(pool.ready) == 2
        assert pool.user_data is None

    engine = Engine().run(program)
    assert depends_on(engine, "p-gate") == {"p-token", "p-token-id"}
    orders = json.loads(engine.resources["p-gate"]["stdin"])
    (node,) = orders["nodes"]
    assert node["dnsNames"] == ["n1", "n1.example.org"]
    assert orders["denied"] == {"addresses": ["10.0.0.9"], "cidrs": ["10.96.0.0/12"]}
    inventory = json.loads(engine.resources["p-inventory"]["data"]["inventory.json"])
    assert inventory["nodes"] == [{key: node[key] for key in ("name", "addresses", "dnsNames")}]


def test_user_data_of_a_pool_with_a_token_for_each_node_holds_none() -> None:
    found: list[str] = []

    def program() -> pulumi.Output[None]:
        rbac = BootstrapRbac("rbac", BootstrapRbacArgs(client_approval="gate"))
        wanted = UserDataArgs(node=NODE, with_token=True)
        args = pool_args(rbac, token=TokenPolicy(scope="node"), user_data=wanted)
        data = NodePool("p", args).user_data
        assert data is not None
        return data.apply(found.append)

    Engine().run(program)
    assert found[0].startswith("#cloud-config\n")
    assert SECRET not in found[0]


def test_an_approver_starts_after_what_it_is_given() -> None:
    def program() -> None:
        token = BootstrapToken("t", BootstrapTokenArgs(pool="p", members={}, ttl_minutes=5))
        ServingApprover("a", ServingApproverArgs(image="i", after=tuple(token.ready)))

    engine = Engine().run(program)
    assert "t" in depends_on(engine, "a-deployment")
    assert engine.outputs_of("a") == {
        "name": "kubelet-serving-approver",
        "namespace": "kube-system",
    }


def test_a_path_can_not_break_out_of_the_command_by_which_a_node_leaves() -> None:
    path = "~/my clusters/$(id);#'a'"
    assert shlex.split(KubeconfigSource(path=path).leave_arguments()) == ["--kubeconfig", path]


def test_a_command_by_which_a_node_leaves_names_the_stack_and_not_its_secret() -> None:
    found: list[str] = []

    def program() -> None:
        source = KubeconfigSource(content=pulumi.Output.secret("s3cret"))
        found.append(source.leave_arguments())

    Engine().run(program)
    assert found == ["--stack-config s"]
