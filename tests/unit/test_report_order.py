"""The order in a preview's report, in words and as JSON for policy checks."""

import json
from pathlib import Path
from typing import Any

import pytest

from command_line.__main__ import main
from components.rollout import RolloutPolicy
from preview.document import document
from preview.report import report
from tests.unit.preview_digest import digest, node_steps, settings
from tests.unit.test_report import example, fifty

KEY = "kubelet-tls-bootstrap"


def config(**values: Any) -> dict[str, str]:
    """The stack's settings as a preview has them."""
    return {f"{KEY}:{key}": json.dumps(value) for key, value in values.items()}


def leaving(count: int, **values: Any) -> str:
    """A preview in which the last nodes of a pool of nine leave, and the first one changes."""
    names = [f"n{number}" for number in range(9)]
    after = {"n0": {"kubelet": {"maxPods": 9}}} | {name: {} for name in names[1:-count]}
    steps = node_steps(settings({name: {} for name in names}), settings(after))
    return digest(*steps, config=config(**values))


def test_labels_that_change_take_no_waves() -> None:
    names = [f"n{number}" for number in range(9)]
    labelled = {name: {"labels": {"tier": "web"}} for name in names}
    steps = node_steps(settings({name: {} for name in names}), settings(labelled))
    (part,) = document(digest(*steps))["order"]
    assert (part["action"], part["nodes"], part["atOnce"]) == ("change", names, None)
    assert part["restarts"] == []


def test_the_stages_of_the_example_for_machines() -> None:
    found = document(example())
    assert {key: found[key] for key in ("version", "stack", "failed", "errors")} == {
        "version": 1,
        "stack": "production",
        "failed": False,
        "errors": [],
    }
    assert found["counts"] == {
        **{"joins": 1, "rejoins": 1, "leaves": 1, "drains": 1, "changes": 49, "restarts": 49}
    }
    changed = [f"node-{number}" for number in range(1, 50) if number != 9]
    workers = {"pool": "workers"}

    def change(stage: int, nodes: list[str], at_once: int | None) -> dict[str, Any]:
        part = {"stage": stage, "action": "change", **workers, "nodes": nodes}
        return {**part, "restarts": nodes, "atOnce": at_once}

    assert found["order"] == [
        {"stage": 1, "action": "controlPlane", "hosts": ["cp-1"], "atOnce": 1},
        change(2, changed[:1], 1),
        {"stage": 2, "action": "join", **workers, "nodes": ["node-51"], "atOnce": None},
        {
            **{"stage": 2, "action": "rejoin", **workers, "nodes": ["node-9"]},
            **{"restarts": ["node-9"], "atOnce": None},
        },
        change(3, changed[1:], 5),
        {
            **{"stage": 4, "action": "leave", **workers, "nodes": ["node-50"]},
            **{"drained": ["node-50"], "atOnce": 1},
        },
    ]


@pytest.mark.parametrize(
    ("values", "at_once"),
    [
        ({}, 1),
        ({"drain": {"parallel": 3}}, 3),
        ({"drain": {"parallel": 3}, "pools": {"workers": {"drain": {"parallel": 2}}}}, 2),
        ({"drain": {"parallel": 3}, "pools": {"workers": {"drain": {"force": True}}}}, 3),
        ({"drain": {"parallel": 3}, "pools": {"others": {"drain": {"parallel": 2}}}}, 3),
        ({"drain": {"parallel": 0}}, 1),  # of which the preview's error tells
        ({"pools": {"workers": None}}, 1),
    ],
)
def test_how_many_are_drained_at_once_is_what_the_settings_say(
    values: dict[str, Any], at_once: int
) -> None:
    made = leaving(4, **values)
    (leave,) = (part for part in document(made)["order"] if part["action"] == "leave")
    assert leave["atOnce"] == at_once
    assert f"`n5` to `n8` of the pool `workers` are drained {at_once} at a time and removed" in (
        report(made)
    )


def test_settings_that_are_secret_say_nothing() -> None:
    steps = node_steps(settings({"a": {}, "b": {}}), settings({"a": {}}))
    made = digest(*steps, config={f"{KEY}:pools": "[secret]", f"{KEY}:drain": "[secret]"})
    assert document(made)["order"][0]["atOnce"] == 1


def test_the_order_is_told_in_words_and_drains_are_counted() -> None:
    told = report(leaving(2))
    assert "**2 nodes leave, 1 node changes, 1 kubelet restarts, 2 nodes are drained.**" in told
    assert (
        "**Order**\n\n1. `n0` of the pool `workers` changes, 1 kubelet restarts\n"
        "2. once all nodes have joined: `n7`, `n8` of the pool `workers` are drained 1 at a time"
        " and removed\n"
    ) in told
    assert "> - `n7`, `n8` are drained: their pods are evicted, then their Nodes are" in told


