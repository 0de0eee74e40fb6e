"""Settings with Outputs of resources of the same program, with the real engine."""

import json
import sys
from pathlib import Path

import pytest

from tests.contract.engine import PROJECT, STACK, Done, Stack, pulumi

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]
MANY = 40

PROGRAM = """
import json
from pathlib import Path
import pulumi
from pulumi_command import local
from components.dependencies import after, unless_unknown
from stack import reading
from stack.given import Given

def machine(name):
    fails = "exit 1" if Path(f"{name}-fails").exists() else f"echo 10.0.0.{name[1:]}"
    # One that goes before its node has left is an error.
    return local.Command(f"{name}-vm", create=fails, delete=f"test -e {name}-left")

async def main():
    names = json.loads(Path("names.json").read_text())
    nodes = [{"name": name, "address": machine(name).stdout} for name in names]
    given = Given({"pools": {"workers": {"nodes": nodes}}})
    record = await reading.record()
    plain = await given.plain(record, is_preview=pulumi.runtime.is_dry_run())
    for node in plain.keys["pools"]["workers"]["nodes"]:
        name, maker = node["name"], plain.makers[node["name"]]
        local.Command(
            f"{name}-member",
            stdin=unless_unknown(node["address"], maker.is_done),
            delete=f"sleep 0.3; touch {name}-left",
            opts=pulumi.ResourceOptions(depends_on=after(None, *maker.resources)),
        )
    pulumi.export("known", sorted(record.nodes))
    pulumi.export("kubeletTlsBootstrap", {
        "nodes": {"workers": {node["name"]: {"address": node["address"]}
                  for node in plain.keys["pools"]["workers"]["nodes"]}},
    })

pulumi.run(main)
"""

