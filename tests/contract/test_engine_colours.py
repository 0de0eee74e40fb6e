"""What a node wrote, on the engine's own lines: it reads some texts as colours."""

from pathlib import Path

import pytest

from tests.contract.engine import STACK, Stack

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PROGRAM = """
import pulumi
from admission.terminal import visible

for text in ("<{%x%}>", "<{%fg 1", "a<{<{%x%}>%}>b", "%}> <{"):
    pulumi.log.info(visible(f"begin {text} end"))
pulumi.export("reason", visible("begin <{%x%}> end"))
"""


def test_a_text_that_the_engine_takes_for_a_colour_neither_ends_it_nor_hides_others(
    tmp_path: Path,
) -> None:
    stack = Stack(tmp_path)
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    command = ("up", "--yes", "--skip-preview", "--color=always", "--stack", STACK)
    done = stack.run(*command, PYTHONPATH=str(ROOT))
    assert done.status == 0, done.said
    assert "panic" not in done.said
    assert done.said.count("begin < {%x% }> end") >= 2
    assert "begin < {%fg 1 end" in done.said
    assert stack.outputs() == {"reason": "begin < {%x% }> end"}
