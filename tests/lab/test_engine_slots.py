"""However few of the engine's slots there are, gates and joins do not wait for one another.

Begins and ends with nothing joined.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubelet import is_alive, nodes
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX
from tests.lab.test_join import ADDRESSES

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def nothing_joined(project: Project) -> Iterator[None]:
    original = project.settings()
    project.lab("up", "--nodes", str(len(ADDRESSES)))
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


@pytest.mark.parametrize(
    ("slots", "members"),
    [
        pytest.param(
            1, {"workers": ("node-1",), "others": ("node-2",)}, id="one slot for two pools"
        ),
        pytest.param(
            2,
            {"workers": ("node-1", "node-2"), "others": ("node-3",)},
            id="more nodes than slots",
            marks=pytest.mark.long,
        ),
        pytest.param(
            2,
            {"one": ("node-1",), "two": ("node-2",), "three": ("node-3",)},
            id="more pools than slots",
            marks=pytest.mark.long,
        ),
    ],
)
def test_all_nodes_join(
    project: Project, settings: dict[str, Any], slots: int, members: dict[str, tuple[str, ...]]
) -> None:
    pools = settings["config"][f"{PREFIX}pools"]
    pool = pools.pop("workers")
    for name, names in members.items():
        pools[name] = copy.deepcopy(pool)
        pools[name]["nodes"] = [{"name": node, "address": ADDRESSES[node]} for node in names]
    settings["config"][f"{PREFIX}stallSeconds"] = 30
    project.write_settings(settings)
    project.up("--parallel", str(slots))

    joined = {node for names in members.values() for node in names}
    assert set(nodes(project)) == joined
    for node in joined:
        is_alive(project, node)
    project.pulumi("preview", "--expect-no-changes")
