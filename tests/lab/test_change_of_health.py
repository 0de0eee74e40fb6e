"""A change that kubelets can't do: undone where it was made, and the other machines are let alone.

Each test leaves three nodes as they were.
"""

import copy
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.lab.kubelet import is_alive, main_pid
from tests.lab.project import Project
from tests.lab.test_failures import PREFIX, quietly, until
from tests.lab.test_files import CONFIG, POOLS, STATE, bundle, max_pods
from tests.lab.test_join import ready

pytestmark = pytest.mark.lab

NODES = ("node-1", "node-2", "node-3")
# What containers on this host can't do.
BAD = "| cgroupsPerQOS: false", "| cgroupsPerQOS: true"
# Kills whoever installs so many seconds after it has begun, and waits until the machine settles.
KILLED = f"""\
cd {STATE} || exit 1
cat >brought
hash=$(sha256sum <brought)
echo "bundle ${{hash%% *}}" | timeout -k 10 300 sh {STATE}/brought install_brought >/dev/null 2>&1 &
sleep "$1"
pkill -KILL -f 'brought install_brought'
tries=0
while [ -e former ] && [ $tries -lt 600 ]; do
    sleep 0.1 && tries=$((tries + 1))
done
ls {STATE}
"""


@pytest.fixture(scope="module", autouse=True)
def three_nodes(project: Project) -> Iterator[None]:
    original = project.settings()
    settings = copy.deepcopy(original)
    pool = settings["config"][POOLS]["workers"]
    pool["nodes"] = [
        *({"name": name, "address": f"10.98.0.1{name[-1]}"} for name in NODES),
    ]
    settings["config"][f"{PREFIX}stallSeconds"] = 20
    project.write_settings(settings)
    project.lab("up", "--nodes", "3")
    project.up()
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


def kubelet(project: Project, **fields: Any) -> dict[str, Any]:
    """Change fields of the kubelets' configuration, and return the settings as they were."""
    original = project.settings()
    settings = copy.deepcopy(original)
    settings["config"][POOLS]["workers"]["kubelet"] |= fields
    project.write_settings(settings)
    return original


def logins(project: Project, node: str) -> int:
    """How often sshd has let anybody in; to ask is one login more."""
    journal = project.ssh(node, "journalctl -o cat -t sshd | cat")
    return journal.count("Accepted publickey")


def healthy(project: Project, node: str) -> bool:
    """What the kubelet itself says."""
    url = f"/api/v1/nodes/{node}/proxy/healthz"
    return project.kubectl("get", "--raw", url, check=False).stdout == "ok"


def is_ready(project: Project, node: str) -> bool:
    """Whether its Node is Ready; an API server that has just started may not answer."""
    found = quietly(project, "get", "node", node)
    return bool(found) and ready(found)


def pids(project: Project) -> dict[str, int]:
    return {node: main_pid(project, node) for node in NODES}


def test_one_machine_finds_out_and_no_other_is_touched(project: Project) -> None:
    before, config = pids(project), project.ssh("node-1", f"cat {CONFIG}")
    counts = {node: logins(project, node) for node in NODES[1:]}
    original = kubelet(project, cgroupsPerQOS=True)
    began = time.monotonic()
    done = project.up(check=False)
    assert time.monotonic() - began < 60
    assert healthy(project, "node-1")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "node-1: the kubelet is not healthy with its new files: it keeps stopping" in said
    assert "Failed to start ContainerManager" in said
    assert "the former files are back; the kubelet is healthy with them" in said
    assert said.count("not changed, because node-1 has failed") >= 2
    assert project.ssh("node-1", f"cat {CONFIG}") == config
    # The one more is the question itself.
    assert {node: logins(project, node) for node in NODES[1:]} == {
        node: count + 1 for node, count in counts.items()
    }
    assert {node: pid for node, pid in pids(project).items() if node != "node-1"} == {
        node: before[node] for node in NODES[1:]
    }
    is_alive(project, "node-1")
    project.write_settings(original)
    project.up()
    assert pids(project)["node-2"] == before["node-2"]
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_a_good_change_reaches_one_after_the_other(project: Project) -> None:
    original = kubelet(project, maxPods=61)
    told = project.pulumi("preview").stdout
    assert "workers: 3 nodes change in waves: node-1 first, then 1 at a time" in told
    done = project.up()
    # The gate proves the last one, and all of them once more.
    assert done.stdout.index("node-1: works since") < done.stdout.index("node-2: works since")
    assert [max_pods(project, node) for node in NODES] == [61, 61, 61]
    starts = [
        project.ssh(node, 'date -d "$(systemctl show -p ActiveEnterTimestamp --value kubelet)" +%s')
        for node in NODES
    ]
    assert starts == sorted(set(starts))
    project.pulumi("preview", "--expect-no-changes")
    project.write_settings(original)
    project.up()


