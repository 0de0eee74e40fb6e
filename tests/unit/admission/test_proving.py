"""The proof of a wave: which nodes work, which are not Ready, and what keeps it from telling."""

import json

import pytest

from admission.api_server.api import NODES
from admission.api_server.connection import Connection
from admission.proving import not_ready, prove
from tests.unit.admission.fakes import run
from tests.unit.admission.test_main import ONE_NODE, FakeCluster

ORDERS = json.dumps(ONE_NODE | {"stallSeconds": 5})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()

    async def connect(path: str, content: None, renew: object = None) -> FakeCluster:
        return fake

    monkeypatch.setattr(Connection, "open", connect)
    return fake


def test_a_node_that_does_not_work_is_named_with_the_reason(cluster: FakeCluster) -> None:
    cluster.node("node-1", "10.0.0.1", ready=False)
    reasons = run(prove(ORDERS, lambda _: None))
    assert list(reasons) == ["node-1"]
    assert reasons["node-1"].startswith("its Node is not Ready: no CNI")


def test_nodes_that_are_not_ready_or_not_there_are_told(cluster: FakeCluster) -> None:
    assert run(not_ready(ORDERS)) == {"node-1": ""}
    cluster.node("node-1", "10.0.0.1", ready=False)
    cluster.node("node-2", "10.0.0.2", ready=False)
    assert run(not_ready(ORDERS)) == {"node-1": ""}
    cluster.node("node-1", "10.0.0.1")
    assert run(not_ready(ORDERS)) == {}


def test_a_node_that_can_not_be_read_is_told_with_the_reason(cluster: FakeCluster) -> None:
    cluster.node("node-1", "10.0.0.1")
    cluster.objects[NODES]["node-1"]["status"]["conditions"] = [{}]
    cluster.objects[NODES]["node-2"] = {"metadata": {"name": "node-2"}, "status": {"addresses": 1}}
    assert run(not_ready(ORDERS)) == {"node-1": "it lacks what we read (KeyError)"}


@pytest.mark.parametrize("ask", [not_ready, lambda orders: prove(orders, print)])
def test_orders_that_can_not_be_read_are_an_error_of_one_line(ask: object) -> None:
    with pytest.raises(ValueError, match=r"\Athe gate's orders on stdin are not JSON\Z"):
        run(ask("?"))  # type: ignore[operator]
