"""How many Nodes have a label, as the program asks before it makes pods that need it."""

from typing import Any

import pytest

from admission import placement
from admission.api_server.api import ApiError, Keep
from admission.api_server.lists import Listed
from admission.stack_settings import Kubeconfig, StackSettings
from tests.unit.admission.fakes import run

LABEL = "node-role.kubernetes.io/control-plane"
PATH = "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"


class Cluster:
    """An API server with Nodes that have the label."""

    server = "https://api:6443"

    def __init__(self, *names: str, cordoned: str = "", failure: Exception | None = None) -> None:
        self.names, self.cordoned = names, cordoned
        self.failure, self.closed = failure, False

    async def list(self, path: str, keep: Keep) -> Listed:
        assert path == PATH
        if self.failure:
            raise self.failure
        specs = {
            name: {"unschedulable": True} if name == self.cordoned else {} for name in self.names
        }
        items = [keep({"metadata": {"name": name}, "spec": spec}) for name, spec in specs.items()]
        return Listed([item for item in items if item], "1", [])

    async def close(self) -> None:
        self.closed = True


def count(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, server: str = Cluster.server) -> int:
    async def kubeconfig(_: StackSettings) -> Kubeconfig:
        return Kubeconfig(path="kubeconfig")

    class Connecting:
        @staticmethod
        async def open(*_: Any) -> Cluster:
            return cluster

    monkeypatch.setattr(StackSettings, "kubeconfig", kubeconfig)
    monkeypatch.setattr(placement, "Connection", Connecting)
    try:
        return int(run(placement.labelled_nodes(LABEL, stack="s", server=server)))
    finally:
        assert cluster.closed


def test_nodes_with_the_label_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(monkeypatch, Cluster()) == 0
    assert count(monkeypatch, Cluster("cp-1", "cp-2")) == 2


def test_cordoned_nodes_take_no_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(monkeypatch, Cluster("cp-1", "cp-2", cordoned="cp-1")) == 1


def test_another_api_server_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="leads to https://api:6443 now"):
        count(monkeypatch, Cluster("cp-1"), "https://other:6443")


def test_a_missing_right_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ApiError(403, "GET", PATH, "forbidden")
    with pytest.raises(ValueError, match="give a kubeconfig whose user has this right"):
        count(monkeypatch, Cluster(failure=refused))
