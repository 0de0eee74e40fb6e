"""A `pulumi destroy` that ended halfway: the next `up` joins again what had begun to leave.

Begins and ends with nothing joined.
"""

import pytest

from tests.lab.kubelet import is_alive, nodes
from tests.lab.project import Project

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]


def test_a_node_that_had_begun_to_leave_joins_again(project: Project) -> None:
    """Its token was revoked, its Node is deleted, and its kubelet still runs."""
    (urn,) = (r["urn"] for r in project.state() if r["urn"].endswith("::node-1-member"))
    project.pulumi("destroy", "--yes", "--skip-preview", "--target", urn, "--target-dependents")
    assert set(nodes(project)) == {"node-2"}
    project.up()
    is_alive(project, "node-1")
    assert set(nodes(project)) == {"node-1", "node-2"}
    project.pulumi("preview", "--expect-no-changes")
