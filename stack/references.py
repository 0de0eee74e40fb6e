"""Machines from the outputs of other stacks, as plain values before the first resource.

They take their place behind the pool's own `nodes`, so everything that follows treats them alike.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from settings import parsing
from settings.model import NodesFrom, Settings
from settings.problem import Problem, SettingsError

NODE_PATH = re.compile(r"\bpools\.([a-z0-9-]+)\.nodes\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class Found:
    """The nodes of one output, and how each is named in it."""

    source: NodesFrom
    nodes: list[Any]
    places: list[str]
    first: int
    """The index of the first of them among the nodes of its pool."""


@dataclass(frozen=True)
class Origins:
    """Where the nodes come from that the settings don't list, by their pools."""

    pools: Mapping[str, Found]

    def told(self, problem: Problem) -> Problem:
        """Return a problem that names each node by its place in the other stack's output."""
        sources: dict[str, None] = {}

        def place(match: re.Match[str]) -> str:
            pool, index = match[1], int(match[2])
            found = self.pools.get(pool)
            if found is None or index < found.first:
                return match[0]
            source = found.source
            sources[f'the output "{source.output}" of the stack {source.stack}'] = None
            return f"pools.{pool}.nodesFrom{found.places[index - found.first]}"

        path = NODE_PATH.sub(place, problem.path)
        message = NODE_PATH.sub(place, problem.message)
        if sources:
            message += f" (in {' and '.join(sources)})"
        return Problem(path, message, problem.sentence)

    def warning(self, text: str) -> str:
        """Return a warning that names them so."""
        return self.told(Problem("", text)).message


NOWHERE = Origins({})


def in_settings(settings: Settings) -> Iterator[tuple[str, str, NodesFrom]]:
    """Yield each pool that takes nodes from another stack, with the path of that setting."""
    for name, pool in settings.pools.items():
        if pool.nodes_from is not None:
            yield name, f"pools.{name}.nodesFrom", pool.nodes_from


def is_secret(source: NodesFrom, path: str) -> Problem:
    """Return what is wrong with an output that is a secret."""
    return Problem(
        f"{path}.output",
        f'"{source.output}" of the stack {source.stack} is a secret, and previews show nodes;'
        " export it without what is secret in it",
    )


async def read(settings: Settings, own_name: str) -> dict[str, Any]:
    """Return the outputs that the settings name, by pool.

    A stack that the backend does not know, or that may not be read, ends the run with an error of
    the engine's, which names the path of the setting and that stack.

    Raises:
        SettingsError: an output is missing, or secret, or this stack's own; lists all of them.
    """
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for pool, path, source in in_settings(settings):
        if source.stack == own_name:
            problems.append(
                Problem(f"{path}.stack", f'"{source.stack}" is this stack itself; name another one')
            )
            continue
        # Named by its path, since the engine's own errors quote the name.
        reference = pulumi.StackReference(path, stack_name=source.stack)
        details = await reference.get_output_details(source.output)
        if details.secret_value is not None:
            problems.append(is_secret(source, path))
        elif details.value is None:
            problems.append(
                Problem(
                    f"{path}.output",
                    f'"{source.output}" is no output of the stack {source.stack}, or not yet; run'
                    " pulumi up there first, or correct the name",
                )
            )
        else:
            found[pool] = details.value
    if problems:
        raise SettingsError(problems)
    return found


def parse(
    raw: Mapping[str, Any], settings: Settings, outputs: Mapping[str, Any]
) -> tuple[Settings, Origins]:
    """Return the settings with the nodes that these outputs hold, and where those come from.

    Raises:
        SettingsError: an output or a node in it is wrong; names each by its place in the output.
    """
    whole, origins = with_nodes(raw, settings, outputs)
    try:
        return parsing.parse(whole), origins
    except SettingsError as error:
        raise SettingsError([origins.told(problem) for problem in error.problems]) from None


def with_nodes(
    raw: Mapping[str, Any], settings: Settings, outputs: Mapping[str, Any]
) -> tuple[dict[str, Any], Origins]:
    """Return the plain keys with the nodes that these outputs hold, and where those come from.

    Raises:
        SettingsError: an output is neither a list of nodes nor a map of them by name.
    """
    pools = {name: dict(pool) for name, pool in raw["pools"].items()}
    found: dict[str, Found] = {}
    problems: list[Problem] = []
    for name, path, source in in_settings(settings):
        own = list(pools[name].get("nodes") or ())
        entries = _entries(_whole(outputs[name]))
        if entries is None:
            problems.append(
                Problem(
                    f"{path}.output",
                    f'"{source.output}" of the stack {source.stack} is no list of nodes and no map'
                    " from names to nodes; export one",
                )
            )
            continue
        found[name] = Found(
            source=source,
            nodes=[node for _, node in entries],
            places=[place for place, _ in entries],
            first=len(own),
        )
        pools[name]["nodes"] = [*own, *found[name].nodes]
    if problems:
        raise SettingsError(problems)
    return {**raw, "pools": pools}, Origins(found)


def _entries(value: Any) -> list[tuple[str, Any]] | None:
    """Return each node with its place in an output."""
    if isinstance(value, list):
        return [(f"[{index}]", node) for index, node in enumerate(value)]
    if isinstance(value, Mapping):
        return [(f'["{name}"]', _named(name, node)) for name, node in sorted(value.items())]
    return None


def _named(name: str, node: Any) -> Any:
    return {"name": name, **node} if isinstance(node, Mapping) else node


def _whole(value: Any) -> Any:
    """Return a value with whole numbers as such: the engine has one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
