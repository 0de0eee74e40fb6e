"""What becomes of the rest of a program when a resource fails, shown by the real engine."""

import json
from pathlib import Path

import pytest

from tests.contract.engine import STACK, Stack

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
import pulumi
from pulumi_command import local
from components.dependencies import after, once_there, unless_all_failed, unless_failed

options = pulumi.ResourceOptions
failing = local.Command("failing", create="exit 3")
well = local.Command("well", create="echo well")
later = options(depends_on=after(None, failing))
needs = local.Command("needs", create="touch {here}/needs", opts=later)
latest = options(depends_on=after(None, needs))
next = local.Command("next", create="touch {here}/next", opts=latest)
beside = local.Command(
    "beside", create="touch {here}/beside", opts=options(depends_on=unless_failed([failing, well]))
)
both = local.Command(
    "both",
    create="touch {here}/both",
    opts=options(depends_on=unless_failed([well]).apply(lambda listed: [well, *listed])),
)


some = unless_all_failed([failing, well], after(None, failing))
local.Command("some", create="touch {here}/some", opts=options(depends_on=some))
none = unless_all_failed([failing, needs], after(None, failing))
local.Command("none", create="touch {here}/none", opts=options(depends_on=none))


class Part(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Part", name)
        first = local.Command(
            f"{{name}}-first",
            create="exit 4" if name == "bad" else "true",
            opts=options(parent=self),
        )
        within = options(parent=self, depends_on=after(self, first))
        touch = f"touch {here}/{{name}}"
        second = local.Command(f"{{name}}-second", create=f"{{touch}}-second", opts=within)
        within = options(parent=self, depends_on=after(self, second))
        local.Command(f"{{name}}-third", create=f"{{touch}}-third", opts=within)
        waiting = options(parent=self, depends_on=once_there(self, first))
        local.Command(f"{{name}}-fourth", create=f"{{touch}}-fourth", opts=waiting)
        self.register_outputs({{}})


Part("bad")
Part("good")
pulumi.export("failing", failing.stdout.recover(lambda error: "it failed"))
pulumi.export("well", well.stdout)
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM.format(root=str(ROOT), here=tmp_path))
    stack.select()
    return stack


def test_what_needs_a_failed_resource_is_left_out_and_the_rest_goes_on(stack: Stack) -> None:
    done = stack.up(PULUMI_CONTINUE_ON_ERROR="true")
    assert done.status != 0
    there = {path.name for path in stack.directory.iterdir()}
    assert {"beside", "both", "some", "good-second", "good-third", "good-fourth"} < there
    assert not {"needs", "next", "none", "bad-second", "bad-third", "bad-fourth"} & there
    assert "Traceback" not in done.said, done.said
    assert "unhandled exception" not in done.said
    assert stack.outputs() == {"failing": "it failed", "well": "well"}
    exported = json.loads(stack.run("stack", "export", "--stack", STACK).said)
    found = {r["urn"].rpartition("::")[2]: r for r in exported["deployment"]["resources"]}
    assert found["good-second"]["dependencies"]
    assert "dependencies" not in found["good-fourth"]


REMOVAL = """
import sys
sys.path.insert(0, {root!r})
import pulumi
from pulumi_command import local
from stack import removals

failing = local.Command("failing", create="exit 3")
beside = local.Command("beside", create="sleep 1; touch {here}/beside")
found = failing.stdout.apply(lambda _: []).recover(lambda _: {found})
nothing = pulumi.Output.from_input([])
pulumi.export("found", found)
pulumi.run(lambda: removals.only_if_nothing_has_failed({arguments}))
"""


