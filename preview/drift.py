"""Compares the files of nodes with what is on their hosts: `python -m node_files diff`."""

from collections.abc import Callable
from dataclasses import dataclass

from components import credentials
from components.problems import Problem, SettingsError
from node_files.drift import LOOK, differences, look_bundle, read_facts
from preview.hosts import access, ask
from preview.stack import Stack, StackNode


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What differs on a host, or else why that can't be told; both empty where nothing does."""

    node: str
    differences: str = ""
    trouble: str = ""


async def drift(stack: Stack, nodes: list[StackNode], *, parallel: int) -> list[Drift]:
    """Return for each node what differs on its host.

    Raises:
        SettingsError: the CA or a host's key is not known; the message lists each one.
        ValueError: the SSH key can't be read.
    """
    problems: list[Problem] = [] if stack.knows_ca else list(stack.lacking)
    bastion_keys: dict[str, str] = {}
    host_keys = credentials.pinned_keys(stack.settings, problems, bastion_keys)
    if problems:
        raise SettingsError(problems)
    secret_key = "sshPrivateKey" in stack.secret_keys
    own = {host.name: ssh for _, host, ssh in stack.settings.hosts()}
    async with access(
        stack.settings.ssh,
        host_keys,
        stack.name,
        secret_key=secret_key,
        own=own,
        bastion_keys=bastion_keys,
    ) as way:
        hosts = [(entry.settings, look_bundle(stack.cluster, entry.node)) for entry in nodes]
        answers = await ask(way, hosts, LOOK, parallel=parallel)
    found = []
    for entry, answer in zip(nodes, answers, strict=True):
        name = entry.node.name
        if answer.trouble:
            found.append(Drift(node=name, trouble=answer.trouble))
            continue
        try:
            told = differences(stack.cluster, entry.node, read_facts(answer.output))
        except ValueError as error:
            found.append(Drift(node=name, trouble=str(error)))
        else:
            found.append(Drift(node=name, differences=told))
    return found


def tell(found: list[Drift], say: Callable[[str], None]) -> int:
    """Print what differs and say what is in the way; return the exit status, as of diff(1)."""
    for entry in found:
        print(entry.differences, end="")
        if entry.trouble:
            say(f"{entry.node}: {entry.trouble}")
    different = sum(bool(entry.differences) for entry in found)
    trouble = sum(bool(entry.trouble) for entry in found)
    if different:
        say(
            f"{different} of {len(found)} nodes differ; what was changed by hand is written again"
            " by pulumi up after the setting repair is raised"
        )
    return 2 if trouble else 1 if different else 0
