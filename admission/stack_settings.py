"""What the programs that the engine starts need of the stack's settings, as they are when it does.

No resource holds it: a new kubeconfig changes none, and a node leaves by the settings of the day on
which it leaves, not by those of the run before.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admission import program, settings_file
from admission.drain_settings import Drain, read_drain
from admission.private_file import private_file
from admission.settings_file import CA_PATH, CLUSTER, DRAIN, PATH, POOLS
from admission.turns import Turns, turns_to_drain

CONFIG_TIMEOUT_S = 60
PAUSES_S = (0.2, 0.5, 1, 2, 4)
CONTENT = "kubeconfig"
REMEDY = "correct that and run pulumi up again, which reads the settings of that time"


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig's path or its content."""

    path: str | None = None
    content: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """How a node leaves by the settings."""

    force: bool = False
    """Its machine is gone."""
    taken: frozenset[str] = frozenset()
    """The addresses that other nodes have."""
    drain: Drain = field(default_factory=Drain)
    """How it is drained."""
    turns: Turns | None = None
    """Those of its pool to be drained; None: it waits for nobody."""


def is_same_server(one: str, other: str) -> bool:
    """Return whether two URLs name one API server."""
    return one.rstrip("/") == other.rstrip("/")


class StackSettings:
    """The settings of a stack; None: of the selected one. They are read once, when needed."""

    def __init__(self, stack: str | None) -> None:
        self._stack = stack
        self._read: dict[str, str] | None = None

    async def kubeconfig(self) -> Kubeconfig:
        """Return the kubeconfig that they name or hold.

        Raises:
            ValueError: there is none, or it can't be read; says which key of which stack.
        """
        if path := (await self._plain()).get(PATH):
            path = os.path.expanduser(path)  # noqa: ASYNC240, PTH111 - kubectl knows no ~
            try:
                Path(path).open().close()  # noqa: ASYNC230
            except OSError as error:
                raise ValueError(
                    f'{PATH} "{path}" of the stack {self._stack} can\'t be read:'
                    f" {error.strerror}; {REMEDY}"
                ) from None
            return Kubeconfig(path=path)
        if content := await self._secret(CONTENT):
            return Kubeconfig(content=content)
        raise ValueError(
            f"the stack {self._stack} has neither {PATH} nor the secret key {CONTENT}, by which the"
            f" cluster is reached; {REMEDY}"
        )

    async def ca_path(self) -> str | None:
        """Return the path of the CA that the machines have, if they name one.

        Raises:
            ValueError: they can't be read; says why.
        """
        cluster = json.loads((await self._plain()).get(CLUSTER) or "{}")
        path = cluster.get(CA_PATH) if isinstance(cluster, dict) else None
        return str(path) if path else None

    @contextlib.asynccontextmanager
    async def kubeconfig_file(self) -> AsyncIterator[str]:
        """Give the kubeconfig's path, for a while if it is a secret key.

        Raises:
            ValueError: as `kubeconfig`.
        """
        found = await self.kubeconfig()
        if found.path:
            yield found.path
            return
        with private_file((found.content or "").encode()) as path:
            yield path

    async def leaving(self, node: str, path: str | None = None, pool: str | None = None) -> Leaving:
        """Return what they say of a node that leaves; settings that can't be read say nothing.

        It is drained as its pool says, which is the one that it was in, and as the stack says if
        that pool is gone. Those of the selected stack count only if they have the kubeconfig of
        this path: states of earlier releases hold the path alone, and no pool.

        Raises:
            ValueError: what they say of drains is wrong; says which key.
        """
        try:
            settings = await self._plain()
            if not self._stack and settings.get(PATH) != path:
                return Leaving()
            # A value that holds a secret is missing among those that are none.
            text = settings.get(POOLS) or await self._secret(POOLS)
            pools = json.loads(text or "{}")
            entries = [entry for each in pools.values() for entry in await self._nodes(each)]
            force = any(e.get("name") == node and e.get("force") is True for e in entries)
            taken = frozenset(
                str(e["address"])
                for e in entries
                if e.get("name") != node and not e.get("force") and "address" in e
            )
            of_stack = json.loads(settings.get(DRAIN) or "{}") or {}
            of_pool = (pools.get(pool) or {}).get("drain") or {}
        except (ValueError, AttributeError, TypeError):
            return Leaving()
        try:
            drain = read_drain(of_stack, of_pool)
        except ValueError as error:
            raise ValueError(f"settings of the stack {self._stack}: {error}; {REMEDY}") from None
        turns = turns_to_drain(self._stack, pool, drain.parallel)
        return Leaving(force=force, taken=taken, drain=drain, turns=turns)

    async def _nodes(self, pool: Mapping[str, Any]) -> list[Any]:
        """Return the entries of a pool's nodes; those of another stack if that can be read."""
        entries, source = [*(pool.get("nodes") or ())], pool.get("nodesFrom")
        if source:
            where = ("--json", "--stack", source["stack"], "--non-interactive")
            command = ("pulumi", "stack", "output", source["output"], *where)
            # What can't be read says nothing, and takes nothing of the rest with it.
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                status, text, _ = await program.run(*command, timeout_s=CONFIG_TIMEOUT_S)
                found = json.loads(text) if status == 0 else []
                if isinstance(found, dict):
                    found = [{"name": name, **entry} for name, entry in found.items()]
                entries += [entry for entry in found if isinstance(entry, dict)]
        return entries

    async def _plain(self) -> Mapping[str, str]:
        """Return those that are no secrets, by their keys without the project's name."""
        if self._read is None:
            self._read = settings_file.read(self._stack, Path(), os.environ)
        if self._read is None:
            self._read = await self._plain_by_pulumi()
        return self._read

    async def _plain_by_pulumi(self) -> dict[str, str]:
        status, text, errors = await self._pulumi("config", "--json")
        if status:
            which, why = self._stack or "selected", program.last_error(errors)
            raise ValueError(f"the settings of the stack {which} can't be read: {why}")
        return {
            key.rpartition(":")[2]: entry["value"]
            for key, entry in json.loads(text).items()
            if "value" in entry
        }

    async def _secret(self, key: str) -> str | None:
        status, value, errors = await self._pulumi("config", "get", key)
        if status == 0:
            return value
        why = program.last_error(errors)
        if why.startswith("configuration key") and "not found" in why:
            return None
        raise ValueError(f"the key {key} of the stack {self._stack} can't be read: {why}")

    async def _pulumi(self, *words: str) -> tuple[int, str, str]:
        which = ["--stack", self._stack] if self._stack else []
        command = ("pulumi", *words, *which, "--non-interactive")
        for pause_s in PAUSES_S:
            status, text, errors = await program.run(*command, timeout_s=CONFIG_TIMEOUT_S)
            # It reads the state too, which the engine writes meanwhile: in a directory, not at
            # once.
            if not status or "load checkpoint" not in errors:
                break
            await asyncio.sleep(pause_s)
        return status, text, errors