@pytest.mark.parametrize(
    ("found", "arguments", "told"),
    [
        (
            [{"name": "b"}, {"name": "a"}],
            "found, nothing",
            "error: a, b have not joined, for the reasons above",
        ),
        (["b", "a"], "nothing, found", "error: a, b failed, for the reasons above"),
    ],
)
def test_nothing_is_removed_while_a_node_has_not_joined_or_has_failed(
    stack: Stack, found: list[object], arguments: str, told: str
) -> None:
    program, here = stack.project / "__main__.py", stack.directory
    program.write_text(
        "from pulumi_command import local\n"
        f"local.Command('old', create='true', delete='touch {here}/removed')\n"
    )
    assert stack.up().status == 0
    text = REMOVAL.format(root=str(ROOT), here=here, found=found, arguments=arguments)
    program.write_text(text)
    done = stack.up(PULUMI_CONTINUE_ON_ERROR="true")
    assert done.status != 0
    assert told in done.said
    assert "Traceback" not in done.said
    assert "unhandled exception" not in done.said
    assert (here / "beside").exists()
    assert not (here / "removed").exists()
    assert stack.outputs() == {"found": found}

    program.write_text(program.read_text().replace("exit 3", "true"))
    assert stack.run("preview", "--stack", "dev").status == 0
    assert stack.up().status == 0
    assert (here / "removed").exists()


CONTROL_PLANE = """
import sys
sys.path.insert(0, {root!r})
import pulumi
from pulumi_command import local
from components.access import Access, SshServer
from components.control_plane import ControlPlane, ControlPlaneArgs

async def main():
    # Nothing listens there.
    server = SshServer(
        address="127.0.0.1", port=1, user="root", private_key=None, host_key="ssh-ed25519 AAAA"
    )
    args = ControlPlaneArgs(
        hosts={{"cp-1": Access(server=server, bastion=None, sudo=False)}},
        manage=False,
        signing_certificate="/a",
        signing_key="/b",
    )
    await ControlPlane("cp", args).require_a_host()
    local.Command("later", create="touch {here}/later")

pulumi.run(main)
"""


@pytest.mark.parametrize("go_on", ["true", "false"])
def test_nothing_goes_on_without_a_control_plane(stack: Stack, go_on: str) -> None:
    program, here = stack.project / "__main__.py", stack.directory
    program.write_text(CONTROL_PLANE.format(root=str(ROOT), here=here))
    done = stack.up(PULUMI_CONTINUE_ON_ERROR=go_on)
    assert done.status != 0
    assert "cp-1-flags" in done.said
    assert "Traceback" not in done.said, done.said
    assert "unhandled exception" not in done.said
    assert not (here / "later").exists()
    if go_on == "true":
        assert "the control plane (cp-1) is not ready for nodes, for the reasons" in done.said


def test_an_order_is_kept_where_all_is_well(stack: Stack) -> None:
    program = stack.project / "__main__.py"
    program.write_text(program.read_text().replace("exit 3", "true").replace("exit 4", "true"))
    assert stack.up().status == 0
    done = stack.run("stack", "export", "--stack", "dev")
    resources = json.loads(done.said)["deployment"]["resources"]
    needed = {
        r["urn"].rpartition("::")[2]: {d.rpartition("::")[2] for d in r.get("dependencies") or ()}
        for r in resources
    }
    assert needed["needs"] == {"failing"}
    assert needed["next"] == {"needs"}
    assert needed["beside"] == {"failing", "well"}
    assert needed["both"] == {"well"}


GATE = """
import pulumi
from pulumi_command import local

first = local.Command("first", create="echo {first}")
gate = local.Command(
    "gate",
    create=first.stdout.apply(lambda _: "echo {labels} >>{here}/ran; test {labels} != bad"),
    triggers=["{labels}"],
    opts=pulumi.ResourceOptions(delete_before_replace=True, ignore_changes=["create"]),
)
local.Command(
    "reads", create="touch {here}/reads", delete="touch {here}/deleted",
    triggers=[pulumi.Output(set(), gate.stdout.future(True), gate.stdout.is_known())],
    opts=pulumi.ResourceOptions(depends_on=[first]),
)
"""


def test_a_gate_that_has_failed_runs_again_though_its_change_is_taken_back(stack: Stack) -> None:
    """As `components.node_pool` has it; what reads its outputs is not deleted before it runs."""
    here = stack.directory
    for labels, status in (("good", 0), ("bad", 255), ("good", 0), ("good", 0)):
        text = GATE.format(labels=labels, here=here, first=labels)
        (stack.project / "__main__.py").write_text(text)
        assert (stack.up().status == 0) == (status == 0)
    assert (here / "ran").read_text().split() == ["good", "bad", "good"]
    assert not (here / "deleted").exists()
