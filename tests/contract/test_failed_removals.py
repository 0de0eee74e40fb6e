"""A node that can't be drained is not wiped, whatever else goes on, with the real engine."""

import json
from pathlib import Path

import pytest

from tests.contract.engine import STACK, Done, Stack

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]
PROGRAM = """
import json
from pathlib import Path
import pulumi
from pulumi_command import local

for name in json.loads(Path("nodes.json").read_text()):
    files = local.Command(f"{name}-files", delete=f"touch {name}-wiped")
    local.Command(
        f"{name}-member",
        delete=f"test {name} != stuck || test -e free && touch {name}-left",
        opts=pulumi.ResourceOptions(depends_on=[files]),
    )
"""
ENVIRONMENT = {"PULUMI_CONTINUE_ON_ERROR": "true"}


@pytest.mark.parametrize("environment", [ENVIRONMENT, {}], ids=["continues", "ends"])
@pytest.mark.parametrize("command", ["up", "destroy"])
def test_what_could_not_be_drained_is_not_wiped(
    tmp_path: Path, command: str, environment: dict[str, str]
) -> None:
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    nodes = stack.project / "nodes.json"
    nodes.write_text(json.dumps(["stuck", "other", "third"]))
    assert stack.up().status == 0
    nodes.write_text("[]")

    def run() -> Done:
        options = ("--yes", "--skip-preview", "--stack", STACK)
        return stack.run(command, *options, **environment)

    done = run()
    assert done.status != 0
    assert not (stack.project / "stuck-wiped").exists()
    # The others leave, as far as the engine is told to go on.
    others = {name: (stack.project / f"{name}-wiped").exists() for name in ("other", "third")}
    assert not environment or all(others.values()), done.said

    (stack.project / "free").touch()
    done = run()
    assert done.status == 0, done.said
    for name in ("stuck", "other", "third"):
        assert (stack.project / f"{name}-wiped").exists()
