"""A pool of each mode of approval, side by side, and a node that goes from one to the other.

Begins and ends with nothing joined; the tests tell one story and run in their order.
"""

import copy
from typing import Any

import pytest

from admission.rules import CLIENT_SIGNER
from tests.lab.kubelet import WIPE, is_alive, main_pid
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, our_secrets, requests

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]


def newest_approval(project: Project) -> str:
    """The reason of the approval of the newest client request."""
    asked = [csr for csr in requests(project) if csr["spec"]["signerName"] == CLIENT_SIGNER]
    newest = max(asked, key=lambda csr: str(csr["metadata"]["creationTimestamp"]))
    (condition,) = newest["status"]["conditions"]
    return str(condition["reason"])


def open_pool(project: Project, generation: int) -> dict[str, Any]:
    """The settings with node-2 in a pool whose tokens kube-controller-manager takes for any."""
    settings = project.settings()
    pools = settings["config"][f"{PREFIX}pools"]
    node = pools["workers"]["nodes"].pop()
    pools["open"] = copy.deepcopy(pools["workers"])
    pools["open"] |= {"token": {"scope": "pool"}, "approval": {"client": "controller-manager"}}
    pools["open"]["nodes"] = [{**node, "generation": generation}]
    return settings


def reset(project: Project) -> None:
    """What a reinstallation does to the machine, and its operator to the Node."""
    project.ssh("node-2", WIPE)
    project.kubectl("delete", "node", "node-2")


def dead(project: Project) -> bool:
    return not any(data.get("token-secret") for data in our_secrets(project))


def test_the_gate_lets_in_who_joins_by_default(project: Project) -> None:
    assert newest_approval(project) == "KubeletTlsBootstrap"
    (subject,) = project.get("clusterrolebinding", "auto-approve-csrs-for-group")["subjects"]
    assert subject["name"] == "system:bootstrappers:-auto-approve"


def test_a_machine_joins_in_an_open_pool_and_the_preview_warns_of_that(
    project: Project, settings: dict[str, Any]
) -> None:
    pid = main_pid(project, "node-1")
    reset(project)
    project.write_settings(open_pool(project, generation=2))
    done = project.pulumi("preview")
    assert 'pools.open.approval.client is "controller-manager"' in done.stdout + done.stderr
    project.up()
    is_alive(project, "node-2")
    assert newest_approval(project) == "AutoApproved"  # pkg/controller/certificates/approver
    assert main_pid(project, "node-1") == pid
    assert dead(project)
    project.pulumi("preview", "--expect-no-changes")


def test_back_in_the_safe_pool_it_joins_by_the_gate_in_one_run(
    project: Project, settings: dict[str, Any]
) -> None:
    pid = main_pid(project, "node-1")
    reset(project)
    settings["config"][f"{PREFIX}pools"]["workers"]["nodes"][1]["generation"] = 3
    project.write_settings(settings)
    project.up()
    is_alive(project, "node-2")
    assert newest_approval(project) == "KubeletTlsBootstrap"
    assert main_pid(project, "node-1") == pid
    assert dead(project)


def test_a_joined_node_goes_into_an_open_pool_untouched(
    project: Project, settings: dict[str, Any]
) -> None:
    pids = [main_pid(project, node) for node in ("node-1", "node-2")]
    project.write_settings(open_pool(project, generation=3))
    changes = project.preview()
    assert not [name for name in changes if name.endswith("-files")]
    project.up()
    assert [main_pid(project, node) for node in ("node-1", "node-2")] == pids
    assert dead(project)