# A node whose machine is gone by the settings of this run, as `fleet` has it.
LEAVING = """
import os
import sys
from pathlib import Path
import pulumi
from pulumi_command import local
from kubelet_tls_bootstrap import leaving
from settings.parsing import parse
from stack import reading
from stack.state import full_name

async def main():
    gone = Path("gone").exists()
    node = {"name": "n1", "address": "10.0.0.1", "force": gone}
    pools = {"workers": {"nodes": [node], "drain": {"timeoutSeconds": 77 if gone else 60}}}
    settings = parse({"kubeconfigPath": "kubeconfig", "pools": pools})
    leaves = leaving.document(settings, (await reading.record()).run + 1)
    leaving.write(full_name(), leaves)
    pulumi.export("kubeletTlsBootstrap", {"leaving": leaves})
    if not gone:
        local.Command("n1-member", delete=f"{os.environ['ASK']} {full_name()}")

pulumi.run(main)
"""
# What drains a node asks like this.
ASK = """
import asyncio, pathlib, sys
from admission.stack_settings import StackSettings
how = asyncio.run(StackSettings(sys.argv[1]).leaving("n1", pool="workers"))
pathlib.Path("told").write_text(f"{how.force} {how.drain.timeout_s}")
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    return stack


def names(stack: Stack, *found: str) -> None:
    (stack.project / "names.json").write_text(json.dumps(found))


def run(stack: Stack, *command: str) -> Done:
    ask = f"PATH={pulumi().parent}:$PATH {sys.executable} ask.py"
    return stack.run(*command, "--stack", STACK, PYTHONPATH=str(ROOT), ASK=ask)


def up(stack: Stack, *options: str) -> Done:
    return run(stack, "up", "--yes", "--skip-preview", *options)


def inputs(stack: Stack) -> dict[str, dict[str, object]]:
    """The inputs of each resource that a preview shows."""
    done = run(stack, "preview", "--json")
    assert done.status == 0, done.said
    steps = json.loads(done.said[done.said.index("{") : done.said.rindex("}") + 1])["steps"]
    return {
        step["urn"].rpartition("::")[2]: step["newState"].get("inputs", {})
        for step in steps
        if step["op"] == "create"
    }


def test_a_preview_knows_what_is_made_and_not_what_is_to_be(stack: Stack) -> None:
    names(stack, "n1")
    assert "198.18" not in str(inputs(stack)["n1-member"].get("stdin"))
    done = up(stack)
    assert done.status == 0, done.said
    assert stack.outputs()["known"] == []

    names(stack, "n1", "n2")
    shown = inputs(stack)
    assert {"n2-vm", "n2-member"} <= shown.keys()
    assert "n1-member" not in shown
    done = up(stack)
    assert done.status == 0, done.said
    # As the run before has exported it.
    assert stack.outputs()["known"] == ["n1"]


def test_the_state_is_read_while_the_engine_writes_what_is_made(stack: Stack) -> None:
    first = [f"n{number}" for number in range(1, MANY)]
    names(stack, *first)
    done = up(stack, "--parallel", "20")
    assert done.status == 0, done.said
    names(stack, *first, *(f"n{number}" for number in range(MANY, 2 * MANY)))
    done = up(stack, "--parallel", "20")
    assert done.status == 0, done.said
    assert stack.outputs()["known"] == sorted(first)


def test_a_machine_goes_after_its_node(stack: Stack) -> None:
    names(stack, "n1", "n2")
    assert up(stack).status == 0
    names(stack, "n1")
    done = up(stack)
    assert done.status == 0, done.said
    done = run(stack, "destroy", "--yes", "--skip-preview")
    assert done.status == 0, done.said


def test_a_machine_that_is_not_made_ends_the_run_and_nothing_leaves(stack: Stack) -> None:
    names(stack, "n1", "n2")
    assert up(stack).status == 0
    names(stack, "n1", "n3")
    (stack.project / "n3-fails").touch()
    done = up(stack, "--continue-on-error")
    assert done.status != 0
    assert (
        "pools.workers.nodes[1].address is not there, since what it comes from has failed"
        in done.said
    )
    assert "Traceback" not in done.said
    assert not (stack.project / "n2-left").exists()


@pytest.mark.parametrize("option", ["--target", "--exclude"])
def test_a_run_that_leaves_out_a_machine_ends_and_keeps_what_is_known(
    stack: Stack, option: str
) -> None:
    names(stack, "n1")
    assert up(stack).status == 0
    names(stack, "n1", "n2")
    left_out = {"--target": "n1-vm", "--exclude": "n2-vm"}[option]
    kind = f"urn:pulumi:{STACK}::{PROJECT}::command:local:Command"
    done = up(stack, option, f"{kind}::{left_out}")
    assert done.status != 0
    assert "pools.workers.nodes[1].address is not known in this run" in done.said
    assert "Traceback" not in done.said
    assert "198.18" not in done.said
    # What the next run knows.
    own = stack.outputs()["kubeletTlsBootstrap"]
    assert own == {"nodes": {"workers": {"n1": {"address": "10.0.0.1"}}}}
    done = up(stack)
    assert done.status == 0, done.said
    assert stack.outputs()["known"] == ["n1"]


def write_leaving(stack: Stack) -> None:
    stack.write(LEAVING, runtime={"name": "python", "options": {"virtualenv": "venv"}})
    (stack.project / "ask.py").write_text(ASK)


def test_a_node_leaves_by_the_settings_of_the_run_in_which_it_does(stack: Stack) -> None:
    write_leaving(stack)
    assert up(stack).status == 0
    (stack.project / "gone").touch()
    done = up(stack)
    assert done.status == 0, done.said
    assert (stack.project / "told").read_text() == "True 77"
    assert stack.outputs()["kubeletTlsBootstrap"]["leaving"]["run"] == 2


def test_a_destroy_goes_by_the_last_run(stack: Stack) -> None:
    write_leaving(stack)
    assert up(stack).status == 0
    done = run(stack, "destroy", "--yes", "--skip-preview")
    assert done.status == 0, done.said
    assert (stack.project / "told").read_text() == "False 60"