def test_what_happens_alone_has_no_order() -> None:
    before, after = settings({"a": {}}), settings({"a": {"kubelet": {"maxPods": 6}}})
    assert "**Order**" not in report(digest(*node_steps(before, after)))


@pytest.mark.parametrize(
    ("values", "first", "most"),
    [
        ({}, 1, 5),
        ({"rollout": {"canary": 3}}, 3, 5),
        ({"rollout": {"canary": 3, "maxUnavailable": 2}}, 2, 2),
        ({"rollout": {"canary": 3, "maxUnavailable": "25%"}}, 3, 13),
        ({"rollout": {"canary": 3}, "pools": {"workers": {"rollout": {"canary": 2}}}}, 2, 5),
        ({"rollout": {"canary": 50, "maxUnavailable": 50}}, 50, None),
        ({"rollout": {"maxUnavailable": 0}}, 1, 5),  # of which the preview's error tells
    ],
)
def test_waves_are_stages_of_their_own(
    values: dict[str, Any], first: int, most: int | None
) -> None:
    steps = node_steps(settings(fifty()), settings(fifty(), kubelet={"maxPods": 6}))
    parts = document(digest(*steps, config=config(**values)))["order"]
    waves = [(part["stage"], len(part["nodes"]), part["atOnce"]) for part in parts]
    assert waves == [(1, first, first), *([(2, 50 - first, most)] if most else [])]
    policy = values.get("rollout", {}) | values.get("pools", {}).get("workers", {}).get(
        "rollout", {}
    )
    limit = policy.get("maxUnavailable", "10%") or "10%"
    assert (most or first) == RolloutPolicy(max_unavailable=limit).most_at_once(50)


def test_the_first_to_change_are_those_that_the_settings_name_first() -> None:
    steps = node_steps(settings(fifty()), settings(fifty(), kubelet={"maxPods": 6}))
    listed = [{"name": f"node-{number}"} for number in reversed(range(1, 51))]
    told = report(digest(*steps, config=config(pools={"workers": {"nodes": listed}})))
    assert "1. `node-50` of the pool `workers` changes, 1 kubelet restarts\n" in told
    assert "of the pool `workers` change 5 at a time, 49 kubelets restart\n" in told


def test_what_changes_on_no_machine_takes_no_turns() -> None:
    before, after = settings(fifty()), settings(fifty(), annotations={"owner": "me"})
    (part,) = document(digest(*node_steps(before, after)))["order"]
    assert (part["action"], len(part["nodes"]), part["restarts"]) == ("change", 50, [])
    assert part["atOnce"] is None


def test_a_node_whose_machine_is_gone_is_not_drained() -> None:
    before = settings({"b": {}, "a": {}})
    made = digest(*node_steps(before, settings({"b": {"force": True}})))
    (leave,) = document(made)["order"]
    assert (leave["nodes"], leave["drained"]) == (["a", "b"], ["a"])
    assert document(made)["counts"]["drains"] == 1


def test_a_node_of_which_only_files_are_left_is_not_drained_again() -> None:
    steps = node_steps(settings({"a": {}, "b": {}}), settings({"a": {}}))
    steps = [step for step in steps if not step["urn"].endswith("::b-member")]
    found = document(digest(*steps))
    assert found["counts"]["leaves"] == 1
    assert found["counts"]["drains"] == 0


def test_many_nodes_are_counted_where_their_names_would_fill_a_page() -> None:
    odd = {f"{number}-n": {} for number in range(100)}
    before, after = settings(odd), settings({**odd, "new": {}}, kubelet={"maxPods": 9})
    assert "2. 99 nodes of the pool `workers` change 10 at a time, 99 kubelets restart" in (
        report(digest(*node_steps(before, after)))
    )


def test_a_failed_preview_says_so_without_a_token() -> None:
    error = {"severity": "error", "message": "error: pools.workers lacks abcdef.0123456789abcdef"}
    found = document(digest(diagnostics=[error, {"severity": "warning", "message": "w"}]))
    assert found["failed"] is True
    assert found["errors"] == ["pools.workers lacks <token>"]
    assert found["warnings"] == ["w"]
    assert found["order"] == []


def test_the_command_writes_json_beside_the_markdown_or_in_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preview, target = tmp_path / "preview.json", tmp_path / "report.json"
    preview.write_text(example())
    assert main(["report", str(preview), "--json", str(target)]) == 0
    assert capsys.readouterr().out == report(example())
    assert json.loads(target.read_text()) == document(example())

    assert main(["report", str(preview), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == document(example())

    assert main(["report", str(preview), "--json", str(tmp_path / "no/such")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert 'no/such" cannot be written: No such file or directory' in said.err


def test_each_field_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs/preview.md").read_text()
    found = document(example())
    fields = {*found, *found["counts"], *(field for part in found["order"] for field in part)}
    fields |= {part["action"] for part in found["order"]}
    assert [field for field in sorted(fields) if f"`{field}`" not in page] == []
