"""What the stack's last run has recorded of its nodes: the stack's own outputs.

`membership` says what follows from it for the next run, `changes` what is to be told of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

NODES = "nodes"
RECORD = "record"


@dataclass(frozen=True, kw_only=True)
class RecordedNode:
    """A node as the last run has left it."""

    address: str
    join: str | None = None
    """What its join was named by; None: by a release that did not record it."""
    labels: Mapping[str, str] | None = None
    """Those of its settings; None: not recorded."""
    taints: tuple[str, ...] | None = None
    """Those of its settings; None: not recorded."""
    key: str | None = None
    """The fingerprint of the SSH key; None: the agent's, or not recorded."""
    written: bool = True
    """Whether the stack had its files."""
    gone: bool = False
    """Whether its machine was gone by the settings."""
    left: bool = False
    """Whether it had left the settings. Nobody knows whether its removal has succeeded."""
    joined: Mapping[str, Any] | None = None
    """Its entry in the output `nodes`; None: it had not joined."""

    @property
    def has_joined(self) -> bool:
        """Whether it is known to have joined by the very join that its settings named."""
        return (
            self.joined is not None
            and self.join is not None
            and (self.joined.get("join") == self.join)
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the last run knew; nothing for a stack that never ran."""

    nodes: Mapping[str, RecordedNode] = field(default_factory=dict)
    """By their names."""
    settled: bool = True
    """Whether all nodes of the settings had joined, so that the run went on to its removals."""
    ttl_minutes: int | None = None
    """The setting `token.ttlMinutes`; None: not recorded."""

    @classmethod
    def of(cls, outputs: Mapping[str, Any]) -> "Record":
        """Return what a stack's outputs record, those of earlier releases too."""
        listed, record = outputs.get(NODES), outputs.get(RECORD)
        record = record if isinstance(record, dict) else {}
        members = record.get("nodes")
        joined = {
            entry["name"]: entry
            for entry in (listed if isinstance(listed, list) else ())
            if isinstance(entry, dict) and isinstance(entry.get("name"), str) and "address" in entry
        }
        found = {
            name: RecordedNode(address=str(entry["address"]), joined=entry)
            for name, entry in joined.items()
        }
        for name, entry in (members if isinstance(members, dict) else {}).items():
            if isinstance(entry, dict) and "address" in entry:
                found[name] = RecordedNode(
                    address=str(entry["address"]),
                    join=entry.get("join"),
                    labels=entry.get("labels"),
                    taints=tuple(entry["taints"]) if "taints" in entry else None,
                    key=entry.get("key"),
                    written=entry.get("written", True),
                    gone=entry.get("gone", False),
                    left=entry.get("left", False),
                    joined=joined.get(name),
                )
        ttl = record.get("ttlMinutes")
        return cls(
            nodes=found,
            settled=all(node.has_joined or node.gone or node.left for node in found.values()),
            ttl_minutes=ttl if ttl is None else int(ttl),
        )


def full_name() -> str:
    """Return the stack's name with its organization and project, as every backend takes it."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


async def read() -> Record:
    """Return what the last run of this stack has recorded.

    The engine answers with the state before this run, in a preview too.
    """
    root = pulumi.runtime.get_root_resource()
    if root is not None:
        await root.urn.future()  # the engine writes that into the state which it is to read now
    reference = pulumi.StackReference("record", full_name())
    names = (NODES, RECORD)
    return Record.of({name: (await reference.get_output_details(name)).value for name in names})
