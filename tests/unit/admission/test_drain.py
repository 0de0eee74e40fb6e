"""How a node is drained by the settings of its pool, and what is said and undone if that fails."""

import argparse
import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from admission import program
from admission.__main__ import _leave, parser
from admission.drain_settings import Drain, read_drain
from admission.leave import leave
from admission.remaining_pods import MOST_PODS, some_pods
from admission.stack_settings import Leaving, StackSettings
from settings.model import DrainSettings
from tests.unit.admission.leave_fakes import (
    CORDON,
    DELETE,
    DRAIN,
    LIFT,
    NO_PODS,
    FakeCluster,
    Scene,
)

OF_A_SET = {"kind": "ReplicaSet", "name": "web", "controller": True}
OF_A_DAEMON = {"kind": "DaemonSet", "name": "log", "controller": True}


def pod(name: str, *, owner: Any = OF_A_SET, phase: str = "Running", **more: Any) -> dict[str, Any]:
    """A pod in the namespace `shop`."""
    metadata = {"namespace": "shop", "name": name, **more.pop("metadata", {})}
    metadata |= {"ownerReferences": [owner]} if owner else {}
    return {"metadata": metadata, "spec": {**more}, "status": {"phase": phase}}


def budget(name: str, allowed: int = 0, **selector: Any) -> dict[str, Any]:
    spec = {"selector": selector} if selector else {}
    return {"metadata": {"name": name}, "spec": spec, "status": {"disruptionsAllowed": allowed}}


def failed(
    monkeypatch: pytest.MonkeyPatch,
    pods: list[dict[str, Any]],
    *,
    how: Drain = Drain(),  # noqa: B008
    budgets: Any = (),
    errors: str = "error: it failed\n",
    **cluster: Any,
) -> tuple[str, Scene]:
    """What is said of a drain that fails and leaves these pods, and what was done."""
    listed = {"kind": "PodList", "metadata": {}, "items": pods}
    found = FakeCluster([], "uid-1", pods=listed, budgets={"items": list(budgets)}, **cluster)
    scene = Scene(monkeypatch, found)
    scene.answer = (1, "", errors)
    said: list[str] = []
    with pytest.raises(ValueError, match="node-1 ") as caught:
        asyncio.run(leave("node-1", "config", Leaving(drain=how), say=said.append))
    scene.calls.append(f"said {said}")
    return str(caught.value), scene


