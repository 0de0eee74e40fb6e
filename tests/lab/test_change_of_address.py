"""A new machine at another address takes the place of a node's dead one, under the node's name.

Begins and ends with nothing joined.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubelet import is_alive, main_pid, nodes, outputs, serial
from tests.lab.project import Project
from tests.lab.test_dead_machine import listens
from tests.lab.test_failures import nodes_of, until
from tests.lab.test_join import ADDRESSES

pytestmark = [pytest.mark.lab, pytest.mark.long]

NODE, DEAD, NEW = "node-2", "node-2", "node-3"  # of machines, the last two


@pytest.fixture(scope="module", autouse=True)
def two_nodes_and_a_new_machine(project: Project) -> Iterator[None]:
    original = project.settings()
    project.lab("up", "--nodes", "3")
    project.up()
    yield
    project.pulumi("destroy", "--yes", "--skip-preview")
    project.lab("reinstall", DEAD, "--keep-host-key")
    project.write_settings(original)


def test_a_new_machine_joins_with_a_new_token(project: Project, settings: dict[str, Any]) -> None:
    before, pid = outputs(project)["bootstrapTokenId"], main_pid(project, "node-1")
    old = serial(project, DEAD)
    project.ssh(DEAD, "systemctl poweroff", check=False)
    until(lambda: not listens(ADDRESSES[DEAD], 22))

    nodes_of(settings)[1]["address"] = ADDRESSES[NEW]
    project.write_settings(settings)
    warned = project.pulumi("preview").stdout
    assert f'of {NODE} was "{ADDRESSES[DEAD]}" and is "{ADDRESSES[NEW]}"' in warned
    assert f"kubectl delete node {NODE}" in warned
    project.kubectl("delete", "node", NODE)
    done = project.up()

    assert "Traceback" not in done.stdout + done.stderr
    is_alive(project, NODE)
    assert set(nodes(project)) == {"node-1", NODE}
    seen = project.get("node", NODE)["status"]["addresses"]
    assert {"type": "InternalIP", "address": ADDRESSES[NEW]} in seen
    assert project.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/healthz").stdout == "ok"
    assert serial(project, NEW) != old
    assert main_pid(project, "node-1") == pid
    assert outputs(project)["bootstrapTokenId"] != before
    project.pulumi("preview", "--expect-no-changes")

    # The next runs keep to that join.
    project.up()
    is_alive(project, NODE)
    assert outputs(project)["record"]["nodes"][NODE]["join"] == f"1@{ADDRESSES[NEW]}"
