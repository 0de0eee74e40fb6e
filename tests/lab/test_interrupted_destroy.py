"""A `pulumi destroy` that ended halfway: the next `up` joins again what had begun to leave.

Begins and ends with nothing joined.
"""

import pytest

from tests.lab.kubelet import is_alive, nodes
from tests.lab.project import Project
from tests.lab.test_join import run_pod

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.usefixtures("joined_nodes"),
]


def test_a_node_that_had_begun_to_leave_joins_again(project: Project) -> None:
    """Its token was revoked, its Node is deleted, and its kubelet still runs."""
    (urn,) = (r["urn"] for r in project.state() if r["urn"].endswith("::node-1-member"))
    project.pulumi("destroy", "--yes", "--skip-preview", "--target", urn, "--target-dependents")
    assert set(nodes(project)) == {"node-2"}
    project.up()
    is_alive(project, "node-1")
    assert set(nodes(project)) == {"node-1", "node-2"}
    project.pulumi("preview", "--expect-no-changes")


def test_a_node_that_does_not_leave_can_still_renew_its_certificates(project: Project) -> None:
    """What would be lost stops its drain, so it stays, and so does what it needs as a node."""
    pod, original = run_pod(project, "node-1"), project.settings()  # it has no controller
    strict = project.settings()
    del strict["config"]["kubelet-tls-bootstrap:drain"]
    project.write_settings(strict)
    done = project.pulumi("destroy", "--yes", "--skip-preview", check=False)
    project.write_settings(original)
    assert done.returncode != 0
    assert pod in done.stdout + done.stderr
    assert "node-1" in nodes(project)
    for binding in ("node-client-cert-renewal", "node-server-cert-renewal"):
        assert project.get("clusterrolebinding", binding)["subjects"][0]["name"] == "system:nodes"
    project.kubectl("delete", "pod", pod, "--grace-period=1")
    project.up()
    is_alive(project, "node-1")
    assert set(nodes(project)) == {"node-1", "node-2"}
    project.pulumi("preview", "--expect-no-changes")
