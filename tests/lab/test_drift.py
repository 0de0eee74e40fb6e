"""A file that is changed by hand is seen by `diff`, shown by a report, and repaired by the next up.

Runs before `test_join` by name, on the same lab, and leaves it with nothing joined.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.project import Project

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"
CONFIG = "/var/lib/kubelet/config.yaml"
ARGUMENTS = "/etc/kubernetes/kubelet.env"


@pytest.fixture(scope="module", autouse=True)
def joined(project: Project) -> Iterator[None]:
    """Both machines, joined; afterwards nothing is."""
    original = project.settings()
    project.up()
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


def diff(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("./ktb", "diff", *arguments, check=False)


def report(project: Project) -> str:
    preview = project.pulumi("preview", "--json").stdout
    return project.run("./ktb", "report", stdin=preview).stdout


def started(project: Project, node: str) -> str:
    return project.ssh(node, "systemctl show -P ActiveEnterTimestampMonotonic kubelet")


def test_diff_says_nothing_of_hosts_that_are_as_the_settings_say(project: Project) -> None:
    done = diff(project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_report_of_a_preview_without_changes_says_so(project: Project) -> None:
    assert report(project) == "## Preview of the stack `dev`\n\nNothing changes.\n"


def test_diff_names_the_file_and_the_line_that_was_changed_by_hand(project: Project) -> None:
    number = project.ssh(
        "node-1",
        f"sed -i 's/^readOnlyPort: 0$/readOnlyPort: 10255/' {CONFIG}; chmod 644 {ARGUMENTS};"
        f" grep -n readOnlyPort {CONFIG} | cut -d: -f1",
    ).strip()
    done = diff(project)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == f"node-1: {CONFIG} differs at line {number}"
    assert [line for line in lines[3:] if line[0] in "+-"] == [
        "-readOnlyPort: 10255",
        "+readOnlyPort: 0",
    ]
    assert lines[-1] == f"node-1: {ARGUMENTS} has the mode 0644, not 0600"
    assert "node-2" not in done.stdout
    assert diff(project, "--node", "node-2").returncode == 0


def test_pulumi_alone_does_not_see_it(project: Project) -> None:
    project.pulumi("preview", "--expect-no-changes")


def test_a_raised_repair_is_reported_and_repairs(project: Project) -> None:
    settings = project.settings()
    settings["config"][f"{PREFIX}repair"] = 1
    project.write_settings(settings)
    assert (
        "**Files that were changed by hand are written again (`repair` 1)** on `node-1`, `node-2`:"
        " where one was changed, the kubelet restarts\n"
    ) in report(project)

    before = {node: started(project, node) for node in ("node-1", "node-2")}
    project.up()
    after = {node: started(project, node) for node in before}

    assert diff(project).returncode == 0
    said = {
        resource["urn"].rpartition("::")[2]: json.loads(resource["outputs"]["stdout"])
        for resource in project.state()
        if resource["urn"].endswith("-files")
    }
    assert sorted(said["node-1-files"]["repaired"]) == sorted([ARGUMENTS, CONFIG])
    assert said["node-1-files"]["kubelet"] == "restarted"
    assert said["node-1-files"]["changed"] == said["node-2-files"]["repaired"] == []
    assert before["node-1"] != after["node-1"]
    assert before["node-2"] == after["node-2"]
    project.pulumi("preview", "--expect-no-changes")


def test_a_changed_setting_of_the_pool_is_reported_once(project: Project) -> None:
    original = project.settings()
    settings = project.settings()
    settings["config"][f"{PREFIX}pools"]["workers"]["kubelet"]["maxPods"] = 60
    project.write_settings(settings)
    told = report(project)
    project.write_settings(original)
    assert f"**`{CONFIG}`** on `node-1`, `node-2`: the kubelet restarts\n" in told
    assert told.count("+maxPods: 60") == 1


def test_a_host_with_another_key_is_not_talked_to(project: Project) -> None:
    known = project.directory / ".lab/known_hosts"
    text = known.read_text()
    keys = {line.split()[0]: line.split(" ", 1)[1] for line in text.splitlines()}
    known.write_text("".join(f"{host} {keys['10.98.0.12']}\n" for host in keys))
    done = diff(project, "--node", "node-1")
    known.write_text(text)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "node-1: its host key is not the pinned one" in done.stderr
