"""A change of a fleet in which one node fails: how many changed at once, and who was let alone."""

from dataclasses import asdict
from typing import Any, Protocol

from tests.bench.fleet.machines import Machines
from tests.bench.fleet.stack import MAX_PODS, Stack

UP = ("up", "--yes", "--skip-preview", "--continue-on-error")
ROLLOUT = {"canary": 1, "maxUnavailable": 3}
BROKEN = 2  # of the nodes in their order: in the wave after the canary


class Fleet(Protocol):
    """The machines, and the stack that joins them."""

    machines: Machines
    stack: Stack


def run(fleet: Fleet, nodes: int) -> dict[str, Any]:
    """Join nodes, change them so that one fails, then all of them; return what was counted.

    For each run: pulumi's exit status, and what the machines were asked for in it.
    """
    found = {}
    steps = {
        "join": {},
        "one fails": {"max_pods": MAX_PODS + 1, "broken": BROKEN},
        "all change": {"max_pods": MAX_PODS + 1},
    }
    before: dict[str, int] = {}
    for name, changes in steps.items():
        fleet.stack.write_settings(nodes, rollout=ROLLOUT, **changes)  # type: ignore[arg-type]
        status = fleet.stack.start(*UP).wait()
        counted = asdict(fleet.machines.counts())
        runs = {kind: n - before.get(kind, 0) for kind, n in counted["commands"].items()}
        before = counted["commands"]
        found[name] = {"status": status, "runs": runs, "most_at_once": counted["most_at_once"]}
    found["said"] = fleet.stack.log.read_text(errors="replace")  # type: ignore[assignment]
    return found
