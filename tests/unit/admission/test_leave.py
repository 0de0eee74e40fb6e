"""A node that leaves: what is asked of kubectl and of the API server, in which order."""

import argparse
import asyncio
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from admission import program
from admission.__main__ import _leave
from admission.api_server.api import ApiError
from admission.api_server.connection import Connection
from admission.leave import leave
from admission.stack_kubeconfig import kubeconfig_of_stack

NODE = "/api/v1/nodes/node-1"


class FakeCluster:
    """Holds one Node, or none."""

    def __init__(self, calls: list[str], node: str | None, *, replaced: bool = False) -> None:
        self.calls, self.node, self.replaced = calls, node, replaced

    async def insist(self, method: str, path: str, body: Any = None) -> Any:
        assert path == NODE
        self.calls.append(method if body is None else f"{method} {body}")
        if self.node is None:
            raise ApiError(404, method, path, "not found")
        if method == "DELETE" and self.replaced:
            raise ApiError(409, method, path, "precondition failed")
        return {"metadata": {"name": "node-1", "uid": self.node}}

    async def close(self) -> None:
        self.calls.append("close")


class Scene:
    """What was called, and what programs answer: exit status, stdout, stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster | None = None) -> None:
        self.calls: list[str] = cluster.calls if cluster else []
        self.answer: tuple[int, str, str] = (0, "", "")

        async def connect(path: str, content: None) -> FakeCluster | None:
            return cluster

        async def run(*command: str, timeout_s: float) -> tuple[int, str, str]:
            assert timeout_s > 0
            self.calls.append(" ".join(command))
            return self.answer

        monkeypatch.setattr(Connection, "open", connect)
        monkeypatch.setattr(program, "run", run)


DRAIN = (
    "kubectl --kubeconfig=config drain node-1 --ignore-daemonsets --delete-emptydir-data --force"
    " --timeout=300s"
)
DELETE = "DELETE {'preconditions': {'uid': 'uid-1'}}"


def test_a_node_is_drained_and_that_one_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    asyncio.run(leave("node-1", "config", force=False))
    assert scene.calls == ["GET", DRAIN, DELETE, "close"]


def test_a_dead_machines_node_is_deleted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    asyncio.run(leave("node-1", "config", force=True))
    assert scene.calls == ["GET", DELETE, "close"]


@pytest.mark.parametrize("force", [True, False])
def test_a_node_that_never_joined_has_left(monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    scene = Scene(monkeypatch, FakeCluster([], None))
    asyncio.run(leave("node-1", "config", force=force))
    assert scene.calls == ["GET", "close"]


def test_a_drain_that_fails_keeps_the_node_and_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    scene.answer = (1, "evicting pod", "first line\nerror: cannot delete Pod a\n")
    with pytest.raises(ValueError, match="node-1 can't be drained: cannot delete Pod a; fix that"):
        asyncio.run(leave("node-1", "config", force=False))
    assert scene.calls == ["GET", DRAIN, "close"]


def test_a_node_that_joined_again_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Scene(monkeypatch, FakeCluster([], "uid-1", replaced=True))
    with pytest.raises(ValueError, match="another machine has joined as node-1"):
        asyncio.run(leave("node-1", "config", force=False))


def test_the_stacks_kubeconfig_is_a_private_file_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scene = Scene(monkeypatch)
    scene.answer = (0, "kind: Config\n", "")

    async def look() -> str:
        async with kubeconfig_of_stack("dev") as path:
            file = Path(path)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600  # noqa: ASYNC240
            return file.read_text()  # noqa: ASYNC240

    assert asyncio.run(look()) == "kind: Config\n"
    assert list(tmp_path.iterdir()) == []
    assert scene.calls == ["pulumi config get kubeconfig --stack dev --non-interactive"]


def test_a_kubeconfig_below_the_home_directory_is_found_by_kubectl_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    arguments = argparse.Namespace(node="node-1", kubeconfig="~/config", force=False)
    assert asyncio.run(_leave(arguments)) == 0
    assert scene.calls[1].startswith("kubectl --kubeconfig=/home/me/config drain node-1 ")


def test_the_file_is_removed_when_the_leaving_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Scene(monkeypatch, FakeCluster([], "uid-1", replaced=True))
    arguments = argparse.Namespace(node="node-1", kubeconfig=None, stack_config="dev", force=True)
    with pytest.raises(ValueError, match="another machine"):
        asyncio.run(_leave(arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_stack_without_the_key_is_reported_of(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.answer = (255, "", "error: configuration key 'kubeconfig' not found for stack 'dev'\n")

    async def look() -> None:
        async with kubeconfig_of_stack("dev"):
            pytest.fail("there is none")

    with pytest.raises(ValueError, match="stack dev can't be read: configuration key"):
        asyncio.run(look())


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="no-such-program is not on PATH"):
        asyncio.run(program.run("no-such-program", timeout_s=1))


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(ValueError, match="sleep did not end"):
        asyncio.run(program.run("sleep", "1000", timeout_s=0.01))
