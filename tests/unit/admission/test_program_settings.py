"""How nodes leave by the settings of a program that gives them itself: its output, and its file."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from admission.drain_settings import Drain
from admission.stack_settings import Leaving, StackSettings
from kubelet_tls_bootstrap import leaving
from settings.parsing import parse
from tests.unit.admission.leave_fakes import Scene

STACK = "o/p/dev"
OUTPUT = STACK, "kubeletTlsBootstrap"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.chdir(tmp_path)
    scene = Scene(monkeypatch)
    scene.settings = {"kubeconfigPath": "config"}
    return scene


def said(run: int, *, force: bool = False, timeout_s: int = 60) -> dict[str, Any]:
    """What a run says, of two nodes."""
    nodes = [
        {"name": "node-1", "address": "10.0.0.1", "force": force},
        {"name": "node-2", "address": "10.0.0.2"},
    ]
    pools = {"workers": {"drain": {"force": True}, "nodes": nodes}}
    settings = parse(
        {"kubeconfigPath": "x", "drain": {"timeoutSeconds": timeout_s}, "pools": pools}
    )
    return leaving.document(settings, run)


def found(stack: str = STACK) -> Leaving:
    return asyncio.run(StackSettings(stack).leaving("node-1", pool="workers"))


def test_an_output_says_how_nodes_leave(scene: Scene) -> None:
    scene.outputs[OUTPUT] = {"leaving": said(1, force=True)}
    how = found()
    assert (how.force, how.taken) == (True, frozenset({"10.0.0.2"}))
    assert how.drain == Drain(timeout_s=60, force=True)
    scene.outputs.clear()
    how = found()
    assert (how.force, how.taken, how.drain) == (False, frozenset(), Drain())


@pytest.mark.parametrize("odd", [{}, {"leaving": None}, {"leaving": "unknown"}, "[secret]", 7])
def test_an_output_of_another_form_says_nothing(scene: Scene, odd: Any) -> None:
    scene.outputs[OUTPUT] = odd
    assert found().drain == Drain()


def test_a_run_counts_before_the_engine_stores_its_outputs(scene: Scene) -> None:
    leaving.write(STACK, said(1, force=True))
    assert found().force  # the first run, which has no outputs yet
    scene.outputs[OUTPUT] = {"leaving": said(6)}
    assert not found().force
    leaving.write(STACK, said(7, force=True, timeout_s=77))
    how = found()
    assert (how.force, how.drain.timeout_s) == (True, 77)
    assert not found("o/p/other").force


@pytest.mark.parametrize("run", [5, 6, 8])
def test_the_file_of_any_other_run_does_not_count(scene: Scene, run: int) -> None:
    scene.outputs[OUTPUT] = {"leaving": said(6)}
    leaving.write(STACK, said(run, force=True))
    assert not found().force


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run": "7"}'])
def test_a_file_of_another_form_says_nothing(scene: Scene, content: str) -> None:
    scene.outputs[OUTPUT] = {"leaving": said(6, force=True)}
    leaving.write(STACK, said(7))
    (path,) = Path(".pulumi-gate", STACK).iterdir()
    path.write_text(content)
    assert found().force


def test_an_output_of_a_release_without_a_number_is_that_of_no_run(scene: Scene) -> None:
    scene.outputs[OUTPUT] = {"leaving": {k: v for k, v in said(1).items() if k != "run"}}
    leaving.write(STACK, said(1, force=True))
    assert found().force


def test_a_key_of_the_program_is_none_of_its_settings(scene: Scene) -> None:
    scene.settings["drain"] = '{"timeoutSeconds": 9}'
    scene.outputs[OUTPUT] = {"leaving": {**said(1), "drain": {}}}
    assert found().drain == Drain(force=True)
