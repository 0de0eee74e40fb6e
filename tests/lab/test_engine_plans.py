"""`pulumi up --plan` makes tokens and joins with them, and no complaint about a plan holds one.

Begins and ends with nothing joined; the tests tell one story and run in their order.
"""

import base64
import copy
from typing import Any

import pytest

from tests.lab.kubelet import WIPE, is_alive, main_pid, nodes, serial
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, our_secrets

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.usefixtures("joined_nodes"),
]

PLAN = ".lab/plan.json"


def pools_of(settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = settings["config"][f"{PREFIX}pools"]
    return found


@pytest.fixture(scope="module", autouse=True)
def one_node_alone(joined_nodes: None, project: Project) -> None:
    """Leave node-2 out; each test sets the settings that it needs."""
    settings = project.settings()
    pools_of(settings)["workers"]["nodes"].pop()
    project.write_settings(settings)
    project.up()


def second_pool(project: Project, **values: Any) -> dict[str, Any]:
    """The settings with node-2 in a pool of its own, and with these values for it."""
    settings = project.settings()
    pools = pools_of(settings)
    pools["others"] = copy.deepcopy(pools["workers"])
    pools["others"]["nodes"] = [{"name": "node-2", "address": "10.98.0.12", **values}]
    return settings


def plan(project: Project, settings: dict[str, Any]) -> None:
    project.write_settings(settings)
    project.pulumi("preview", "--save-plan", PLAN)


def up_by_plan(project: Project, *, check: bool = True) -> str:
    done = project.pulumi("up", "--yes", "--plan", PLAN, check=check)
    project.remember_token_secrets()
    assert check or done.returncode != 0
    return done.stdout + done.stderr


def test_a_second_pool_joins_by_a_plan(project: Project, settings: dict[str, Any]) -> None:
    pid = main_pid(project, "node-1")
    plan(project, second_pool(project))
    up_by_plan(project)
    assert set(nodes(project)) == {"node-1", "node-2"}
    is_alive(project, "node-2")
    assert main_pid(project, "node-1") == pid
    project.pulumi("preview", "--expect-no-changes")


def test_a_reset_machine_joins_again_by_a_plan(project: Project, settings: dict[str, Any]) -> None:
    before = serial(project, "node-2")
    reset(project)
    plan(project, second_pool(project, generation=2))
    up_by_plan(project)
    is_alive(project, "node-2")
    assert serial(project, "node-2") != before
    project.pulumi("preview", "--expect-no-changes")


def test_a_plan_that_the_settings_have_outrun_ends_without_a_word_of_a_token(
    project: Project, settings: dict[str, Any]
) -> None:
    reset(project)
    planned = second_pool(project, generation=3)
    plan(project, planned)
    outrun = copy.deepcopy(planned)
    pools_of(outrun)["others"]["kubelet"]["maxPods"] = 51
    project.write_settings(outrun)
    said = up_by_plan(project, check=False)

    assert "violates plan" in said
    secrets = project.live_token_secrets() | {
        data.get("token-secret", "") for data in our_secrets(project)
    }
    secrets.discard("")
    assert len(secrets) >= 2  # each pool has had one
    for secret in secrets:
        assert secret not in said
        assert base64.b64encode(secret.encode()).decode() not in said

    project.up()
    is_alive(project, "node-2")
    assert [data.get("token-secret", "") for data in our_secrets(project)] == ["", ""]
    project.pulumi("preview", "--expect-no-changes")


def reset(project: Project) -> None:
    """What a reinstallation does to the machine, and its operator to the Node."""
    project.ssh("node-2", WIPE)
    project.kubectl("delete", "node", "node-2")