@pytest.mark.parametrize(
    ("how", "options"),
    [
        (Drain(), "--timeout=300s"),
        (Drain(timeout_s=5), "--timeout=5s"),
        (Drain(grace_s=0), "--timeout=300s --grace-period=0"),
        (Drain(delete_empty_dir_data=True), "--timeout=300s --delete-emptydir-data"),
        (Drain(force=True), "--timeout=300s --force"),
    ],
)
def test_the_settings_are_options_of_kubectl(
    monkeypatch: pytest.MonkeyPatch, how: Drain, options: str
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    asyncio.run(leave("node-1", "config", Leaving(drain=how)))
    assert DRAIN.replace("--timeout=300s", options) in scene.calls


def test_a_silent_machine_is_not_waited_for_longer_than_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    asyncio.run(leave("node-1", "config", Leaving(drain=Drain(timeout_s=7))))
    assert DRAIN.replace("300s", "7s") in scene.calls


def test_a_pod_that_nobody_starts_again_stops_a_drain_and_the_setting_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = [
        pod("debug", owner=None),
        pod("log", owner=OF_A_DAEMON),
        pod("static", owner=None, metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        pod("done", owner=None, phase="Succeeded"),
        pod("web"),
    ]
    told, scene = failed(monkeypatch, pods)
    assert told == (
        "node-1 is not drained, and no pod was evicted: shop/debug has no controller that starts"
        " such a pod again (drain.force: true deletes it). Allow that in the settings of its pool"
        " or of the stack, or take these pods away yourself, and run it again"
    )
    assert scene.calls[-3:] == [
        LIFT,
        "close",
        "said ['node-1 is not removed, and takes pods as before']",
    ]
    assert DELETE not in scene.calls


def test_data_that_would_be_lost_stops_a_drain_and_the_setting_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = [pod(f"cache-{n}", volumes=[{"name": "a"}, {"name": "b", "emptyDir": {}}])
             for n in range(7)]  # fmt: skip
    told, _ = failed(monkeypatch, local)
    assert (
        "shop/cache-0, shop/cache-1, shop/cache-2, shop/cache-3, shop/cache-4 and 2 more would lose"
        " the data in emptyDir volumes (drain.deleteEmptyDirData: true accepts that)"
    ) in told


@pytest.mark.parametrize("how", [Drain(force=True), Drain(delete_empty_dir_data=True), Drain()])
def test_only_what_is_not_allowed_is_named(monkeypatch: pytest.MonkeyPatch, how: Drain) -> None:
    both = pod("debug", owner=None, volumes=[{"name": "a", "emptyDir": {}}])
    told, _ = failed(monkeypatch, [both], how=how)
    assert ("drain.force" in told) is not how.force
    assert ("drain.deleteEmptyDirData" in told) is not how.delete_empty_dir_data


def test_pods_of_a_daemon_set_that_is_gone_are_named_by_kubectl_and_the_setting_by_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = 'error: cannot delete daemonsets.apps "log" not found: shop/log-1, shop/log-2\n'
    told, _ = failed(monkeypatch, [pod("log", owner=OF_A_DAEMON)], errors=errors)
    assert (
        "the DaemonSet of shop/log-1, shop/log-2 is gone (drain.force: true deletes its pods)"
    ) in told


def test_a_budget_that_never_allows_is_named_with_its_pods(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    web = {"labels": {"app": "web", "tier": "a"}}
    pods = [
        pod("web-1", metadata=web),
        pod("web-2", metadata={**web, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod("other"),
    ]
    budgets = [
        budget("web", matchLabels={"app": "web"}),
        budget("wide", allowed=1, matchLabels={"app": "web"}),
        budget("narrow", matchLabels={"app": "web", "tier": "b"}),
        budget("none"),
    ]
    told, scene = failed(monkeypatch, pods, how=Drain(timeout_s=9), budgets=budgets)
    assert told == (
        "node-1 is not drained after 9 s: the PodDisruptionBudget shop/web does not allow the"
        " eviction of shop/web-1; shop/web-2 has not ended yet; shop/other is still there. Correct"
        " that and run it again, raise drain.timeoutSeconds, or set force: true for node-1 if its"
        " machine is gone"
    )
    assert LIFT in scene.calls
    assert DELETE not in scene.calls


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"operator": "In", "values": ["web", "api"]}, True),
        ({"operator": "In", "values": ["api"]}, False),
        ({"operator": "NotIn", "values": ["api"]}, True),
        ({"operator": "NotIn", "values": ["web"]}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
    ],
)
def test_a_budget_selects_by_expressions_too(
    monkeypatch: pytest.MonkeyPatch, expression: dict[str, Any], selected: bool
) -> None:
    budgets = [budget("web", matchExpressions=[{"key": "app", **expression}])]
    pods = [pod("web-1", metadata={"labels": {"app": "web"}})]
    told, _ = failed(monkeypatch, pods, budgets=budgets)
    assert ("PodDisruptionBudget shop/web" in told) is selected


def test_a_budget_that_may_not_be_read_hides_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = failed(monkeypatch, [pod("web-1")], refusals={"BUDGETS": 403})
    assert "shop/web-1 is still there" in told


def test_little_is_kept_of_each_pod_and_of_no_more_than_some_hundreds() -> None:
    keep = some_pods()
    long = {"annotations": {"a": "x" * 100_000}, "labels": {"app": "web"}}
    many = [pod(f"web-{n}", metadata=long, containers=["y" * 100_000]) for n in range(MOST_PODS)]
    kept = [keep(item) for item in [pod("log", owner=OF_A_DAEMON), *many, pod("late")]]
    assert keep(many[0]) == kept[1], "a list may be begun again"
    assert kept[0] is kept[-1] is None
    assert len(json.dumps(kept)) < 400 * MOST_PODS
    labels = {f"label-{n}": "x" for n in range(2000)}
    assert len(json.dumps(some_pods()(pod("odd", metadata={"labels": labels})))) < 400


def test_a_pod_that_can_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = failed(monkeypatch, [pod("web-1"), {"metadata": {"name": "odd"}, "spec": [1]}])
    assert "shop/web-1 is still there; the pod odd can't be read (it lacks what we read" in told


def test_a_silent_machine_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = failed(monkeypatch, [pod("debug", owner=None)], ready="Unknown")
    assert told.startswith("node-1 does not answer, and can't be drained: shop/debug has no")
    assert "set force: true for node-1" in told


@pytest.mark.parametrize(
    ("ours", "lifted"), [({"cordoned": True}, False), ({"cordoned_by_us": True}, True)]
)
def test_a_cordon_of_somebody_else_stays_and_one_of_an_interrupted_run_does_not(
    monkeypatch: pytest.MonkeyPatch, ours: dict[str, bool], lifted: bool
) -> None:
    _, scene = failed(monkeypatch, [pod("debug", owner=None)], **ours)
    assert CORDON not in scene.calls
    assert (LIFT in scene.calls) is lifted


def test_an_interrupted_drain_leaves_the_node_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))

    async def hang(*_: str, timeout_s: float) -> tuple[int, str, str]:
        await asyncio.sleep(timeout_s)
        raise AssertionError

    async def interrupt() -> None:
        task = asyncio.create_task(leave("node-1", "config", Leaving()))
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    monkeypatch.setattr(program, "run", hang)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupt())
    assert scene.calls == ["GET", CORDON, "LIST", LIFT, "close"]


