"""A cluster stack without pools, and two stacks with a pool each, on one cluster.

Before the first `up` somebody has typed the manual procedure: its flags, its bindings, of which
some say another thing than this program's, and a node. They are there after the last `destroy` as
they were, and nobody has deleted anything.

Takes out what has joined before, and ends with nothing joined. The tests tell one story and run in
their order.
"""

import copy
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab import by_hand
from tests.lab.by_hand import BINDINGS, ROLE
from tests.lab.kubelet import is_alive, main_pid, nodes
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX
from tests.lab.test_join import ADDRESSES

pytestmark = pytest.mark.lab

# What says another thing by hand than here is made beside it.
BESIDE = {
    f"kubelet-tls-bootstrap:{name}"
    for name in (ROLE, "auto-approve-csrs-for-group", "node-server-cert-renewal")
}
CLUSTER, ONE, TWO = "fleet-cluster", "fleet-one", "fleet-two"
POOLS = {ONE: ("one", "node-1"), TWO: ("two", "node-2")}
OLD = "node-3"  # joined by hand


def said_by_hand(project: Project) -> dict[str, Any]:
    """What those say now, and which objects they are."""
    found = [project.get("clusterrolebinding", name) for name in BINDINGS]
    found.append(project.get("clusterrole", ROLE))
    return {
        f"{each['kind']}/{each['metadata']['name']}": (
            each["metadata"]["uid"],
            each["metadata"].get("annotations"),
            each.get("roleRef"),
            each.get("subjects"),
            each.get("rules"),
        )
        for each in found
    }


def shared(project: Project) -> set[str]:
    """The names of the roles and bindings that this program has made beside those."""
    items = project.get("clusterroles,clusterrolebindings")["items"]
    return {each["metadata"]["name"] for each in items} & BESIDE


def write(project: Project, stack: str, settings: dict[str, Any]) -> None:
    project.write_yaml(f"Pulumi.{stack}.yaml", settings)


def run(project: Project, stack: str, *command: str, check: bool = True) -> str:
    done = project.pulumi(*command, "--stack", stack, check=check)
    return done.stdout + done.stderr


def up(project: Project, stack: str) -> str:
    return run(project, stack, "up", "--yes", "--skip-preview")


def destroy(project: Project, stack: str) -> str:
    return run(project, stack, "destroy", "--yes", "--skip-preview")


def may_renew(project: Project, node: str, kind: str) -> bool:
    who = ("--as", f"system:node:{node}", "--as-group", "system:nodes")
    what = ("certificatesigningrequests", f"--subresource={kind}")
    done = project.kubectl("auth", "can-i", "create", *what, *who, check=False)
    return done.stdout.strip() == "yes"


def is_untouched(project: Project, before: dict[str, Any]) -> None:
    """The node that was joined by hand is alive, may renew, and is as it was."""
    is_alive(project, OLD)
    assert may_renew(project, OLD, "selfnodeclient")
    assert by_hand.look(project, OLD) == before


def works(project: Project, node: str) -> None:
    """The node is Ready and alive, the status finds nothing wrong, and it may renew."""
    is_alive(project, node)
    status = json.loads(project.run("./ktb", "status", "--json").stdout)
    assert status["problems"] == []
    (found,) = [each for each in status["nodes"] if each["name"] == node]
    assert found["servingCertificate"]["end"], found
    assert found["servingCertificate"]["problem"] == ""
    assert may_renew(project, node, "selfnodeclient")
    assert may_renew(project, node, "selfnodeserver")


@pytest.fixture(scope="module", autouse=True)
def old(project: Project) -> Iterator[dict[str, Any]]:
    """What was set up by hand, before any stack."""
    project.pulumi("destroy", "--yes", "--skip-preview")
    project.lab("up", "--nodes", "3")
    with by_hand.cluster(project):
        by_hand.join(project, OLD)
        yield by_hand.look(project, OLD)
        by_hand.leave(project, OLD)


