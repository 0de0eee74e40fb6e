"""What of a Node follows the settings, what is taken back, and what is somebody else's."""

from typing import Any

import pytest

from admission.objects.node_attributes import (
    RECORD,
    SEAL,
    Attributes,
    Change,
    change,
    read_attributes,
)
from tests.unit.admission.fakes import merge

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "t"}
ROLE = "node-role.kubernetes.io/worker"


def wanted(*taints: str, annotations: Any = None, **labels: str) -> Attributes:
    return read_attributes(
        {"labels": labels, "annotations": annotations or {}, "taints": list(taints)}
    )


def node(*taints: dict[str, str], annotations: Any = None, **labels: str) -> dict[str, Any]:
    metadata = {"name": "n", "resourceVersion": "7", "labels": labels}
    metadata |= {"annotations": annotations} if annotations else {}
    return {"metadata": metadata, "spec": {"taints": list(taints)} if taints else {}}


def follow(live: dict[str, Any], settings: Attributes, **registered: str) -> dict[str, Any]:
    """The Node after a run, which a second run leaves alone."""
    after = merge(live, change(live, settings, registered).patch)
    assert change(after, settings, registered).patch == {}
    return after


def labels(live: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in live["metadata"]["labels"].items() if name != SEAL}


def annotations(live: dict[str, Any]) -> dict[str, str]:
    found = live["metadata"].get("annotations", {})
    return {name: value for name, value in found.items() if name != RECORD}