def test_a_cordon_that_can_not_be_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster([], "uid-1", cordoned_by_us=True, refusals={"PATCH": 403})
    scene = Scene(monkeypatch, cluster)
    scene.answer = (1, "", "error: no\n")
    said: list[str] = []
    with pytest.raises(ValueError, match="node-1"):
        asyncio.run(leave("node-1", "config", Leaving(), say=said.append))
    (line,) = said
    assert line.startswith("node-1 stays cordoned: PATCH /api/v1/nodes/node-1: 403")
    assert line.endswith("run kubectl uncordon node-1")


# Where the settings of a node that has left them come from.


def settings(pools: Any, drain: Any = None) -> dict[str, str]:
    texts = {"pools": json.dumps(pools)}
    return texts if drain is None else {**texts, "drain": json.dumps(drain)}


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("workers", Drain(timeout_s=60, grace_s=5, force=True)),
        ("storage", Drain(timeout_s=20, grace_s=5, parallel=4)),
        ("empty", Drain(timeout_s=60, grace_s=5)),
        ("gone", Drain(timeout_s=60, grace_s=5)),
        (None, Drain(timeout_s=60, grace_s=5)),
    ],
)
def test_a_node_is_drained_as_the_pool_says_that_it_was_in(
    monkeypatch: pytest.MonkeyPatch, pool: str | None, expected: Drain
) -> None:
    scene = Scene(monkeypatch)
    pools = {
        "workers": {"drain": {"force": True}, "nodes": []},
        "storage": {"drain": {"timeoutSeconds": 20, "parallel": 4}},
        "empty": {"drain": None},
    }
    scene.settings = settings(pools, {"timeoutSeconds": 60, "graceSeconds": 5})
    how = asyncio.run(StackSettings("o/p/dev").leaving("node-1", pool=pool))
    assert how.drain == expected
    assert how.turns is not None
    assert how.turns.count == expected.parallel
    assert how.turns.directory == Path(".pulumi-gate/o/p/dev/drains", pool or "_")


@pytest.mark.parametrize(
    ("drain", "told"),
    [
        ({"timeoutSeconds": 0}, "drain.timeoutSeconds is not a whole number from 1"),
        ({"graceSeconds": -1}, "drain.graceSeconds is not a whole number from 0"),
        ({"parallel": True}, "drain.parallel is not a whole number from 1"),
        ({"parallel": None}, "drain.parallel is not a whole number from 1"),
        ({"force": "yes"}, "drain.force is not true or false"),
        ({"forced": True}, "drain.forced is not a known key"),
        ([1], "drain is not a map"),
    ],
)
def test_wrong_settings_end_a_removal_before_it_touches_anything(
    monkeypatch: pytest.MonkeyPatch, drain: Any, told: str
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    scene.settings = settings({}, drain)
    with pytest.raises(ValueError, match=rf"settings of the stack dev: {re.escape(told)}.*run pul"):
        asyncio.run(_leave(command("--stack", "dev", "--pool", "workers")))
    assert not [call for call in scene.calls if not call.startswith("pulumi")]


def test_a_number_may_be_text_and_no_grace_may_be_said() -> None:
    assert read_drain({"timeoutSeconds": "20", "graceSeconds": 3}, {"graceSeconds": None}) == Drain(
        timeout_s=20
    )


def test_the_defaults_are_those_of_the_settings() -> None:
    ours, theirs = Drain(), DrainSettings()
    assert ours.timeout_s == theirs.timeout_seconds
    assert ours.grace_s == theirs.grace_seconds
    assert ours.delete_empty_dir_data == theirs.delete_empty_dir_data
    assert ours.force == theirs.force
    assert ours.parallel == theirs.parallel


def test_a_pool_that_says_more_is_heard_in_the_whole_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    scene.settings = settings({"workers": {"drain": {"force": True}}})
    scene.settings["kubeconfigPath"] = str(tmp_path / "config")
    assert asyncio.run(_leave(command("--stack", "dev", "--pool", "workers"))) == 0
    assert any(call.endswith("--force") for call in scene.calls)
    assert (tmp_path / ".pulumi-gate/dev/drains/workers/0").exists()


def test_a_node_without_pods_takes_no_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", pods=NO_PODS))
    scene.settings = {**settings({}), "kubeconfigPath": str(tmp_path / "config")}
    assert asyncio.run(_leave(command("--stack", "dev"))) == 0
    assert not (tmp_path / ".pulumi-gate").exists()


def command(*words: str) -> argparse.Namespace:
    return parser().parse_args(["leave", "node-1", *words])
