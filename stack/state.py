"""What the stack's state holds before this run: its outputs, and what each machine has by it.

The outputs say what the last run knew; a run that failed, was interrupted, or had a --target may
have written another thing than it knew. The state says what was written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components import commands, joined_node
from credentials.private_key import fingerprint

# A function of the engine itself, which the SDK for Python has no name for.
READ = "pulumi:pulumi:readStackResourceOutputs"
STACK = "pulumi:pulumi:Stack"
COMMANDS = (commands.ON_HOST, commands.ON_THIS_MACHINE)


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a node: what its removal connects to."""

    address: str
    """Where they were written."""
    key: str | None = None
    """The fingerprint of the SSH key; None: the agent's."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a stack has; nothing if it never ran."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the last run has exported."""
    files: Mapping[str, Files] = field(default_factory=dict)
    """By the names of the nodes."""
    joins: Mapping[str, str] = field(default_factory=dict)
    """By the names of the nodes: what each join is named by."""
    members: frozenset[str] = frozenset()
    """The nodes that have not begun to leave, whose first step is that their Node is deleted."""

    @classmethod
    def of(cls, resources: Mapping[str, Any]) -> "State":
        """Return what the engine's answer tells: a type and outputs by URN."""
        stacks = (found for found in resources.values() if found["type"] == STACK)
        return cls(
            outputs=next((found["outputs"] for found in stacks), {}),
            files={name: _files(found) for name, found in _commands(resources, "files")},
            joins={name: _join(found) for name, found in _commands(resources, "join")},
            members=frozenset(name for name, _ in _commands(resources, "member")),
        )


def _commands(resources: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the commands of one kind on nodes: the node, and the command's outputs."""
    for urn, found in resources.items():
        types, _, name = urn.partition("::")[2].partition("::")[2].partition("::")
        parent, _, of = types.rpartition("$")
        if parent.endswith(joined_node.TYPE) and of in COMMANDS and name.endswith(f"-{kind}"):
            yield name.removesuffix(f"-{kind}"), found["outputs"]


def _files(found: Mapping[str, Any]) -> Files:
    connection = found["connection"]
    key = connection.get("privateKey")
    return Files(address=connection["host"], key=fingerprint(key) if key else None)


def _join(found: Mapping[str, Any]) -> str:
    (name,) = found["triggers"]
    # A number comes as what JSON has for all of them.
    return name if isinstance(name, str) else str(int(name))


def full_name() -> str:
    """Return the stack's name with its organization and project, as every backend takes it."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


async def read() -> State:
    """Return the state before this run, in a preview too; call it before the first resource."""
    root = pulumi.runtime.get_root_resource()
    if root is not None:
        await root.urn.future()  # the engine writes that into the state which it is to read now
    answer = await pulumi.runtime.invoke_async(READ, {"stackName": full_name()})
    return State.of(answer["outputs"])
