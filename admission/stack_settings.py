"""What the programs that the engine starts need of the stack's settings, as they are when it does.

No resource holds it: a new kubeconfig changes none, and a node leaves by the settings of the day on
which it leaves, not by those of the run before.
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admission import outputs, program, program_settings, settings_file
from admission.api_server.api import Renew
from admission.drain_settings import Drain, read_drain
from admission.pool_inventory import DEFAULT_NAMESPACE
from admission.private_file import private_file, rewrite
from admission.settings_file import CLUSTER, CONTENT, DRAIN, FROM, PATH, POOLS
from admission.turns import Turns, turns_to_drain

OF_OUTPUT = f"{CLUSTER}.{FROM}.{CONTENT}"
REMEDY = "correct that and run pulumi up again, which reads the settings of that time"


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig's path or its content."""

    path: str | None = None
    content: str | None = field(default=None, repr=False)
    renew: Renew | None = None
    """Returns the content as it is by then; None: the path's is read again."""


@dataclass(frozen=True, kw_only=True)
class KubeconfigFile:
    """A kubeconfig's path, for a while if it is a secret."""

    path: str
    renew: Renew | None = None
    """Puts into it what the content is by then; None: somebody else does."""


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """How a node leaves by the settings."""

    force: bool = False
    """Its machine is gone."""
    taken: frozenset[str] = frozenset()
    """The addresses that other nodes have."""
    drain: Drain = field(default_factory=Drain)
    """How it is drained."""
    namespace: str = DEFAULT_NAMESPACE
    """That of the pools' inventories."""
    turns: Turns | None = None
    """Those of its pool to be drained; None: it waits for nobody."""


def is_same_server(one: str, other: str) -> bool:
    """Return whether two URLs name one API server."""
    return one.rstrip("/") == other.rstrip("/")


