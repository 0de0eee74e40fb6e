"""Who has joined according to a pool's gate, and who has not and why, even when it fails.

A command that fails leaves no outputs. So a gate that ends without all of its nodes writes the same
document into a file, which the program reads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.dependencies import plain
from components.node_outputs import with_report

DIRECTORY = ".pulumi-gate"
NO_REPORT = "the gate has not reported; its error, or that of what it waits for, says why"


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """The report of a pool's gate, in a file in the project's directory."""

    stack: str
    pool: str

    @property
    def path(self) -> Path:
        """Where it is, from the project's directory, in which commands run as well."""
        return Path(DIRECTORY, self.stack, f"{self.pool}.json")

    def remove(self) -> None:
        """Remove what an earlier run has left, which says nothing about this one."""
        if not pulumi.runtime.is_dry_run():
            self.path.unlink(missing_ok=True)

    def outcome(
        self,
        stdout: pulumi.Output[str],
        members: pulumi.Output[dict[str, Any]],
        joins: pulumi.Output[dict[str, bool]],
    ) -> pulumi.Output[Any]:
        """Return `nodes` and `pending` of the pool.

        `members` has the nodes' entries by their names, as far as they are known without the gate.
        If that has failed without a report, nothing more is known, and the entries are those of
        whose joins have succeeded. It depends on the joins and not on the gate: the engine may
        replace what has an input from a resource that is deleted before it is replaced.
        """
        return pulumi.Output.all(members=members, joins=joins).apply(
            lambda known: plain(
                stdout.apply(lambda text: self._read(text, known["members"]))
            ).recover(lambda _: self._of_failure(known["members"], known["joins"]))
        )

    def _read(self, text: str, members: Mapping[str, Any]) -> dict[str, Any]:
        document = json.loads(text)
        pending = document.get("pending", [])  # which earlier releases did not print
        return {
            "nodes": {
                told["name"]: with_report(members[told["name"]], told)
                for told in document["nodes"]
                if told["name"] in members
            },
            "pending": [{**late, "pool": self.pool} for late in pending],
        }

    def _of_failure(self, members: Mapping[str, Any], joined: Mapping[str, bool]) -> dict[str, Any]:
        try:
            return self._read(self.path.read_text(), members)
        except (OSError, ValueError, KeyError):
            # It failed before it looked at a node, or it did not run.
            names = sorted(members)
            return {
                "nodes": {name: with_report(members[name], {}) for name in names if joined[name]},
                "pending": [
                    {"name": name, "reason": NO_REPORT, "pool": self.pool}
                    for name in names
                    if not joined[name]
                ],
            }
