"""Who has joined according to a pool's gate, and who has not and why, even when it fails.

A command that fails leaves no outputs. So a gate that ends without all of its nodes writes the same
document into a file, which the program reads.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.dependencies import plain

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
        members: Sequence[Mapping[str, Any]],
        joins: pulumi.Output[dict[str, bool]],
    ) -> pulumi.Output[Any]:
        """Return `nodes` and `pending` of the pool.

        If the gate has failed without a report, they are made from the members' entries and from
        which of their joins have succeeded, by name. They depend on the joins and not on the gate:
        the engine may replace what has an input from a resource that is deleted before it is
        replaced.
        """
        return joins.apply(
            lambda joined: plain(stdout.apply(self._read)).recover(
                lambda _: self._of_failure(members, joined)
            )
        )

    def _read(self, text: str) -> dict[str, Any]:
        document = json.loads(text)
        pending = document.get("pending", [])  # which earlier releases did not print
        return {
            "nodes": document["nodes"],
            "pending": [{**entry, "pool": self.pool} for entry in pending],
        }

    def _of_failure(
        self, members: Sequence[Mapping[str, Any]], joined: Mapping[str, bool]
    ) -> dict[str, Any]:
        try:
            return self._read(self.path.read_text())
        except (OSError, ValueError, KeyError):
            # It failed before it looked at a node, or it did not run.
            ordered = sorted(members, key=lambda entry: str(entry["name"]))
            return {
                "nodes": [dict(entry) for entry in ordered if joined[entry["name"]]],
                "pending": [
                    {"name": entry["name"], "reason": NO_REPORT, "pool": self.pool}
                    for entry in ordered
                    if not joined[entry["name"]]
                ],
            }