class StackSettings:
    """The settings of a stack; None: of the selected one. They are read once, when needed."""

    def __init__(self, stack: str | None) -> None:
        self._stack = stack
        self._read: Mapping[str, str | None] | None = None

    async def kubeconfig(self) -> Kubeconfig:
        """Return the kubeconfig that they name or hold.

        Raises:
            ValueError: there is none, or it can't be read; says which key of which stack.
        """
        path, source = (await self._plain()).get(PATH), await self._source()
        if source and (path or CONTENT in await self._plain()):
            other = PATH if path else f"the secret key {CONTENT}"
            raise ValueError(
                f"{other} and {OF_OUTPUT} of the stack {self._stack} are both set; {REMEDY}"
            )
        if source:
            return Kubeconfig(content=await self._of_output(source), renew=self._content)
        if path:
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
            return Kubeconfig(content=content, renew=self._content)
        raise ValueError(
            f"the stack {self._stack} has neither {PATH} nor the secret key {CONTENT} nor"
            f" {OF_OUTPUT}, by which the cluster is reached; {REMEDY}"
        )

    async def _content(self) -> str:
        """Return the kubeconfig's content by the settings of now."""
        self._read = None
        found = await self.kubeconfig()
        if found.content is None:
            raise ValueError(f"the kubeconfig of the stack {self._stack} is a file now")
        return found.content

    async def _source(self) -> Mapping[str, str] | None:
        """Return the stack and the output in it that hold the kubeconfig; None: they don't."""
        with contextlib.suppress(AttributeError, TypeError, LookupError):
            source = (await self.cluster())[FROM]
            if source[CONTENT]:
                return {"stack": str(source["stack"]), "output": str(source[CONTENT])}
        return None

    async def cluster(self) -> Mapping[str, Any]:
        """Return what is said of the cluster, as far as programs of the engine need it."""
        settings = await self._plain()
        text = settings.get(CLUSTER)
        if text is None and CLUSTER in settings:
            text = await self._secret(CLUSTER)
        try:
            found = json.loads(text or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    async def _of_output(self, source: Mapping[str, str]) -> str:
        try:
            return await outputs.kubeconfig(source)
        except ValueError as error:
            raise ValueError(
                f'{OF_OUTPUT} of the stack {self._stack}: the output "{source["output"]}" of the'
                f" stack {source['stack']} can't be read: {error}; {REMEDY}"
            ) from None

    @contextlib.asynccontextmanager
    async def kubeconfig_file(self) -> AsyncIterator[KubeconfigFile]:
        """Give the kubeconfig by its path, for a while if it is a secret.

        Raises:
            ValueError: as `kubeconfig`.
        """
        found = await self.kubeconfig()
        if found.path:
            yield KubeconfigFile(path=found.path)
            return
        with private_file((found.content or "").encode()) as path:

            async def renew() -> str:
                content = await self._content()
                rewrite(path, content.encode())
                return content

            yield KubeconfigFile(path=path, renew=renew)

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
            given = {} if settings.get(POOLS) else await self._of_program()
            # A value that holds a secret is missing among those that are none.
            text = settings.get(POOLS) or (None if given else await self._secret(POOLS))
            pools = json.loads(text) if text else given.get(POOLS) or {}
            entries = [entry for each in pools.values() for entry in await self._nodes(each)]
            force = any(e.get("name") == node and e.get("force") is True for e in entries)
            taken = frozenset(
                str(e["address"])
                for e in entries
                if e.get("name") != node and not e.get("force") and "address" in e
            )
            # In the stack of a program that gives its settings, this key is the program's own.
            of_stack = given.get(DRAIN) if given else json.loads(settings.get(DRAIN) or "{}")
            of_pool = (pools.get(pool) or {}).get("drain") or {}
            approver = given or json.loads(settings.get(settings_file.APPROVER) or "{}")
            namespace = str(approver.get(settings_file.NAMESPACE) or DEFAULT_NAMESPACE)
        except (ValueError, AttributeError, TypeError):
            return Leaving()
        try:
            drain = read_drain(of_stack or {}, of_pool)
        except ValueError as error:
            raise ValueError(f"settings of the stack {self._stack}: {error}; {REMEDY}") from None
        turns = turns_to_drain(self._stack, pool, drain.parallel)
        return Leaving(force=force, taken=taken, drain=drain, namespace=namespace, turns=turns)

    async def _of_program(self) -> Mapping[str, Any]:
        """Return what a program has exported that gives its settings itself; {}: nothing."""
        status, text, _ = await self._ask("stack", "output", program_settings.OUTPUT, "--json")
        return program_settings.newest(program.document(text) if status == 0 else None, self._stack)

    async def _nodes(self, pool: Mapping[str, Any]) -> list[Any]:
        """Return the entries of a pool's nodes; those of another stack if that can be read."""
        entries, source = [*(pool.get("nodes") or ())], pool.get("nodesFrom")
        if source:
            # What can't be read says nothing, and takes nothing of the rest with it.
            with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
                found = await outputs.output(source)
                if isinstance(found, dict):
                    found = [{"name": name, **entry} for name, entry in found.items()]
                entries += [entry for entry in found if isinstance(entry, dict)]
        return entries

    async def _plain(self) -> Mapping[str, str | None]:
        """Return them by their keys without the project's name; None: it is or holds a secret."""
        if self._read is None:
            self._read = settings_file.read(self._stack, Path(), os.environ)
        if self._read is None:
            self._read = await self._plain_by_pulumi()
        return self._read

    async def _plain_by_pulumi(self) -> dict[str, str | None]:
        status, text, errors = await self._ask("config", "--json")
        unread = f"the settings of the stack {self._stack or 'selected'} can't be read:"
        if status:
            why = program.last_error(errors)
            raise ValueError(f"{unread} {why}{outputs.remedy(why)}")
        found = program.document(text)
        if not (isinstance(found, dict) and all(isinstance(each, dict) for each in found.values())):
            raise ValueError(f"{unread} pulumi config --json printed something else")
        return {key.rpartition(":")[2]: entry.get("value") for key, entry in found.items()}

    async def _secret(self, key: str) -> str | None:
        status, value, errors = await self._ask("config", "get", key)
        if status == 0:
            return value
        why = program.last_error(errors)
        if why.startswith("configuration key") and "not found" in why:
            return None
        raise ValueError(f"the key {key} of the stack {self._stack} can't be read: {why}")

    async def _ask(self, *words: str) -> tuple[int, str, str]:
        return await outputs.ask(*words, *(["--stack", self._stack] if self._stack else []))