@pytest.fixture(scope="module", autouse=True)
def fleet(project: Project, old: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings of each stack; the lab's own one has nothing."""
    assert old
    whole = project.settings()
    pools = whole["config"].pop(f"{PREFIX}pools")
    found = {CLUSTER: copy.deepcopy(whole)}
    found[CLUSTER]["config"][f"{PREFIX}pools"] = {}
    del whole["config"][f"{PREFIX}controlPlane"]
    for stack, (pool, node) in POOLS.items():
        found[stack] = copy.deepcopy(whole)
        nodes = [{"name": node, "address": ADDRESSES[node]}]
        found[stack]["config"][f"{PREFIX}pools"] = {pool: {**pools["workers"], "nodes": nodes}}
    for stack, settings in found.items():
        write(project, stack, settings)
        project.pulumi("stack", "init", "--no-select", stack)
    yield found
    for stack in reversed(found):
        destroy(project, stack)
        project.pulumi("stack", "rm", "--yes", "--preserve-config", stack)
    # Pulumi selects none once it has removed any.
    project.pulumi("stack", "select", "dev")


def test_a_cluster_stack_without_pools_leaves_what_was_made_by_hand(
    project: Project, old: dict[str, Any]
) -> None:
    before = said_by_hand(project)
    said = up(project, CLUSTER)
    for name in BESIDE:
        usual = name.removeprefix("kubelet-tls-bootstrap:")
        assert f"{usual} is there already and is another one" in said
    assert shared(project) == BESIDE
    after = said_by_hand(project)
    for name, told in before.items():
        assert (told[0], *told[2:]) == (after[name][0], *after[name][2:]), name
    run(project, CLUSTER, "preview", "--expect-no-changes")
    outputs = json.loads(run(project, CLUSTER, "stack", "output", "--json"))
    assert (outputs["nodes"], outputs["pendingNodes"]) == ({}, [])
    is_untouched(project, old)


def test_two_pool_stacks_join_at_the_same_time(project: Project) -> None:
    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lambda stack: up(project, stack), POOLS)
    # It is the manual procedure's, so it is for their tokens as well.
    assert "a token can become any node" in one
    assert "a token can become any node" in two
    assert set(nodes(project)) == {"node-1", "node-2", OLD}
    for stack, (_, node) in POOLS.items():
        works(project, node)
        run(project, stack, "preview", "--refresh", "--expect-no-changes")
    run(project, CLUSTER, "preview", "--refresh", "--expect-no-changes")


def test_the_pool_and_the_node_of_another_stack_are_refused(
    project: Project, fleet: dict[str, Any]
) -> None:
    pid = main_pid(project, "node-1")
    whose = f"the pool one of the stack organization/kubelet-tls-bootstrap/{ONE}"
    node = {"name": "node-1", "address": ADDRESSES["node-1"]}
    for pool, listed, told in (
        ("one", [], f"pools.one has the name of {whose}"),
        ("three", [node], f"pools.three.nodes[0] (node-1) has 10.98.0.11, and so has {whose}"),
    ):
        settings = copy.deepcopy(fleet[TWO])
        settings["config"][f"{PREFIX}pools"][pool] = {"nodes": listed}
        write(project, TWO, settings)
        for command in (("preview",), ("up", "--yes", "--skip-preview")):
            said = run(project, TWO, *command, check=False)
            assert "1 problem in the settings; nothing was changed" in said
            assert told.replace("has the pool", "has the node node-1 of the pool") in said
    write(project, TWO, fleet[TWO])
    run(project, TWO, "preview", "--expect-no-changes")
    assert main_pid(project, "node-1") == pid


def test_a_pool_stack_that_is_destroyed_takes_nothing_from_the_other(project: Project) -> None:
    pid = main_pid(project, "node-2")
    said = destroy(project, ONE)
    assert "node-2, node-3, which this stack does not manage, need them to renew" in said
    assert set(nodes(project)) == {"node-2", OLD}
    works(project, "node-2")
    assert main_pid(project, "node-2") == pid
    assert shared(project) == BESIDE
    for stack in (TWO, CLUSTER):
        run(project, stack, "preview", "--refresh", "--expect-no-changes")


def test_the_cluster_stack_that_is_destroyed_leaves_what_nodes_need(project: Project) -> None:
    said = destroy(project, CLUSTER)
    assert "node-2, node-3, which this stack does not manage, need them to renew" in said
    works(project, "node-2")
    run(project, TWO, "preview", "--refresh", "--expect-no-changes")


def test_the_last_stack_leaves_what_the_node_needs_that_was_joined_by_hand(
    project: Project, old: dict[str, Any]
) -> None:
    said = destroy(project, TWO)
    assert "node-3, which this stack does not manage, need them to renew" in said
    assert set(nodes(project)) == {OLD}
    assert shared(project) == BESIDE
    is_untouched(project, old)


def test_with_the_last_node_goes_what_is_this_programs_and_nothing_else(project: Project) -> None:
    by_hand.leave(project, OLD)
    up(project, CLUSTER)
    said = destroy(project, CLUSTER)
    assert "clusterrolebindings/kubelet-bootstrap stays: kubectl-create has written it" in said
    assert shared(project) == set()
    for _, annotations, role, subjects, rules in said_by_hand(project).values():
        assert annotations is None
        assert (role and subjects) or rules