def taints(live: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = live["spec"].get("taints", [])
    return found


def test_a_node_without_settings_is_left_alone() -> None:
    live = node(NOT_READY, mine="1", annotations={"theirs": "x"})
    assert change(live, Attributes(), {}) == Change(patch={})


def test_what_the_settings_have_is_set_beside_what_others_have() -> None:
    live = node(NOT_READY, mine="1", annotations={"theirs": "x"})
    after = follow(live, wanted("gpu=yes:NoSchedule", annotations={"ours": "a b"}, **{ROLE: ""}))
    assert labels(after) == {"mine": "1", ROLE: ""}
    assert annotations(after) == {"theirs": "x", "ours": "a b"}
    assert taints(after) == [NOT_READY, {"key": "gpu", "value": "yes", "effect": "NoSchedule"}]


def test_what_leaves_the_settings_is_taken_back_and_what_others_have_stays() -> None:
    live = node(NOT_READY, mine="1", annotations={"theirs": "x"})
    with_all = follow(live, wanted("gpu=yes:NoSchedule", annotations={"ours": "a"}, tier="a"))
    after = follow(with_all, Attributes())
    assert after["metadata"] == live["metadata"]
    assert after["spec"] == live["spec"]


def test_what_the_kubelet_has_registered_with_is_taken_back_too() -> None:
    registered = node({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, tier="a")
    seen = follow(registered, wanted("gpu=yes:NoSchedule", tier="a"))
    after = follow(seen, wanted(other="b"))
    assert labels(after) == {"other": "b"}
    assert taints(after) == []


def test_a_value_of_the_settings_wins_over_that_of_somebody_else() -> None:
    after = follow(
        node(tier="b", annotations={"x": "theirs"}), wanted(annotations={"x": "y"}, tier="a")
    )
    assert labels(after) == {"tier": "a"}
    assert annotations(after) == {"x": "y"}


def test_a_value_changes_with_the_settings() -> None:
    before = follow(node(NOT_READY), wanted("gpu=yes:NoSchedule", annotations={"x": "1"}, tier="a"))
    after = follow(before, wanted("gpu=no:NoSchedule", annotations={"x": "2"}, tier="b"))
    assert labels(after) == {"tier": "b"}
    assert annotations(after) == {"x": "2"}
    assert taints(after) == [NOT_READY, {"key": "gpu", "value": "no", "effect": "NoSchedule"}]


def test_a_taint_is_known_by_its_key_and_its_effect() -> None:
    theirs = {"key": "gpu", "value": "theirs", "effect": "NoExecute"}
    before = follow(node(theirs), wanted("gpu=yes:NoSchedule"))
    assert taints(before) == [theirs, {"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    assert taints(follow(before, wanted())) == [theirs]


def test_what_somebody_has_changed_since_is_theirs_and_stays_when_the_setting_goes() -> None:
    before = follow(node(), wanted("gpu=yes:NoSchedule", annotations={"x": "1"}, tier="a"))
    before["metadata"]["labels"]["tier"] = "theirs"
    before["metadata"]["annotations"]["x"] = "theirs"
    before["spec"]["taints"][0]["value"] = "theirs"
    found = change(before, Attributes(), {})
    assert len(found.left) == 3
    assert all("somebody has changed it since" in line for line in found.left)
    after = merge(before, found.patch)
    assert labels(after) == {"tier": "theirs"}
    assert annotations(after) == {"x": "theirs"}
    assert taints(after)[0]["value"] == "theirs"


def test_a_taint_that_somebody_has_removed_since_stays_away_until_the_setting_changes() -> None:
    before = follow(node(), wanted("startup:NoExecute"))
    del before["spec"]["taints"]
    found = change(before, wanted("startup:NoExecute", tier="a"), {})
    assert "spec" not in found.patch
    assert [line for line in found.left if "its taint startup:NoExecute was removed" in line]
    after = follow(before, wanted("startup=2:NoExecute"))
    assert taints(after) == [{"key": "startup", "value": "2", "effect": "NoExecute"}]


def test_a_taint_of_the_registration_that_is_gone_already_is_not_set_again() -> None:
    found = change(node(), wanted("startup:NoExecute"), {"startup:NoExecute": ""})
    assert "spec" not in found.patch
    assert change(node(), wanted("startup:NoExecute"), {}).patch["spec"]


def test_a_label_or_an_annotation_that_somebody_has_removed_is_set_again() -> None:
    settings = wanted(annotations={"x": "1"}, tier="a")
    before = follow(node(), settings)
    del before["metadata"]["labels"]["tier"], before["metadata"]["annotations"]["x"]
    after = follow(before, settings)
    assert (labels(after), annotations(after)) == ({"tier": "a"}, {"x": "1"})


def test_a_kubelet_that_writes_the_record_has_nothing_of_others_removed() -> None:
    """It may write annotations of its Node, but not the label that seals the record."""
    quarantine = {"key": "quarantine", "effect": "NoExecute"}
    live = follow(node(quarantine, mine="1"), wanted(tier="a"))
    live["metadata"]["annotations"][RECORD] = (
        '{"labels":{"mine":"1"},"taints":["quarantine:NoExecute"]}'
    )
    found = change(live, wanted(), {})
    after = merge(live, found.patch)
    assert taints(after) == [quarantine]
    assert labels(after)["mine"] == "1"
    assert RECORD not in after["metadata"]["annotations"]
    assert any("changed by somebody else" in line for line in found.left)


@pytest.mark.parametrize("name", ["kubernetes.io/hostname", "kubernetes.io/os"])
def test_a_label_that_every_kubelet_sets_itself_is_never_removed(name: str) -> None:
    before = follow(node(**{name: "x"}), wanted(**{name: "x"}))
    assert labels(follow(before, wanted())) == {name: "x"}


def test_what_was_done_is_told_without_the_values_of_annotations() -> None:
    before = follow(node(), wanted(rack="r1"))
    found = change(before, wanted("gpu=yes:NoSchedule", annotations={"x": "long"}, tier="a"), {})
    assert found.done == (
        "label tier=a set",
        "annotation x set",
        "taint gpu=yes:NoSchedule set",
        "label rack removed",
    )


def test_a_patch_is_refused_if_the_node_has_changed_since() -> None:
    assert change(node(), wanted(tier="a"), {}).patch["metadata"]["resourceVersion"] == "7"


def test_a_value_that_is_empty_is_no_other_taint() -> None:
    assert wanted("gpu=:NoSchedule") == wanted("gpu:NoSchedule")
