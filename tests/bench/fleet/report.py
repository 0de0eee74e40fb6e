"""The benchmark's table."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from tests.bench.fleet.meter import ROLES, Measured, Usage
from tests.bench.fleet.stack import State

MEGABYTE = 1e6
HEAD = (
    *("step", "nodes", "wall s", *ROLES),
    *("written MB", "SSH connections a node", "resources", "state bytes a node"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step, and what it took."""

    step: str
    changed: int
    """How many nodes it joins, changes or removes."""
    nodes: int
    """How many nodes the stack has after it."""
    measured: Measured
    connections: int
    state: State


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table; of each role the CPU seconds and the peak in MB."""
    yield _line(HEAD)
    yield _line("---" for _ in HEAD)
    for row in rows:
        measured = row.measured
        yield _line(
            (
                row.step,
                str(row.changed),
                f"{measured.wall_s:.1f}",
                *(_cell(measured.usage.get(role, Usage())) for role in ROLES),
                f"{measured.written_bytes / MEGABYTE:.1f}",
                f"{row.connections / (row.changed or 1):.1f}",
                str(row.state.resources),
                f"{row.state.size_bytes / row.nodes:.0f}" if row.nodes else "",
            )
        )


def _cell(usage: Usage) -> str:
    if not usage.peak_bytes:
        return ""
    return f"{usage.cpu_s:.1f} s, {usage.peak_bytes / MEGABYTE:.0f} MB"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def document(rows: Iterable[Row]) -> str:
    """Return the rows as JSON, a step a line."""
    return "".join(f"{json.dumps(asdict(row))}\n" for row in rows)
