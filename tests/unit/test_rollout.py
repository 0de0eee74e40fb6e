"""The waves in which a change reaches the nodes of a pool, and what stops them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pytest
from pulumi.runtime.stack import ResourceRegistrationFailed

from components.rollout import Rollout, RolloutPolicy, restarted_at
from tests.unit.engine import COMPONENT, Engine

NODES = ("a", "b", "c", "d", "e")
ORDERS = json.dumps(
    {
        "nodes": [{"name": name} for name in NODES],
        "tokens": [{"id": "t", "node": None}, {"id": "u", "node": "d"}],
        "joining": 1,
    }
)
RESTARTED = json.dumps({"kubelet": "restarted", "restarted": "2026-01-01T00:00:00Z"})


@dataclass
class Cluster:
    """A cluster in which some nodes don't work, before a change or after it."""

    down: set[str] = field(default_factory=set)
    broken: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    proven: list[dict[str, object]] = field(default_factory=list)

    async def not_ready(self, orders: str) -> Mapping[str, str]:
        assert orders == ORDERS
        if self.error:
            raise ValueError(self.error)
        return {**dict.fromkeys(self.down, ""), **self.unreadable}

    async def prove(self, orders: str, tell: object) -> Mapping[str, str]:
        self.proven.append(json.loads(orders))
        names = {node["name"] for node in json.loads(orders)["nodes"]}
        self.down -= names
        return {name: why for name, why in self.broken.items() if name in names}


