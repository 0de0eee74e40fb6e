"""What a program reads of its stack's state, with the real engine, whatever earlier runs have done.

The program has the components and commands of nodes, on machines that are SSH servers here.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import ssh_server
from tests.contract.engine import STACK, Done, Stack
from tests.contract.ssh_server import SshServer

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]

PROGRAM = """
import json
from pathlib import Path
import pulumi
from pulumi_command import local, remote
from components import commands
from components.access import Access, SshServer
from components.dependencies import after, succeeded
from stack import removals, state

async def main():
    found = await state.read()
    known = {name: [files.address, files.key] for name, files in found.files.items()}
    told = {
        "files": known,
        "joins": dict(found.joins),
        "members": sorted(found.members),
        "outputs": dict(found.outputs),
    }
    Path("told.json").write_text(json.dumps(told))
    pool = pulumi.ComponentResource(state.POOL, "workers")
    ends = {}
    for name, node in json.loads(Path("nodes.json").read_text()).items():
        make = earlier if node["earlier"] else today
        ends[name] = succeeded(make(name, node, pool, found))
    pulumi.export("seen", sorted(known))
    failed = pulumi.Output.all(*ends.values()).apply(
        lambda ended: [name for name, well in zip(ends, ended) if not well]
    )
    await removals.only_if_nothing_has_failed(pulumi.Output.from_input([]), failed)

def files(name, node, opts):
    server = SshServer(
        address=node["host"],
        host_key=node["hostKey"],
        port=node["port"],
        private_key=pulumi.Output.secret(node["privateKey"]),
    )
    return commands.on_host(
        f"{name}-files",
        Access(server=server, sudo=False),
        create=node["create"],
        delete="true",
        stdin=node["stdin"],
        opts=opts,
    )

def today(name, node, pool, found):
    former = {
        "files": [f.urn for n, f in found.files.items() if n == name],
        "member": [urn for n, urn in found.members.items() if n == name],
    }
    opts = {
        part: pulumi.ResourceOptions(
            parent=pool, aliases=[urn for urn in urns if state.is_of_earlier_release(urn)]
        )
        for part, urns in former.items()
    }
    first = files(name, node, opts["files"])
    opts["member"].depends_on = after(pool, first)
    return local.Command(
        f"{name}-member",
        stdin=f"join {node['join']}",
        delete=f"touch {name}-left",
        opts=opts["member"],
    )

def earlier(name, node, pool, _):
    owner = pulumi.ResourceOptions(parent=pool)
    component = pulumi.ComponentResource(state.NODE, name, None, owner)
    opts = pulumi.ResourceOptions(parent=component)
    first = files(name, node, opts)
    join = remote.Command(
        f"{name}-join",
        connection=first.connection,
        create="true",
        triggers=[node["join"]],
        opts=pulumi.ResourceOptions(parent=component, depends_on=[first]),
    )
    return local.Command(
        f"{name}-member",
        delete=f"touch {name}-left",
        opts=pulumi.ResourceOptions(parent=component, depends_on=after(component, join)),
    )

