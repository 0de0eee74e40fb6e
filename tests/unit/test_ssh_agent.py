"""An agent that can't log in anywhere is told: none, one that is gone, one without keys."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssh import agent


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real agent's socket."""
    path = tmp_path / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it says where it listens when it does
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
        process.terminate()


def test_an_agent_is_of_use_once_it_holds_a_key(running: Path) -> None:
    assert agent.trouble() == "the agent holds no keys (ssh-add -l lists them)"
    key = running.with_name("key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    subprocess.run(["ssh-add", "-q", key], check=True)
    assert agent.trouble() == ""


@pytest.mark.parametrize("path", [None, ""])
def test_no_agent_is_told(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    if path is not None:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
    assert agent.trouble() == "no agent runs here (SSH_AUTH_SOCK is not set)"


def test_an_agent_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("/nowhere/agent", str(tmp_path / "file"), "/" + "a" * 200):
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        assert agent.trouble() == f"no agent answers here (SSH_AUTH_SOCK is {path})"
