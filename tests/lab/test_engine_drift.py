"""The README's own drift command is clean again after one `up` once a token's Secret was deleted.

Begins and ends with nothing joined.
"""

import base64
from typing import Any

import pytest

from tests.lab.kubelet import main_pid, nodes
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, our_secrets, quietly
from tests.lab.test_join import FIRST_NODES

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]


def live_tokens(project: Project) -> list[str]:
    """The ids of the tokens in the cluster, ours or not, with which one could log in."""
    listed = quietly(
        project, "get", "secrets", "-n", "kube-system",
        "--field-selector", "type=bootstrap.kubernetes.io/token",
    )["items"]  # fmt: skip
    assert listed
    contents = [
        {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        for secret in listed
    ]
    return [
        content["token-id"]
        for content in contents
        if content.get("token-secret") and content["usage-bootstrap-authentication"] == "true"
    ]


@pytest.mark.parametrize("scope", ["pool", pytest.param("node", marks=pytest.mark.long)])
def test_a_deleted_secret_of_a_dead_token_is_no_drift_for_ever(
    project: Project, settings: dict[str, Any], scope: str
) -> None:
    settings["config"][f"{PREFIX}token"] = {"scope": scope}
    client = {"pool": "controller-manager", "node": "gate"}[scope]
    settings["config"][f"{PREFIX}approval"] = {"client": client}
    project.write_settings(settings)
    pids, uids = {node: main_pid(project, node) for node in FIRST_NODES}, nodes(project)
    project.up()
    assert live_tokens(project) == []
    for data in our_secrets(project):
        name = f"bootstrap-token-{data['token-id']}"
        project.kubectl("-n", "kube-system", "delete", "secret", name)
    project.pulumi("preview", "--refresh")

    project.up("--refresh")
    project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert live_tokens(project) == []
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    assert nodes(project) == uids
