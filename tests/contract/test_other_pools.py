"""Stacks with pools in one cluster, with the real engine and API server, and without machines."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.engine import PROJECT, STACK, Done, Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PLUGINS = ("pulumi-resource-kubernetes", "pulumi-resource-command")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"
# As `__main__` and `components.node_pool` have it. Its name is another stack's in each backend.
PROGRAM = """
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_command import local
from components.bootstrap_rbac import BootstrapRbac
from components.pool_inventory import InventoryNode, pool_inventory
from stack import arguments, membership, other_pools, reading, shared_cluster
from stack.state import POOL

NAME = Path("name").read_text()
arguments.full_name = shared_cluster.full_name = other_pools.full_name = lambda: NAME

async def main():
    stack = await reading.with_record(await reading.read(pulumi.Config()))
    pulumi.export("adds", other_pools.adds(stack))
    stack = await shared_cluster.with_cluster(stack)
    path = stack.credentials.kubeconfig_path
    cluster = kubernetes.Provider("cluster", kubeconfig=path, cluster_identifier=NAME)
    opts = pulumi.ResourceOptions(provider=cluster)
    BootstrapRbac("rbac", arguments.bootstrap_rbac(stack), opts)
    for name, pool in stack.settings.pools.items():
        owner = pulumi.ComponentResource(POOL, name, None, opts)
        nodes = [
            InventoryNode(
                name=node.name,
                addresses=node.all_addresses,
                dns_names=node.all_names,
                certificate_addresses=node.certificate_addresses,
            )
            for node in pool.nodes
        ]
        pool_inventory(
            f"{name}-inventory",
            pool=name,
            stack=NAME,
            namespace=stack.settings.approver.namespace,
            nodes=nodes,
            denied=arguments.denied(stack.settings, stack.credentials),
            opts=pulumi.ResourceOptions(parent=owner),
        )
        for node in nodes:
            join = membership.join(node.name, 1, node.addresses[0], stack.record)
            opts_of_node = pulumi.ResourceOptions(parent=owner)
            local.Command(f"{node.name}-member", stdin=f"join {join}", opts=opts_of_node)
    pulumi.export("record", membership.document(stack.settings, stack.record))

pulumi.run(main)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    with running(tmp_path / "cluster") as started:
        yield started


def make(directory: Path, name: str) -> Stack:
    directory.mkdir()
    stack = Stack(directory, PLUGINS)
    stack.write(PROGRAM, runtime={"name": "python", "options": {"virtualenv": sys.prefix}})
    (stack.project / "name").write_text(name)
    stack.select()
    return stack


def up(
    stack: Stack, cluster: Cluster, pool: str, node: dict[str, Any], networks: str = "10.96.0.0/12"
) -> Done:
    given = {
        "kubeconfigPath": str(cluster.kubeconfig),
        "cluster": {"server": "https://api.example.org:6443", "serviceCidr": networks},
        "pools": {pool: {"nodes": [{**node, "hostKey": HOST_KEY}]}},
    }
    path = stack.project / f"Pulumi.{STACK}.yaml"
    held = yaml.safe_load(path.read_text()) if path.exists() else {}
    held["config"] = {f"{PROJECT}:{key}": value for key, value in given.items()}
    path.write_text(yaml.safe_dump(held))
    words = ("up", "--yes", "--skip-preview", "--stack", STACK)
    return stack.run(*words, PYTHONPATH=str(ROOT))


def test_a_node_that_has_joined_gets_nothing_that_another_stack_has_or_denies(
    cluster: Cluster, tmp_path: Path
) -> None:
    one, two = make(tmp_path / "one", "o/p/one"), make(tmp_path / "two", "o/p/two")
    n1 = {"name": "n1", "address": "10.0.0.1"}
    n2 = {"name": "n2", "address": "10.0.0.2"}
    for stack, pool, node in ((one, "a", n1), (two, "b", n2)):
        done = up(stack, cluster, pool, node)
        assert done.status == 0, done.said
        assert stack.outputs()["adds"] is True
    # Who may write in a namespace of its own alone keeps nobody from anything.
    text = {"pool": "c", "nodes": [], "denied": {"addresses": [], "cidrs": ["0.0.0.0/0"]}}
    labels = {"kubelet-tls-bootstrap/inventory": "c"}
    body = {"metadata": {"name": "kubelet-tls-bootstrap-c", "labels": labels}}
    maps = "/api/v1/namespaces/default/configmaps"
    cluster.request("POST", maps, {**body, "data": {"inventory.json": json.dumps(text)}})

    done = up(two, cluster, "b", {**n2, "certificateAddresses": ["10.0.0.1"]})
    assert done.status != 0
    assert "pools.b.nodes[0] (n2) has 10.0.0.1, and so has the node n1 of the pool a" in done.said
    done = up(two, cluster, "b", {**n2, "address": "10.1.0.2"}, "10.0.0.0/30")
    assert done.status != 0
    assert "cluster.serviceCidr would deny 10.0.0.1 to all nodes, and n1 of the pool a" in done.said
    done = up(two, cluster, "b", {**n2, "certificateAddresses": ["10.2.0.2"]})
    assert done.status == 0, done.said
    assert two.outputs()["adds"] is True
    done = up(two, cluster, "b", {**n2, "certificateAddresses": ["10.2.0.2"]})
    assert done.status == 0, done.said
    assert two.outputs()["adds"] is False
