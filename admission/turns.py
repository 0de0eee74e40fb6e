"""Turns: how many processes of a pool do something at the same time.

Each node leaves in a process of its own, which the engine has started. A turn is a lock on a file,
which the kernel gives up with its process, however that ends. Whoever has a turn waits for no other
process, so those who wait for one only take slots of the engine a while longer.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

# Below the project's directory, in which the engine starts commands; the gate's reports are there.
DIRECTORY = ".pulumi-gate"
PAUSE_S = 1


@dataclass(frozen=True)
class Turns:
    """The turns of one pool."""

    directory: Path
    """Where their files are."""
    count: int
    """How many there are at the same time."""

    @contextlib.asynccontextmanager
    async def take(self, waits: Callable[[], None]) -> AsyncIterator[bool]:
        """Wait for a turn, and keep it for the block, which is told whether it had to wait.

        `waits` is called once if no turn is free.

        Raises:
            ValueError: the files can't be made; says why.
        """
        found, waited = self._free(), False
        while found is None:
            if not waited:
                waits()
            waited = True
            await asyncio.sleep(PAUSE_S)
            found = self._free()
        try:
            yield waited
        finally:
            os.close(found)

    def _free(self) -> int | None:
        """Return the open file of a turn that this process now has, or None."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for number in range(self.count):
                path = self.directory / str(number)
                # Not to be written: another user's file will do.
                found = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(found)
                else:
                    return found
        except OSError as error:
            raise ValueError(
                f'"{self.directory}" in the project can\'t be used: {error.strerror}; drains take'
                " turns by its files, so make it a directory that you may write to"
            ) from None
        return None


def turns_to_drain(stack: str | None, pool: str | None, count: int) -> Turns:
    """Return the turns of a stack's pool; None: what no longer says which."""
    # A pool's name can't be this.
    return Turns(Path(DIRECTORY, stack or "_", "drains", pool or "_"), count)
