"""What keeps nodes from being removed that nobody meant to remove.

Too many of a pool at once are an error before anything is touched, unless the settings allow it: a
list that was lost on its way would take a cluster down.

And nothing is removed in a run in which a machine has not joined. With `--continue-on-error` the
engine deletes what has left the settings even after a failure. A machine that is only renamed in
the settings refuses its new name, and must not lose its old one in the same run. The engine deletes
nothing if the program itself ends with an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi

from settings.formats import of_total
from settings.model import Settings
from settings.problem import Problem
from stack import membership
from stack.record import Record

# By default: so many of a pool's nodes, or a part of them if that is more.
FEW, PART = 2, "20%"
ALL = "100%"
MOST_NAMES = 10


def problems(settings: Settings, record: Record) -> Iterator[Problem]:
    """Yield each pool of which more nodes would leave than `maxRemovals` allows.

    Counted are the nodes that have joined, by the state. A node whose machine is gone (`force`) is
    still in the settings, and somebody has written that there.
    """
    stay, pools = membership.names(settings), _pools(settings, record)
    if pools and not settings.pools and settings.max_removals != ALL:
        names = [name for of_pool in pools.values() for name in of_pool]
        yield Problem(
            "pools",
            f"has no pool, but the stack has {_nodes(names)}, which would all leave in this run;"
            f' put the pools back, or set maxRemovals to "{ALL}" if that is meant',
        )
        return
    total = sum(map(len, pools.values()))
    for name, had in pools.items():
        leave = [node for node in had if node not in stay]
        if leave and name:
            yield from _of_pool(name, had, leave, settings)
        elif leave:  # of which pool is not known: by an earlier release
            yield from _too_many("pools", total, leave, settings.max_removals, "of the stack")


def _of_pool(
    name: str, had: Sequence[str], leave: Sequence[str], settings: Settings
) -> Iterator[Problem]:
    pool, limit = settings.pools.get(name), settings.max_removals
    if pool is not None and pool.max_removals is not None:
        limit = pool.max_removals
    where = "of the stack" if pool is None else "of the pool"
    if len(leave) < len(had) or (pool and any(not node.force for node in pool.nodes)):
        yield from _too_many(f"pools.{name}", len(had), leave, limit, where)
    elif limit != ALL:
        yield Problem(
            f"pools.{name}",
            f"{'is missing' if pool is None else 'has no nodes'}, and all that it had would leave"
            f" in this run: {_nodes(leave)}; put them back, or set maxRemovals {where} to"
            f' "{ALL}" if that is meant',
        )


def _too_many(
    path: str, had: int, leave: Sequence[str], limit: int | str | None, where: str
) -> Iterator[Problem]:
    allowed = max(FEW, of_total(PART, had)) if limit is None else of_total(limit, had)
    if len(leave) > allowed:
        yield Problem(
            path,
            f"lacks {_nodes(leave)}, which would leave in this run; it had {had}, and maxRemovals"
            f" allows {allowed} at a time: put them back, remove them in several runs, or set"
            f" maxRemovals {where} to {len(leave)} if that is meant",
        )


def _pools(settings: Settings, record: Record) -> dict[str | None, list[str]]:
    """Return the nodes that the stack has by the pools that they were in."""
    today = {node.name: name for name, pool in settings.pools.items() for node in pool.nodes}
    found: dict[str | None, list[str]] = {}
    for name in sorted(record.members):
        known = record.nodes.get(name)
        if known is None or not known.gone:
            pool = (known.pool if known else None) or today.get(name)
            found.setdefault(pool, []).append(name)
    return found


def _nodes(names: Sequence[str]) -> str:
    """Return a number of nodes with their names, only some of many."""
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} node{'' if len(names) == 1 else 's'} ({listed})"


async def only_if_nothing_has_failed(
    pending: pulumi.Output[Sequence[Mapping[str, Any]]], unfinished: pulumi.Output[Sequence[str]]
) -> None:
    """End the program with an error if a node has not joined, after all resources and outputs.

    Likewise if something of a node has failed (`unfinished`): what the engine then leaves out may
    still need, in the state, what it would remove.

    It is the last thing that the program awaits: the outputs are kept in spite of the error.

    Raises:
        RunError: a node has not joined, or something of it has failed; the message names each one.
    """
    # In a preview of a change it is unknown, and then no node.
    if entries := await pending.future():
        names = sorted(str(entry["name"]) for entry in entries)
        have = "have" if len(names) > 1 else "has"
        raise pulumi.RunError(
            f"{', '.join(names)} {have} not joined, for the reasons above. This run removes"
            " nothing; the next pulumi up in which all nodes join will. To continue without a"
            " machine, remove it from the settings"
        )
    if failed := await unfinished.future():
        raise pulumi.RunError(
            f"{', '.join(sorted(failed))} failed, for the reasons above. This run removes"
            " nothing; the next pulumi up in which nothing fails will"
        )