@dataclass
class Run:
    """A run: the waves in which nodes got their turns, and what each then met."""

    waves: list[list[str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    most: int = 0


def run(
    cluster: Cluster,
    *,
    changes: tuple[str, ...] = NODES,
    policy: RolloutPolicy | None = None,
    fails: str = "",
    prints: str = RESTARTED,
) -> Run:
    """Let nodes change, one of which may fail on its machine."""
    found = Run()

    async def node(rollout: Rollout, name: str, ended: "asyncio.Future[str]") -> None:
        await rollout.turn(name).future()
        try:
            rollout.check(name)
        except ValueError as error:
            found.refused[name] = str(error)
            ended.set_exception(ResourceRegistrationFailed())
            return
        running.add(name)
        found.most = max(found.most, len(running))
        await asyncio.sleep(0.01)
        if len(running) > 1 or not found.waves or name not in found.waves[-1]:
            wave = sorted(running)
            if not found.waves or not set(wave) & set(found.waves[-1]):
                found.waves.append(wave)
        await asyncio.sleep(0.01)
        running.discard(name)
        if name == fails:
            ended.set_exception(ResourceRegistrationFailed())
        else:
            ended.set_result(prints)

    running: set[str] = set()

    def program() -> pulumi.Output[None]:
        rollout = Rollout(
            "p",
            changes=changes,
            members=NODES,
            policy=policy or RolloutPolicy(),
            orders=pulumi.Output.from_input(ORDERS),
            owner=pulumi.ComponentResource(f"{COMPONENT}NodePool", "p"),
            cluster=cluster,  # type: ignore[arg-type]
        )
        ends: dict[str, asyncio.Future[str]] = {name: asyncio.Future() for name in changes}
        for name, end in ends.items():
            rollout.ends_with(name, pulumi.Output.from_input(end))
        tasks = [node(rollout, name, end) for name, end in ends.items()]

        async def all_of_them() -> None:
            await asyncio.gather(*tasks)

        return pulumi.Output.from_input(all_of_them())

    Engine().run(program)
    return found


def test_a_canary_changes_first_and_then_a_tenth_at_a_time() -> None:
    cluster = Cluster()
    found = run(cluster)
    assert found.waves == [["a"], ["b"], ["c"], ["d"], ["e"]]
    # After the last wave the gate proves it, with the others.
    assert [order["nodes"] for order in cluster.proven] == [
        [{"name": name, "restarted": "2026-01-01T00:00:00Z"}] for name in "abcd"
    ]
    assert [len(order["tokens"]) for order in cluster.proven] == [1, 1, 1, 2]  # type: ignore[arg-type]
    assert {order["joining"] for order in cluster.proven} == {0}


@pytest.mark.parametrize(
    ("canary", "unavailable", "waves"),
    [
        (2, 2, [["a", "b"], ["c", "d"], ["e"]]),
        (1, 3, [["a"], ["b", "c", "d"], ["e"]]),
        (1, "100%", [["a"], ["b", "c", "d", "e"]]),
        (9, "21%", [["a", "b"], ["c", "d"], ["e"]]),
    ],
)
def test_waves_are_as_large_as_the_settings_say(
    canary: int, unavailable: int | str, waves: list[list[str]]
) -> None:
    policy = RolloutPolicy(canary=canary, max_unavailable=unavailable)
    assert run(Cluster(), policy=policy).waves == waves


def test_a_node_that_fails_on_its_machine_stops_the_waves_after_it() -> None:
    found = run(Cluster(), policy=RolloutPolicy(max_unavailable=2), fails="b")
    assert found.waves == [["a"], ["b", "c"]]
    assert found.refused == dict.fromkeys("de", "not changed, because b has failed")


def test_a_node_that_the_cluster_does_not_see_stops_them_too() -> None:
    found = run(Cluster(broken={"a": "its Node is not Ready: no"}))
    assert found.waves == [["a"]]
    assert found.refused["b"] == "not changed, because a: its Node is not Ready: no"
    assert set(found.refused) == set("bcde")


def test_without_a_restart_nothing_is_to_be_proven() -> None:
    cluster = Cluster()
    run(cluster, prints='{"kubelet":"running"}')
    assert cluster.proven == []


def test_nodes_that_are_not_ready_already_count() -> None:
    found = run(
        Cluster(down={"e"}), changes=("a", "b", "c"), policy=RolloutPolicy(max_unavailable=2)
    )
    assert found.most == 1
    assert found.waves == [["a"], ["b"], ["c"]]


def test_a_node_that_can_not_be_read_counts_and_is_told_as_that() -> None:
    found = run(Cluster(unreadable={"e": "it is nested too deeply"}), changes=("a", "b"))
    assert found.waves == []
    assert found.refused["a"].startswith(
        "not changed, because the Node e can't be read (it is nested too deeply; find out who has"
        " written it), and rollout.maxUnavailable allows 1 of the pool's nodes to be unavailable;"
    )
    found = run(Cluster(down={"d"}, unreadable={"e": "it is odd"}), changes=("a", "b"))
    assert "because d is not Ready, and the Node e can't be read (it is odd;" in found.refused["a"]


def test_where_no_more_may_be_down_nothing_changes() -> None:
    found = run(Cluster(down={"e"}), changes=("a", "b"))
    assert found.waves == []
    assert found.refused["a"] == (
        "not changed, because e is not Ready, and rollout.maxUnavailable allows 1 of the pool's"
        " nodes to be unavailable; bring back what is down, remove it from the settings, or raise"
        " maxUnavailable"
    )


def test_a_change_that_may_mend_what_is_down_reaches_that_first() -> None:
    assert run(Cluster(down={"c"})).waves == [["c"], ["a"], ["b"], ["d"], ["e"]]


def test_nodes_that_have_not_joined_are_not_counted() -> None:
    assert run(Cluster(down={"new"}), changes=("a", "b")).waves == [["a"], ["b"]]


def test_a_single_node_asks_nobody() -> None:
    assert run(Cluster(error="the API server does not answer"), changes=("a",)).waves == [["a"]]


def test_where_the_cluster_does_not_answer_nothing_changes() -> None:
    found = run(Cluster(error="the API server does not answer"))
    assert found.refused["e"] == "not changed, because the API server does not answer"
    assert found.waves == []


def test_who_does_not_change_waits_for_nobody_and_is_never_refused() -> None:
    async def work(rollout: Rollout) -> None:
        assert await rollout.turn("new").future() == []
        rollout.check("new")

    def program() -> pulumi.Output[None]:
        owner = pulumi.ComponentResource(f"{COMPONENT}NodePool", "p")
        rollout = Rollout(
            "p",
            changes=(),
            members=(),
            policy=RolloutPolicy(),
            orders=pulumi.Output.from_input(ORDERS),
            owner=owner,
        )
        return pulumi.Output.from_input(work(rollout))

    Engine().run(program)


@pytest.mark.parametrize("printed", ["", "no JSON", "[]", '{"kubelet":"running"}', "null"])
def test_without_a_time_nothing_was_restarted(printed: str) -> None:
    assert restarted_at(printed) is None


def test_a_restart_is_found_between_what_a_login_shell_prints() -> None:
    printed = '{"changed":[],"restarted":"2026-11-25T10:00:00Z","notes":[]}'
    assert restarted_at(f"Welcome!\n{{}}\n42\n{printed}\nbye\n") == "2026-11-25T10:00:00Z"
    assert restarted_at("Welcome!\n") is None
