"""The README's own drift command is clean again after one `up` once a token's Secret was deleted.

Begins and ends with nothing joined.
"""

import pytest

from admission.objects.token_secret import content
from tests.lab.kubelet import main_pid, nodes
from tests.lab.project import Project
from tests.lab.test_failures import our_secrets, quietly
from tests.lab.test_join import FIRST_NODES

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.usefixtures("joined_nodes"),
]


def live_tokens(project: Project) -> list[str]:
    """The ids of the tokens in the cluster, ours or not, with which one could log in."""
    listed = quietly(
        project, "get", "secrets", "-n", "kube-system",
        "--field-selector", "type=bootstrap.kubernetes.io/token",
    )["items"]  # fmt: skip
    contents = [content(secret) for secret in listed]
    return [
        found["token-id"]
        for found in contents
        if found.get("token-secret") and found["usage-bootstrap-authentication"] == "true"
    ]


def test_a_deleted_secret_of_a_dead_token_is_no_drift_for_ever(project: Project) -> None:
    pids, uids = {node: main_pid(project, node) for node in FIRST_NODES}, nodes(project)
    assert live_tokens(project) == []
    tokens = our_secrets(project)
    assert len(tokens) == len(FIRST_NODES)
    for data in tokens:
        name = f"bootstrap-token-{data['token-id']}"
        project.kubectl("-n", "kube-system", "delete", "secret", name)
    project.pulumi("preview", "--refresh")

    project.up("--refresh")
    project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert live_tokens(project) == []
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    assert nodes(project) == uids
