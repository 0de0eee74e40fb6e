"""What the stack's state holds before this run: its outputs, and what each machine has by it.

The outputs say what the last run knew; a run that failed, was interrupted, or had a --target may
have written another thing than it knew. The state says what was written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components import commands
from components.former_tokens import POOL_LABEL, ROUND_LABEL, FormerTokens
from credentials.private_key import fingerprint
from node_files.bundle_text import values

# A function of the engine itself, which the SDK for Python has no name for.
READ = "pulumi:pulumi:readStackResourceOutputs"
STACK = "pulumi:pulumi:Stack"
# The output of a program that is not this project's own; it has what that has as several.
OUTPUT = "kubeletTlsBootstrap"
POOL = "kubelet-tls-bootstrap:index:NodePool"
TOKEN = re.compile(rf"{POOL}\$kubernetes:core/v1:Secret::(.+-token)\Z")
SEED = re.compile(rf"{POOL}\$random:index/randomPassword:RandomPassword::(.+-token-seed)\Z")
# Today's roles and bindings of all nodes are patches of what may be there already.
INVENTORY = re.compile(rf"{POOL}\$kubernetes:core/v1:ConfigMap::")
SHARED = re.compile(
    r"(?:BootstrapRbac|ServingApprover)\$kubernetes:rbac\.authorization\.k8s\.io/v1:"
    r"ClusterRole(?:Binding)?(?:Patch)?::"
    rf"|{INVENTORY.pattern}"
)
OF_POOL = re.compile(r" --pool ([a-z0-9-]+)(?: |$)")
# Of earlier releases, in which each node had a component of its own, and a command for its join.
NODE = "kubelet-tls-bootstrap:index:Node"


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a node: where its removal connects to, and what is known of its machine."""

    urn: str
    address: str
    """The Node's address when they were written."""
    key: str | None = None
    """The fingerprint of the SSH key; None: the agent's."""
    known: str = ""
    """What was last installed, as `node_files.known` says it."""
    printed: str = ""
    """What that has printed."""

    @property
    def stack(self) -> str | None:
        """The stack's name when they were first written, which the machine knows it by.

        None: by an earlier release. A name that the stack gets later changes nothing on a machine.
        """
        return values(self.known.split("\n")).get("stack")


@dataclass(frozen=True, kw_only=True)
class State:
    """What a stack has; nothing if it never ran."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the last run has exported."""
    files: Mapping[str, Files] = field(default_factory=dict)
    """By the names of the nodes."""
    joins: Mapping[str, str] = field(default_factory=dict)
    """By the names of the nodes: what each join is named by."""
    pools: Mapping[str, str] = field(default_factory=dict)
    """By the names of the nodes: the pools that they were in, as the command says by which each
    leaves; that of earlier releases does not."""
    members: Mapping[str, str] = field(default_factory=dict)
    """The URNs of what joins and leaves, by the names of the nodes that have not begun to leave.

    The first step of that is that their Node is deleted.
    """

    tokens: FormerTokens = field(default_factory=FormerTokens)
    """The bootstrap tokens of all pools."""
    in_cluster: Mapping[str, str] = field(default_factory=dict)
    """What roles, bindings and inventories are called in the cluster, with their namespaces, by
    their names in the stack."""
    inventories: Sequence[str] = ()
    """What the inventories say."""

    @classmethod
    def of(cls, resources: Mapping[str, Any]) -> "State":
        """Return what the engine's answer tells: a type and outputs by URN."""
        stacks = (found for found in resources.values() if found["type"] == STACK)
        files = _commands(resources, commands.ON_HOST, "files")
        joins = _commands(resources, commands.ON_HOST, "join")
        members = _commands(resources, commands.ON_THIS_MACHINE, "member")
        # Today's are named by their members, those of earlier releases by a command of their own.
        named = {name: _named(found) for name, (_, found) in joins.items()}
        named |= {
            name: found["stdin"].removeprefix("join ")
            for name, (_, found) in members.items()
            if found.get("stdin")
        }
        return cls(
            outputs=next((_of_program(found["outputs"]) for found in stacks), {}),
            files={name: _files(urn, found) for name, (urn, found) in files.items()},
            joins=named,
            pools={
                name: told[1]
                for name, (_, found) in members.items()
                if (told := OF_POOL.search(found.get("delete") or ""))
            },
            members={name: urn for name, (urn, _) in members.items()},
            in_cluster={
                urn.rpartition("::")[2]: _in_cluster(resource["outputs"])
                for urn, resource in resources.items()
                if SHARED.search(urn)
            },
            inventories=tuple(
                text
                for urn, resource in resources.items()
                if INVENTORY.search(urn)
                for text in (resource["outputs"].get("data") or {}).values()
            ),
            tokens=FormerTokens(
                made={
                    told[1]: _made(resource["outputs"])
                    for urn, resource in resources.items()
                    if (told := TOKEN.search(urn))
                },
                seeds={
                    told[1]: dict(resource["outputs"]["keepers"])
                    for urn, resource in resources.items()
                    if (told := SEED.search(urn))
                },
            ),
        )


def _of_program(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    found = outputs.get(OUTPUT)
    return found if isinstance(found, dict) else outputs


def is_of_earlier_release(urn: str) -> bool:
    """Return whether a node's resource is where earlier releases have had it."""
    return f"${NODE}$" in urn


def _commands(
    resources: Mapping[str, Any], kind: str, suffix: str
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the commands on nodes, of one kind, by the node: the URN, and the outputs."""
    found = {}
    for urn, resource in resources.items():
        types, _, name = urn.partition("::")[2].partition("::")[2].partition("::")
        parent, _, of = types.rpartition("$")
        if parent.endswith((POOL, NODE)) and of == kind and name.endswith(f"-{suffix}"):
            found[name.removesuffix(f"-{suffix}")] = (urn, resource["outputs"])
    return found


def _files(urn: str, found: Mapping[str, Any]) -> Files:
    connection = found["connection"]
    key, known = connection.get("privateKey"), str(found.get("stdin") or "")
    # Where SSH leads is another place if the settings say so (`sshAddress`).
    addresses = values(known.split("\n")).get("addresses", "").split()
    return Files(
        urn=urn,
        address=addresses[0] if addresses else connection["host"],
        key=fingerprint(key) if key else None,
        known=known,
        printed=str(found.get("stdout") or ""),
    )


def _in_cluster(found: Mapping[str, Any]) -> str:
    metadata = found["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _made(found: Mapping[str, Any]) -> tuple[str, str]:
    labels = found["metadata"].get("labels") or {}
    return labels.get(POOL_LABEL, ""), labels.get(ROUND_LABEL, "")


def _named(found: Mapping[str, Any]) -> str:
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
