"""No token and no key is to be found anywhere that somebody else may read.

Runs after the story of `test_join`, over all that it left behind: what every command printed, the
stack's state and history, the logs and journals, and the command line of every process that ran.
"""

import base64
import subprocess
from pathlib import Path

import pytest

from tests.lab.project import Project
from tests.lab.test_join import ADDRESSES

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def secrets(project: Project) -> dict[str, bytes]:
    """Every secret of the lab: what names it -> the bytes to look for."""
    key = (project.directory / ".lab/id_ed25519").read_text().splitlines()
    kubeconfig = project.settings_of_kubeconfig()
    found = {
        "SSH key": "".join(key[1:-1])[60:120].encode(),
        "client key of the kubeconfig": kubeconfig["users"][0]["user"]["client-key-data"][
            -120:-20
        ].encode(),
    }
    for number, secret in enumerate(sorted(project.token_secrets)):
        found[f"token secret {number}"] = secret.encode()
        found[f"token secret {number} in base64"] = base64.b64encode(secret.encode())
    return found


def test_the_story_made_tokens_to_look_for(project: Project) -> None:
    assert len(project.token_secrets) >= 3


def test_no_secret_in_what_any_command_printed(project: Project, secrets: dict[str, bytes]) -> None:
    printed = "\n".join(project.transcript).encode()
    assert [name for name, value in secrets.items() if value in printed] == []


def test_no_secret_in_the_state_or_its_history(project: Project, secrets: dict[str, bytes]) -> None:
    files = [path for path in (project.directory / ".lab/pulumi").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert [name for name, value in secrets.items() if value in content] == [], path


def test_no_secret_in_a_log_or_journal(project: Project, secrets: dict[str, bytes]) -> None:
    logs = {
        str(path): path.read_bytes()
        for path in (project.directory / ".lab/log").rglob("*")
        if path.is_file()
    }
    for machine in ("cp-1", *ADDRESSES):
        journal = project.ssh(machine, "journalctl --no-pager -o export | cat").encode()
        assert len(journal) > 10_000
        logs[f"journal of {machine}"] = journal
    for place, content in logs.items():
        assert [name for name, value in secrets.items() if value in content] == [], place


def test_no_secret_in_any_command_line(project: Project, secrets: dict[str, bytes]) -> None:
    seen = project.command_lines.seen.copy()  # it grows while we look
    assert any(b"/usr/bin/kubelet" in line for line in seen)
    assert any(line.startswith(b"pulumi\0") for line in seen)
    assert [
        (name, line[:200]) for name, value in secrets.items() for line in seen if value in line
    ] == []


def test_the_search_would_have_found_one(project: Project) -> None:
    """The recorder sees the arguments of a process of a lab's machine."""
    project.ssh("node-1", "sleep 0.3 && : needle-in-an-argument")
    subprocess.run(["sleep", "0.25"], check=True)
    assert any(b"needle-in-an-argument" in line for line in project.command_lines.seen)


def test_no_file_of_the_lab_that_holds_a_secret_is_readable_by_others(
    project: Project, secrets: dict[str, bytes]
) -> None:
    lab = project.directory / ".lab"
    readable = [
        path
        for path in lab.glob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and _holds(path, secrets)
    ]
    assert readable == []


def _holds(path: Path, secrets: dict[str, bytes]) -> bool:
    content = path.read_bytes()
    return any(value in content for value in secrets.values())
