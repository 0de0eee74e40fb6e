"""The gate makes Nodes follow the settings before they count as joined."""

from typing import Any

import aiohttp
import pytest

from admission.api_server.api import NODES, ApiError
from admission.objects.node_attributes import SEAL, Attributes, read_attributes
from tests.unit.admission.fakes import entry
from tests.unit.admission.test_gate import Run, joins

ONE = entry("node-1", "10.0.0.1")
TWO = entry("node-2", "10.0.0.2")
PATH = f"{NODES}/node-1"
PATCH = f"PATCH {PATH}"


def settings(*names: str, **given: Any) -> dict[str, Attributes]:
    return dict.fromkeys(names, read_attributes(given))


def labels(it: Run, name: str) -> dict[str, str]:
    found = it.api.objects[NODES][name]["metadata"].get("labels", {})
    return {name: value for name, value in found.items() if name != SEAL}


def test_a_node_gets_them_once_it_is_registered_and_before_it_counts_as_joined() -> None:
    it = Run(ONE, TWO, attributes=settings("node-1", labels={"tier": "a"}))
    joins(it, ONE)
    joins(it, TWO)
    it.at(0.5, lambda: it.said.append(f"after half a second {labels(it, 'node-1')}"))
    it.go()
    assert it.all_in
    assert labels(it, "node-1") == {"tier": "a"}
    assert labels(it, "node-2") == {}
    assert it.said.index("node-1: label tier=a set") < it.said.index("node-1: joined (1 of 2)")
    # It was registered by then, and not Ready.
    assert "after half a second {'tier': 'a'}" in it.said
    assert it.api.asked.count(PATCH) == 1


def test_nothing_is_written_where_nothing_differs() -> None:
    it = Run(ONE)
    it.at(0, it.api.node, "node-1", "10.0.0.1", labels={"theirs": "1"})
    it.go()
    assert it.all_in
    assert not [call for call in it.api.asked if call.startswith("PATCH")]


def test_a_change_by_somebody_else_meanwhile_is_not_lost() -> None:
    it = Run(ONE, attributes=settings("node-1", taints=["gpu=yes:NoSchedule"]))
    theirs = {"key": "theirs", "effect": "NoSchedule"}

    def meanwhile() -> None:
        it.api.node("node-1", "10.0.0.1")
        # As between what a watch has told and the request.
        stored = it.api.objects[NODES]["node-1"]
        version = str(int(stored["metadata"]["resourceVersion"]) + 1000)
        it.api.objects[NODES]["node-1"] = {
            **stored,
            "metadata": {**stored["metadata"], "resourceVersion": version},
            "spec": {"taints": [theirs]},
        }

    it.at(0.1, meanwhile)
    it.go()
    assert it.all_in
    gpu = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    assert it.api.objects[NODES]["node-1"]["spec"]["taints"] == [theirs, gpu]
    assert it.api.asked.count(PATCH) == 2


def test_a_node_whose_labels_can_not_be_set_has_not_joined_and_the_reason_is_told() -> None:
    it = Run(ONE, attributes=settings("node-1", labels={"tier": "a"}))
    refused = ApiError(403, "PATCH", PATH, "nodes is forbidden")
    it.api.answers[PATCH] = [refused] * 1000
    it.at(0, it.api.node, "node-1", "10.0.0.1")
    it.go()
    assert not it.all_in
    assert (
        "node-1 has NOT joined: its labels, annotations and taints could not be changed: PATCH"
        f" {PATH}: 403 nodes is forbidden"
    ) in it.told


@pytest.mark.parametrize(
    "error",
    [aiohttp.ClientError(), ApiError(503, "PATCH", PATH, ""), ApiError(404, "PATCH", PATH, "")],
    ids=["silent", "unavailable", "gone"],
)
def test_what_fails_once_is_tried_again(error: Exception) -> None:
    it = Run(ONE, attributes=settings("node-1", labels={"tier": "a"}))
    it.api.answers[PATCH] = [error]
    it.at(0, it.api.node, "node-1", "10.0.0.1", ready=False)
    it.at(9, it.api.node, "node-1", "10.0.0.1")
    it.go()
    assert it.all_in
    assert labels(it, "node-1") == {"tier": "a"}
    assert "could not be changed" not in it.told


def test_the_node_of_another_machine_is_left_alone() -> None:
    it = Run(ONE, attributes=settings("node-1", labels={"tier": "a"}))
    it.at(0, it.api.node, "node-1", "10.9.9.9")
    it.go()
    assert not it.all_in
    assert PATCH not in it.api.asked


def test_a_taint_of_the_registration_that_a_controller_has_removed_stays_away() -> None:
    startup = settings("node-1", taints=["startup:NoExecute"])
    it = Run(ONE, attributes=startup, registered={"node-1": startup["node-1"].taints})
    it.at(0, it.api.node, "node-1", "10.0.0.1")
    it.go()
    assert it.all_in
    assert "spec" not in it.api.objects[NODES]["node-1"]


def test_a_node_that_changes_all_the_time_does_not_keep_the_api_server_busy() -> None:
    it = Run(ONE, attributes=settings("node-1", labels={"tier": "a"}))
    it.api.answers[PATCH] = [ApiError(409, "PATCH", PATH, "modified")] * 1000
    it.at(0, it.api.node, "node-1", "10.0.0.1")
    it.go()
    assert not it.all_in
    assert it.api.asked.count(PATCH) < 200
    assert "could not be changed: PATCH" in it.told
