"""Nodes from another stack's output, with the real engine: what is told and what is taken."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.engine import PROJECT, STACK, Done, Stack
from tests.contract.other_stack import INFRA, OtherStack

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
# As `stack.reading` does it.
PROGRAM = """
import pulumi
from settings import checks, parsing
from settings.problem import SettingsError
from stack import origins, references, state

async def main():
    raw = parsing.plain(pulumi.Config())
    settings = parsing.parse(raw)
    taken = origins.parse(raw, settings, await references.read(settings, state.full_name()))
    settings = taken.settings
    if problems := list(checks.problems(settings)):
        raise SettingsError([taken.origins.told(problem) for problem in problems])
    pulumi.export("nodes", {
        name: [[node.name, node.address, node.generation] for node in pool.nodes]
        for name, pool in settings.pools.items()
    })
    pulumi.export("kubelet", {
        node.name: node.kubelet for pool in settings.pools.values() for node in pool.nodes
    })

pulumi.run(main)
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path)
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    return stack


def machines(stack: Stack, **outputs: Any) -> None:
    """Let another project's stack export these."""
    OtherStack(stack.directory).export(outputs, {"hidden": []})


def up(stack: Stack, command: str = "up", color: str = "never", **pools: Any) -> Done:
    path = stack.project / f"Pulumi.{STACK}.yaml"
    settings = yaml.safe_load(path.read_text()) if path.exists() else {}
    settings["config"] = {f"{PROJECT}:pools": pools}
    path.write_text(yaml.safe_dump(settings))
    options = ("--yes", "--skip-preview") if command == "up" else ()
    options = (*options, f"--color={color}", "--stack", STACK)
    return stack.run(command, *options, PYTHONPATH=str(ROOT))


def from_infra(output: str = "workers", **others: Any) -> dict[str, Any]:
    return {"nodesFrom": {"stack": INFRA, "output": output}, **others}


N1 = {"name": "n1", "address": "10.0.0.1", "generation": 2, "kubelet": {"maxPods": 50}}
N2 = {"name": "n2", "address": "10.0.0.2"}


@pytest.mark.parametrize("output", [[N1, N2], {"n2": {"address": "10.0.0.2"}, "n1": N1}])
def test_they_stand_behind_the_pools_own(stack: Stack, output: Any) -> None:
    machines(stack, workers=output)
    own = {"name": "n3", "address": "10.0.0.3"}
    assert up(stack, "preview", workers=from_infra(nodes=[own])).status == 0
    done = up(stack, workers=from_infra(nodes=[own]))
    assert done.status == 0, done.said
    found = stack.outputs()
    assert found["nodes"] == {
        "workers": [["n3", "10.0.0.3", 1], ["n1", "10.0.0.1", 2], ["n2", "10.0.0.2", 1]]
    }
    assert found["kubelet"]["n1"] == {"maxPods": 50}
    # A whole number is one in what is rendered too.
    assert '"maxPods": 50\n' in stack.run("stack", "output", "--json", "--stack", STACK).said


def test_another_machine_there_is_one_here(stack: Stack) -> None:
    machines(stack, workers=[N1])
    assert up(stack, workers=from_infra()).status == 0
    machines(stack, workers=[N1, N2])
    assert up(stack, workers=from_infra()).status == 0
    assert [node[0] for node in stack.outputs()["nodes"]["workers"]] == ["n1", "n2"]


def test_what_is_wrong_there_is_told_with_its_place_in_the_other_stack(stack: Stack) -> None:
    machines(stack, workers=[N1, {**N2, "address": "10.0.0.300"}], more={"n1": {**N1, "typo": 1}})
    done = up(stack, workers=from_infra(), others=from_infra("more"))
    assert done.status != 0
    assert "2 problems in the settings; nothing was changed" in done.said
    where = '(in the output "{}" of the stack organization/machines/infra)'
    for text in (
        'pools.workers.nodesFrom[1].address "10.0.0.300" is not',
        'pools.others.nodesFrom["n1"].typo is not a known key',
        where.format("workers"),
        where.format("more"),
    ):
        assert text in done.said


def test_names_there_that_are_no_text_for_a_terminal_are_told_as_one(stack: Stack) -> None:
    """The engine ends with a panic at a colour that it does not know."""
    names = {"<{%x%}>": {"address": "10.0.0.1"}, "a\x1b[2J\nb": {"address": "10.0.0.2"}}
    machines(stack, workers=names, more=[{**N1, "\x1b]0;t": 1}])
    done = up(stack, color="always", workers=from_infra(), others=from_infra("more"))
    assert done.status != 0
    assert "panic" not in done.said
    assert 'pools.workers.nodesFrom["< {%x% }>"].name' in done.said
    assert 'pools.workers.nodesFrom["a?[2J?b"].name' in done.said
    assert "pools.others.nodesFrom[0].?]0;t is not a known key" in done.said


def test_a_node_that_is_in_both_is_told_with_both_places(stack: Stack) -> None:
    machines(stack, workers=[N2, N1])
    done = up(stack, workers=from_infra(nodes=[N1]))
    assert done.status != 0
    assert "pools.workers.nodesFrom[1].name" in done.said
    assert "pools.workers.nodes[0]" in done.said


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            {"stack": INFRA, "output": "none"},
            'pools.workers.nodesFrom.output "none" is no output of the stack'
            " organization/machines/infra, or not yet; run pulumi up there first",
        ),
        (
            {"stack": INFRA, "output": "hidden"},
            'pools.workers.nodesFrom.output "hidden" of the stack organization/machines/infra is a'
            " secret",
        ),
        (
            {"stack": INFRA, "output": "text"},
            'pools.workers.nodesFrom.output "text" of the stack organization/machines/infra is no'
            " list of nodes",
        ),
        (
            {"stack": INFRA, "output": "words"},
            "pools.workers.nodesFrom[0] ",
        ),
        (
            {"stack": f"organization/{PROJECT}/{STACK}", "output": "nodes"},
            f'pools.workers.nodesFrom.stack "organization/{PROJECT}/{STACK}" is this stack itself',
        ),
        (
            {"stack": "a b", "output": "nodes"},
            'pools.workers.nodesFrom.stack "a b" is not a stack\'s name',
        ),
        ({"stack": INFRA}, "pools.workers.nodesFrom.output is missing; set it"),
    ],
    ids=[
        *("no such output", "a secret", "a text", "a list of texts", "its own stack"),
        *("no name", "no output"),
    ],
)
def test_what_can_not_be_taken_is_one_clear_error(
    stack: Stack, source: dict[str, str], told: str
) -> None:
    machines(stack, text="n1", words=["n1"])
    done = up(stack, workers={"nodesFrom": source})
    assert done.status != 0
    assert "1 problem in the settings; nothing was changed" in done.said
    assert told in done.said
    assert "Traceback" not in done.said


def test_a_stack_that_does_not_exist_is_named_with_the_setting(stack: Stack) -> None:
    source = {"stack": "organization/machines/gone", "output": "workers"}
    done = up(stack, workers={"nodesFrom": source})
    assert done.status != 0
    assert "pulumi:pulumi:StackReference (pools.workers.nodesFrom)" in done.said
    assert 'unknown stack "organization/machines/gone"' in done.said
    assert "Traceback" not in done.said
