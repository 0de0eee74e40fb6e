"""Turns of processes: never more than there are, and none is lost with a process."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from admission import turns
from admission.turns import Turns

ROOT = Path(__file__).parents[3]
HOLDER = """
import asyncio, sys
from pathlib import Path
from admission.turns import Turns

async def main():
    async with Turns(Path(sys.argv[1]), int(sys.argv[2])).take(lambda: None):
        print("has it", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
Hold = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(turns, "PAUSE_S", 0.01)
    return tmp_path / "a/b"


def hold(directory: Path, count: int) -> "subprocess.Popen[str]":
    """Start a process that takes a turn, and return it once it has it."""
    command = [sys.executable, "-c", HOLDER, str(directory), str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


async def take(directory: Path, count: int, told: list[str], limit_s: float = 5) -> bool:
    async with (
        asyncio.timeout(limit_s),
        Turns(directory, count).take(lambda: told.append("waits")) as waited,
    ):
        return waited


def test_a_free_turn_is_taken_at_once_and_given_back(directory: Path) -> None:
    told: list[str] = []
    assert not asyncio.run(take(directory, 1, told))
    assert not asyncio.run(take(directory, 1, told))
    assert told == []


def test_never_more_than_there_are_turns(directory: Path) -> None:
    now: list[int] = []
    most: list[int] = []

    async def one(number: int) -> None:
        async with Turns(directory, 3).take(lambda: None):
            now.append(number)
            most.append(len(now))
            await asyncio.sleep(0.02)
            now.remove(number)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(12)))

    asyncio.run(all_of_them())
    assert max(most) == 3
    assert len(most) == 12


def test_a_turn_ends_with_its_process_however_that_ends(directory: Path) -> None:
    holder, told = hold(directory, 1), list[str]()
    try:
        with pytest.raises(TimeoutError):
            asyncio.run(take(directory, 1, told, 0.2))
        assert told == ["waits"]

        async def wait_while_it_is_killed() -> bool:
            waiting = asyncio.create_task(take(directory, 1, told))
            await asyncio.sleep(0.05)
            holder.kill()
            return await waiting

        assert asyncio.run(wait_while_it_is_killed())
    finally:
        holder.kill()
        holder.communicate()


def test_an_interrupted_wait_keeps_nothing(directory: Path) -> None:
    holder = hold(directory, 1)
    try:
        with pytest.raises(TimeoutError):
            asyncio.run(take(directory, 1, [], 0.1))
    finally:
        holder.kill()
        holder.communicate()
    assert not asyncio.run(take(directory, 1, []))


def test_a_second_turn_is_free_beside_the_first(directory: Path) -> None:
    holder = hold(directory, 2)
    try:
        assert not asyncio.run(take(directory, 2, []))
    finally:
        holder.kill()
        holder.communicate()


def test_a_directory_that_can_not_be_used_is_named(directory: Path) -> None:
    directory.parent.mkdir()
    directory.touch()
    with pytest.raises(
        ValueError, match=r'a/b" in the project can\'t be used: File exists; drains'
    ):
        asyncio.run(take(directory, 1, []))
