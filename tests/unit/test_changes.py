"""docs/changes.md says of each change what the program declares for it, and names real tests."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.unit.changes import cluster_rows, kubelet_rows, node_rows
from tests.unit.changes.cells import NOTHING, Cells, cells
from tests.unit.changes.program import declare
from tests.unit.changes.row import Row, world
from tests.unit.changes.steps import steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/changes.md"
BEGIN, END = "<!-- changes: begin -->\n", "<!-- changes: end -->\n"
SECTIONS: Mapping[str, Sequence[Row]] = {
    "Nodes and pools": node_rows.NODES,
    "Reaching the machines": kubelet_rows.REACHING,
    "Kubelets": kubelet_rows.KUBELETS,
    "The cluster": cluster_rows.CLUSTER,
    "Tokens and approval": cluster_rows.APPROVAL,
    "The control plane": cluster_rows.CONTROL_PLANE,
    "The resident approver": cluster_rows.APPROVER,
}
ROWS = [row for rows in SECTIONS.values() for row in rows]
COLUMNS = (
    *("change", "resources", "connections", "kubelets that restart", "new token", "gate runs"),
    "what to know",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cells]:
    """What each change does, by its title."""
    directory = tmp_path_factory.mktemp("stack")
    usual = declare(world(), directory)
    made = {}
    for row in ROWS:
        before = world()
        if row.first:
            row.first(before)
        after = before.copy()
        row.change(after)
        last = declare(before, directory, usual) if row.first else usual
        run = declare(after, directory, last)
        made[row.title] = cells(list(steps(last.resources, run.resources)))
    return made


def line(row: Row, found: Cells) -> str:
    columns = (found.resources, found.connections, found.restarts, found.tokens, found.gates)
    told = " ".join([row.note or NOTHING, *shown_by(row)])
    return f"| {row.title} | {' | '.join(columns)} | {told} |\n"


def shown_by(row: Row) -> list[str]:
    listed = [test.split("::") for test in row.tests]
    return [f'([tested](../{path} "{name}"))' for path, name in listed]


def test_the_page_says_what_each_change_does(found: dict[str, Cells]) -> None:
    made = "".join(
        f"\n## {title}\n\n{HEAD}{''.join(line(row, found[row.title]) for row in rows)}"
        for title, rows in SECTIONS.items()
    )
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    told, end, after = rest.partition(END)
    assert begin
    assert end
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(f"{before}{BEGIN}{made}\n{END}{after}")
    else:
        assert told == f"{made}\n"


def test_each_row_has_a_title_of_its_own(found: dict[str, Cells]) -> None:
    assert len(found) == len(ROWS)


@pytest.mark.parametrize("test", sorted({test for row in ROWS for test in row.tests}))
def test_each_test_that_the_page_names_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_the_same_settings_change_nothing(tmp_path: Path) -> None:
    last = declare(world(), tmp_path)
    run = declare(world().copy(), tmp_path, last)
    assert list(steps(last.resources, run.resources)) == []


# Not an input of what was done: it counts when something else is done.
IDLE = (
    *("`kubeconfigPath`", "Another content of that file", "`cluster.serviceCidr`"),
    *("The secret key `kubeconfig` in place of `kubeconfigPath`", "`cluster.name`"),
    *("Another content of the secret key `kubeconfig`", "`stallSeconds`", "`skipClusterChecks`"),
    *(
        "`token.ttlMinutes`",
        "`token.afterJoin`",
        "`approval.serving`",
        "Another order of the hosts",
    ),
)


@pytest.mark.parametrize("title", IDLE)
def test_what_is_no_input_of_a_result_runs_nothing(found: dict[str, Cells], title: str) -> None:
    effects = found[title]
    ran = {effects.connections, effects.restarts, effects.tokens, effects.gates}
    assert ran == {NOTHING}


@pytest.mark.parametrize("row", kubelet_rows.REACHING, ids=lambda row: row.title)
def test_another_way_to_a_machine_is_tried_at_once_and_restarts_nothing(
    found: dict[str, Cells], row: Row
) -> None:
    effects = found[row.title]
    # One that brings the bundle, one that installs it.
    assert effects.connections in ("both hosts<br>all nodes: 2", "node-1, node-2: 2", "node-1: 2")
    assert {effects.restarts, effects.tokens, effects.gates} == {NOTHING}


@pytest.mark.parametrize("title", ["Move a node to another pool", "Rename a pool"])
def test_a_pool_is_no_part_of_a_node(found: dict[str, Cells], title: str) -> None:
    assert found[title].connections == found[title].restarts == NOTHING
