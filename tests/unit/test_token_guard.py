"""The process that ends a run's tokens once the run's process is gone, however it went."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import token_guard
from components.token_guard import TokenGuard

LIMIT_S = 20
# In the place of `admission end-tokens`: writes what it was told, at the end of that.
STUB = """
import sys
from pathlib import Path
ids = sys.stdin.read().split()
Path("ended").write_text(" ".join([*sys.argv[1:], "|", *ids]))
"""
RUN = """
import os, sys, time
from pathlib import Path
from components import token_guard
token_guard.PROJECT = Path(sys.argv[1])
guard = token_guard.TokenGuard(
    "workers", stack="o/p/s", server="https://api", directory=sys.argv[1], tokens=(), ends=True
)
guard.watch("abc123")
guard.watch("def456")
print("told", flush=True)
if sys.argv[2:] == ["succeeds"]:
    guard._succeeded(None)
elif not sys.argv[2:]:
    time.sleep(60)
"""
TOLD = "end-tokens --stack o/p/s --server https://api --pool workers | abc123 def456"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "admission").mkdir()
    (tmp_path / "admission/__main__.py").write_text(STUB)
    return tmp_path


def wait_for(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not found():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_tokens_of_a_run_end_with_its_process(directory: Path, number: signal.Signals) -> None:
    """The signal is for the whole group of the run, as the engine and a terminal send it."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory)],
        cwd=Path(token_guard.__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"told\n"
        time.sleep(0.3)
        assert not (directory / "ended").exists()  # as long as the run lasts
        os.killpg(run.pid, number)
    wait_for((directory / "ended").exists)
    wait_for(lambda: (directory / "ended").read_text() == TOLD)


@pytest.mark.parametrize(("end", "waits"), [("fails", True), ("succeeds", False)])
def test_a_program_that_ends_waits_for_the_end_of_its_tokens_unless_its_gate_has_ended_them(
    directory: Path, end: str, waits: bool
) -> None:
    """In a container that ends with the run, nothing would do it later."""
    stub = directory / "admission/__main__.py"
    stub.write_text(STUB.replace('Path("ended")', 'import time; time.sleep(1); Path("ended")'))
    command = [sys.executable, "-c", RUN, str(directory), end]
    subprocess.run(command, cwd=Path(token_guard.__file__).parents[1], check=True)
    assert (directory / "ended").exists() == waits
    wait_for((directory / "ended").exists)


class Told(TokenGuard):
    """A guard that starts no process."""

    def __init__(self, live: set[str], *, ends: bool = True) -> None:
        super().__init__("p", stack="s", server="x", directory="d", tokens=live, ends=ends)
        self.ids: list[str] = []

    def watch(self, token_id: str) -> None:
        self.ids.append(token_id)


def begins(guard: TokenGuard, name: str) -> None:
    inputs: dict[str, Any] = {"metadata": {"name": "bootstrap-token-abc123"}}
    guard._begins(pulumi.ResourceHookArgs(urn="u", id="", name=name, type="t", new_inputs=inputs))


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hook:
        def __init__(self, *_: Any) -> None: ...

    monkeypatch.setattr(pulumi, "ResourceHook", Hook)
    monkeypatch.setattr(pulumi, "ResourceHookBinding", lambda **_: None)


def test_each_live_token_is_told_before_it_is_made() -> None:
    guard = Told({"n1-token"})
    begins(guard, "n1-token")
    begins(guard, "n2-token")  # made dead, since n2 has joined
    assert guard.ids == ["abc123"]


def test_tokens_that_are_to_outlive_a_run_are_left_alone() -> None:
    guard = Told({"n1-token"}, ends=False)
    begins(guard, "n1-token")
    assert guard.ids == []


def test_no_token_is_made_that_nobody_could_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(directory / "missing"))
    monkeypatch.setattr(token_guard, "PROJECT", directory)
    guard = TokenGuard(
        "p", stack="s", server="x", directory=str(directory), tokens={"n1-token"}, ends=True
    )
    with pytest.raises(ValueError, match=r"no token is made, since .* No such file or directory"):
        begins(guard, "n1-token")