pulumi.run(main)
"""
Run = Callable[..., Done]


@pytest.fixture
def machine() -> Iterator[SshServer]:
    with ssh_server.running() as started:
        yield started


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    return stack


@pytest.fixture(params=["today", "an earlier release"])
def up(stack: Stack, machine: SshServer, request: pytest.FixtureRequest) -> Run:
    """Run the program with these nodes, each with its changes."""

    def run(*arguments: str, **nodes: dict[str, Any]) -> Done:
        usual = {
            "host": "127.0.0.1",
            "port": machine.port,
            "hostKey": machine.host_key,
            "privateKey": machine.private_key,
            "create": "true",
            "stdin": "1",
            "join": 1,
            "earlier": request.param != "today",
        }
        listed = {name: usual | changes for name, changes in nodes.items()}
        (stack.project / "nodes.json").write_text(json.dumps(listed))
        command = ["up", "--yes", "--skip-preview", "--stack", STACK, *arguments]
        return stack.run(*command, PYTHONPATH=str(ROOT))

    return run


def told(stack: Stack) -> dict[str, Any]:
    """What the last run was told of the state before it."""
    return dict(json.loads((stack.project / "told.json").read_text()))


def test_a_stack_that_never_ran_has_nothing(stack: Stack, up: Run) -> None:
    assert up().status == 0
    assert told(stack) == {"files": {}, "joins": {}, "members": [], "outputs": {}}


def test_what_earlier_runs_have_written_is_known_with_address_and_key(
    stack: Stack, up: Run
) -> None:
    assert up(n1={}, n2={"join": "2@10.0.0.1"}).status == 0
    assert up(n1={}, n2={"join": "2@10.0.0.1"}).status == 0
    found = told(stack)
    address, key = found["files"]["n1"]
    assert address == "127.0.0.1"
    assert key.startswith("SHA256:")
    assert sorted(found["files"]) == ["n1", "n2"]
    assert found["joins"] == {"n1": "1", "n2": "2@10.0.0.1"}
    assert found["members"] == ["n1", "n2"]
    assert found["outputs"] == {"seen": []}


def test_a_preview_knows_it_too(stack: Stack, up: Run) -> None:
    assert up(n1={}).status == 0
    done = stack.run("preview", "--expect-no-changes", "--stack", STACK, PYTHONPATH=str(ROOT))
    assert "error" not in done.said
    assert list(told(stack)["files"]) == ["n1"]


def test_files_whose_update_has_failed_are_still_there(stack: Stack, up: Run) -> None:
    assert up(n1={}).status == 0
    for _ in range(2):
        assert up(n1={"create": "false", "stdin": "2"}).status != 0
        assert list(told(stack)["files"]) == ["n1"]
    # An address whose change has failed is not where the files are.
    assert up(n1={"host": "localhost", "hostKey": "ssh-ed25519 AAAA"}).status != 0
    assert up(n1={"create": "false", "stdin": "3"}).status != 0
    assert told(stack)["files"]["n1"][0] == "127.0.0.1"


def test_what_was_never_written_is_not_there(stack: Stack, up: Run) -> None:
    assert up("--continue-on-error", n1={"create": "false"}, n2={}).status != 0
    assert up(n2={}).status == 0
    assert list(told(stack)["files"]) == ["n2"]


def test_what_has_left_is_there_until_it_has_been_removed(stack: Stack, up: Run) -> None:
    assert up(n1={}, n2={}).status == 0
    assert up(n2={}).status == 0
    assert sorted(told(stack)["files"]) == ["n1", "n2"]
    assert up(n2={}).status == 0
    assert list(told(stack)["files"]) == ["n2"]


def test_what_an_earlier_release_has_made_is_taken_over_and_nothing_leaves(
    stack: Stack, up: Run, machine: SshServer
) -> None:
    assert up(n1={}).status == 0
    before = machine.connections
    done = up(n1={"earlier": False})
    assert done.status == 0, done.said
    assert machine.connections == before
    assert not (stack.project / "n1-left").exists()
    assert up(n1={"earlier": False}).status == 0
    assert told(stack)["joins"] == {"n1": "1"}
    assert told(stack)["members"] == ["n1"]
    assert "-join" not in stack.run("stack", "--show-urns", "--stack", STACK).said
    preview = ("preview", "--expect-no-changes", "--stack", STACK)
    assert stack.run(*preview, PYTHONPATH=str(ROOT)).status == 0


def test_a_takeover_that_fails_on_one_machine_goes_on_in_the_next_run(
    stack: Stack, up: Run
) -> None:
    assert up(n1={}, n2={}).status == 0
    today = {"earlier": False}
    done = up("--continue-on-error", n1=today | {"create": "false", "stdin": "2"}, n2=today)
    assert done.status != 0
    assert "n1 failed, for the reasons above" in done.said
    assert "panic" not in done.said
    assert told(stack)["joins"] == {"n1": "1", "n2": "1"}
    again = up(n1=today | {"stdin": "2"}, n2=today)
    assert again.status == 0, again.said
    assert not list(stack.project.glob("*-left"))
    preview = ("preview", "--expect-no-changes", "--stack", STACK)
    assert stack.run(*preview, PYTHONPATH=str(ROOT)).status == 0


def test_no_secret_of_the_state_reaches_what_a_run_prints(up: Run, machine: SshServer) -> None:
    assert up(n1={}).status == 0
    done = up("--debug", "--diff", n1={"stdin": "2"})
    secret = machine.private_key.splitlines()[2]
    assert done.status == 0
    assert secret not in done.said