@pytest.mark.long
def test_what_the_api_server_can_not_reach_stops_at_the_first_node(project: Project) -> None:
    before = pids(project)
    original = kubelet(project, address="127.0.0.1")
    settings = project.settings()
    settings["config"][POOLS]["workers"]["unsafe"] = ["address"]
    project.write_settings(settings)
    done = project.up(check=False)
    assert done.returncode != 0
    assert "not changed, because node-1: " in done.stdout
    assert "the API server does not reach it" in done.stdout
    after = pids(project)
    assert {n for n in NODES if after[n] != before[n]} == {"node-1"}
    project.write_settings(original)
    project.up()
    is_alive(project, "node-1")


@pytest.mark.long
def test_a_change_that_the_cluster_does_not_see_fails(project: Project) -> None:
    """The API server is gone from the kubelet's restart on, for longer than the gate waits."""
    original = kubelet(project, maxPods=62)
    settings = project.settings()
    settings["config"][POOLS]["workers"]["rollout"] = {"canary": 3, "maxUnavailable": 3}
    project.write_settings(settings)
    before = main_pid(project, "node-1")

    def stop() -> None:
        until(lambda: main_pid(project, "node-1") not in (0, before), 120)
        project.ssh(
            "cp-1", "systemctl stop kube-apiserver; sleep 60; systemctl start kube-apiserver"
        )

    outage = threading.Thread(target=stop)
    outage.start()
    done = project.up(check=False)
    outage.join()
    assert done.returncode != 0
    assert re.search("API server .* does not answer", done.stdout + done.stderr)
    for node in NODES:
        # One that has started without an API server may wait for minutes until it reports.
        project.ssh(node, "systemctl restart kubelet")
        until(partial(is_ready, project, node), 120)
    project.up()
    project.pulumi("preview", "--expect-no-changes")
    project.write_settings(original)
    project.up()


# From the first change on, over the crashes, to the former files' proof.
POINTS = [0.3, 0.6, 1.0, 1.5, 2.5, 4.0, 6.0, 8.0, 11.0, 13.0]


@pytest.mark.long
@pytest.mark.parametrize("after_s", POINTS)
def test_a_run_that_is_killed_leaves_no_kubelet_down(project: Project, after_s: float) -> None:
    text = bundle(project, "node-2").replace(*BAD)
    assert BAD[1] in text
    # In a file, since a command line with this text would be killed, too.
    ssh = ".venv/bin/python", "-m", "lab", "ssh", "node-2"
    project.run(*ssh, "cat >/run/killed", stdin=KILLED)
    left = project.run(*ssh, f"sh /run/killed {after_s}", stdin=text).stdout
    assert "former" not in left.split()
    until(lambda: healthy(project, "node-2"))
    is_alive(project, "node-2")
    # The settings are still the former ones, and what was installed is what the stack has.
    settings = project.settings()
    settings["config"][POOLS]["workers"]["nodes"][1]["repair"] = int(after_s * 10)
    project.write_settings(settings)
    report = project.up().stdout
    assert "cgroupsPerQOS: false" in project.ssh("node-2", f"cat {CONFIG}")
    assert healthy(project, "node-2")
    assert "failed" not in report
    assert set(project.ssh("node-2", f"ls {STATE}").split()) <= {
        *("bundle", "lock", "manifest", "restarted"),
    }
