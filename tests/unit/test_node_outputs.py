"""What the stack's outputs say of each node, in the run in which it joins and later."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.stack import ResourceRegistrationFailed

from components.bootstrap_rbac import BootstrapRbac
from components.bootstrap_token import derive
from components.gate_report import GateReport
from components.node_outputs import with_report
from components.node_pool import NodePool
from components.pool_arguments import Approval, TokenPolicy
from tests.unit.engine import SEED, Engine
from tests.unit.test_components import pool_args, pool_node

OF_NODE = TokenPolicy(scope="node")
RECORDED = {
    "address": "10.0.0.1",
    "join": "1",
    "joined": "2026-01-01T00:00:00Z",
    "tokenId": "abc123",
    "approvedBy": {"client": "controller-manager", "serving": "manual"},
    "kubeletVersion": "v1.36.0",
    "servingCertificateEnd": "2027-01-01T00:00:00Z",
}
TOLD = {
    "kubeletVersion": "v1.37.2",
    "servingCertificateEnd": "2027-11-24T00:00:00Z",
    "proven": "2026-11-27T01:02:03Z",
}


class _Gate(Engine):
    """An engine whose gates tell of each of their nodes."""

    def _gate(self, orders: str) -> str:
        document = json.loads(super()._gate(orders))
        names = [node["name"] for node in json.loads(orders).get("nodes", ())]
        return json.dumps({**document, "nodes": [{"name": n, **TOLD} for n in names]})


def nodes(engine: Engine, **changes: Any) -> dict[str, Any]:
    """The output of a pool."""

    found: list[dict[str, Any]] = []

    def program() -> pulumi.Output[None]:
        pool = NodePool("p", pool_args(BootstrapRbac("rbac"), token=OF_NODE, **changes))
        return pool.nodes.apply(found.append)

    engine.run(program)
    (nodes,) = found
    return nodes


def test_a_join_is_recorded_with_its_token_and_who_approved() -> None:
    found = nodes(_Gate(), nodes=(pool_node(), pool_node("n2")))
    assert found.keys() == {"n1", "n2"}
    assert found["n2"] == {
        "address": "10.0.0.1",
        "join": "1",
        "labels": {},
        "tokenId": derive(SEED, "n2")[0],
        "approvedBy": {"client": "gate", "serving": "gate"},
        "kubeletVersion": "v1.37.2",
        "servingCertificateEnd": "2027-11-24T00:00:00Z",
        "joined": "2026-11-27T01:02:03Z",
    }


def test_another_node_changes_nothing_of_a_record() -> None:
    joined = pool_node(recorded=RECORDED, joins=False)
    client = Approval(client="gate", serving="gate")
    found = nodes(_Gate(), nodes=(joined, pool_node("n2")), approval=client)
    seen = {key: TOLD[key] for key in ("kubeletVersion", "servingCertificateEnd")}
    assert found["n1"] == {**RECORDED, **seen, "labels": {}}


def test_what_an_earlier_release_has_not_recorded_is_left_out() -> None:
    joined = pool_node(recorded={"name": "n1", "address": "10.0.0.1"}, joins=False)
    found = nodes(_Gate(), nodes=(joined,))
    assert found["n1"].keys() == {
        *("address", "join", "labels", "kubeletVersion", "servingCertificateEnd")
    }


def test_what_a_gate_that_failed_has_not_proven_the_next_one_does() -> None:
    unproven = {key: value for key, value in RECORDED.items() if key != "joined"}
    found = nodes(_Gate(), nodes=(pool_node(recorded=unproven, joins=False),))
    assert found["n1"]["joined"] == TOLD["proven"]
    assert found["n1"]["tokenId"] == RECORDED["tokenId"]


def test_a_gate_of_another_join_proves_that_one_and_not_todays() -> None:
    entry = {"address": "10.0.0.1", "join": "2@10.0.0.1", "tokenId": "new", "approvedBy": {}}
    found = with_report(entry, {"name": "n1", "join": "1", **TOLD})
    seen = {key: TOLD[key] for key in ("kubeletVersion", "servingCertificateEnd")}
    assert found == {"address": "10.0.0.1", "join": "1", **seen}


@pytest.mark.parametrize("reported", [True, False])
def test_a_gate_that_fails_takes_no_record_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    report = GateReport(stack="s", pool="p")
    members = {name: {"address": "-", "joined": None} for name in ("n1", "n2")}
    found: list[Any] = []

    async def fails() -> str:
        raise ResourceRegistrationFailed

    def program() -> pulumi.Output[None]:
        if reported:
            report.path.parent.mkdir(parents=True)
            late = {"name": "n2", "reason": "it is late"}
            document = {"nodes": [{"name": "n1", **TOLD}], "pending": [late]}
            report.path.write_text(json.dumps(document))
        stdout = pulumi.Output.from_input(fails())
        entries = pulumi.Output.from_input(members)
        joins = pulumi.Output.from_input({"n1": True, "n2": False})
        return report.outcome(stdout, entries, joins).apply(found.append)

    Engine().run(program)
    (outcome,) = found
    assert [entry["pool"] for entry in outcome["pending"]] == ["p"]
    assert [entry["name"] for entry in outcome["pending"]] == ["n2"]
    assert outcome["nodes"].keys() == {"n1"}
    assert ("kubeletVersion" in outcome["nodes"]["n1"]) == reported
    assert "joined" not in outcome["nodes"]["n1"]
