"""Compares the files of nodes with those on their hosts: what `./ktb diff` prints."""

from collections.abc import Callable
from dataclasses import dataclass

from credentials.host_key import pin_keys
from node_files.drift import LOOK, differences, look_bundle, read_facts
from settings.parsing import PRIVATE_KEY
from settings.problem import Problem, SettingsError
from ssh.open_ssh import ask, open_ssh
from ssh.run import Answer
from stack.file import StackFile, StackNode

LONGEST_LINE = 4000


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What differs on a host, or why it cannot be compared; both are empty if nothing differs."""

    node: str
    differences: str = ""
    problem: str = ""


async def drift(stack: StackFile, nodes: list[StackNode], *, parallel: int) -> list[Drift]:
    """Return for each node what differs on its host.

    Raises:
        SettingsError: the CA or a host's key is not known; the message lists each one.
        ValueError: the SSH key can't be read.
    """
    problems: list[Problem] = [] if stack.knows_ca else list(stack.unknown)
    keys = pin_keys(stack.settings.machines(), stack.settings.ssh_layers(), problems)
    if problems:
        raise SettingsError([stack.origins.told(problem) for problem in problems])
    secret_key_of = stack.name if PRIVATE_KEY in stack.secret_keys else None
    machines = [entry.machine for entry in nodes]
    ssh = await open_ssh(keys, machines, secret_key_of=secret_key_of)
    hosts = [(entry.machine, look_bundle(stack.cluster, entry.node)) for entry in nodes]
    answers = await ask(ssh, hosts, LOOK, parallel=parallel)
    return [_compare(stack, entry, answer) for entry, answer in zip(nodes, answers, strict=True)]


def _compare(stack: StackFile, entry: StackNode, answer: Answer) -> Drift:
    name = entry.node.name
    if answer.problem:
        return Drift(node=name, problem=answer.problem)
    try:
        found = differences(stack.cluster, entry.node, read_facts(answer.output))
    except ValueError as error:
        return Drift(node=name, problem=str(error))
    return Drift(node=name, differences=found)


def tell(found: list[Drift], say: Callable[[str], None]) -> int:
    """Print what differs, say which hosts have a problem; return the exit status of diff(1)."""
    for entry in found:
        for line in entry.differences.split("\n")[:-1]:
            print(_shown(line))
        if entry.problem:
            say(_shown(f"{entry.node}: {entry.problem}"))
    different = sum(bool(entry.differences) for entry in found)
    if different:
        verb = "differs" if different == 1 else "differ"
        say(
            f"{different} of {len(found)} nodes {verb}; to restore files that were changed by hand,"
            " raise the setting repair and run pulumi up"
        )
    if any(entry.problem for entry in found):
        return 2
    return 1 if different else 0


def _shown(line: str) -> str:
    """Return a line that a terminal shows and does not obey, and not too long."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in line[:LONGEST_LINE]
    )
    return f"{shown} ..." if len(line) > LONGEST_LINE else shown
