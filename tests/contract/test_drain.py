"""What a node's leaving says and does with pods, by a real kubectl, API server and engine.

The Nodes and pods are objects alone: no kubelet runs. A pod that is evicted is gone at once, since
it has no time to end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.layout import Layout
from lab.toolchain import find
from tests.contract.engine import Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
LIMIT_S = 120
DATA = [{"name": "data", "emptyDir": {}}]
PODS, NODES = "/api/v1/namespaces/default/pods", "/api/v1/nodes"
SETS = "/apis/apps/v1/namespaces/default/statefulsets"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
CORDONED = "kubelet-tls-bootstrap/cordoned"
PROGRAM = """
import json
import pulumi
from pathlib import Path
from components import commands

for name in json.loads(Path("nodes.json").read_text()):
    commands.python_module(
        name,
        delete=f"admission leave {name} --stack organization/tiny/dev --pool workers",
        opts=pulumi.ResourceOptions(),
    )
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def programs() -> str:
    """PATH with the kubectl under test."""
    toolchain = find(Layout.find().cache)
    places = [*(map(str, toolchain.path) if toolchain else ()), os.environ["PATH"]]
    path = os.pathsep.join(places)
    assert shutil.which("kubectl", path=path), "kubectl: neither on PATH nor in the lab's cache"
    return path


@dataclass
class Scene:
    """A stack's project, and what its cluster has."""

    cluster: Cluster
    directory: Path
    made: list[str] = field(default_factory=list)

    def node(self, name: str) -> None:
        self.cluster.request("POST", NODES, {"metadata": {"name": name}})
        self.made.append(f"{NODES}/{name}")

    def pod(self, name: str, node: str, *, bare: bool = False, volumes: Any = ()) -> None:
        """Make a pod that runs on a node and is ready, labelled by its own name."""
        owners = [] if bare else [self.owner()]
        spec = {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "image": "none"}],
            "volumes": list(volumes),
        }
        metadata = {"name": name, "labels": {"app": name}, "ownerReferences": owners}
        self.cluster.request("POST", PODS, {"metadata": metadata, "spec": spec})
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"status": {"phase": "Running", "conditions": conditions}}
        self.cluster.request("PATCH", f"{PODS}/{name}/status", status)
        self.made.append(f"{PODS}/{name}")

    def owner(self) -> dict[str, Any]:
        """Return a reference to a StatefulSet, whose controller does not run here."""
        if self.cluster.gone(f"{SETS}/web"):
            labels = {"app": "none"}
            containers = [{"name": "c", "image": "none"}]
            template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
            spec = {"selector": {"matchLabels": labels}, "template": template, "serviceName": "web"}
            self.cluster.request("POST", SETS, {"metadata": {"name": "web"}, "spec": spec})
        uid = self.cluster.get(f"{SETS}/web")["metadata"]["uid"]
        kind = {"apiVersion": "apps/v1", "kind": "StatefulSet"}
        return {**kind, "name": "web", "uid": uid, "controller": True}

    def budget(self, name: str, allowed: int) -> None:
        """Make the budget of the pod of that name, as its controller would write it."""
        spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": name}}}
        self.cluster.request("POST", BUDGETS, {"metadata": {"name": name}, "spec": spec})
        self.made.append(f"{BUDGETS}/{name}")
        counts = {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
        status = {"observedGeneration": 1, "disruptionsAllowed": allowed, **counts}
        self.cluster.request("PATCH", f"{BUDGETS}/{name}/status", {"status": status})

    def settings(self, **drain: Any) -> None:
        self.directory.mkdir(exist_ok=True)
        (self.directory / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
        config = {
            "tiny:kubeconfigPath": str(self.cluster.kubeconfig),
            "tiny:pools": {"workers": {"drain": drain, "nodes": []}},
        }
        (self.directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))

    def start(self, node: str) -> "subprocess.Popen[str]":
        """Let a node leave by the stack's settings, as the engine does."""
        options = ["--stack", "organization/tiny/dev", "--pool", "workers"]
        return subprocess.Popen(
            [sys.executable, "-m", "admission", "leave", node, *options],
            cwd=self.directory,
            env={**os.environ, **self.environment()},
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        return {
            "PATH": programs(),
            "PYTHONPATH": str(ROOT),
            "PULUMI_BACKEND_URL": "file:///states",
            "NO_PROXY": "127.0.0.1",
        }

    def leave(self, node: str) -> tuple[int, str]:
        """Let a node leave; return the exit status and what was said."""
        process = self.start(node)
        _, said = process.communicate(timeout=LIMIT_S)
        print(said)  # pytest shows it if the test fails
        return process.returncode, said

    def takes_pods(self, node: str) -> bool:
        """Whether a node is as it was before anybody wanted it to leave."""
        found = self.cluster.get(f"{NODES}/{node}")
        marks = found["metadata"].get("annotations") or {}
        return not found["spec"].get("unschedulable") and CORDONED not in marks

    def has(self, path: str) -> bool:
        return not self.cluster.gone(path)

    def until_cordoned(self, node: str) -> None:
        end = time.monotonic() + LIMIT_S
        while not self.cluster.get(f"{NODES}/{node}")["spec"].get("unschedulable"):
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture
def scene(cluster: Cluster, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(cluster, tmp_path / "project")
    yield made
    for path in reversed(made.made):
        if not cluster.gone(path):
            cluster.request("DELETE", path, {"gracePeriodSeconds": 0})


@pytest.mark.parametrize(
    ("pod", "setting"),
    [
        ({"bare": True}, "force"),
        ({"volumes": DATA}, "deleteEmptyDirData"),
    ],
)
def test_what_would_be_lost_stops_a_drain_until_the_settings_allow_it(
    scene: Scene, pod: dict[str, Any], setting: str
) -> None:
    scene.node("n1")
    scene.pod("web", "n1")
    scene.pod("odd", "n1", **pod)
    scene.settings()
    status, said = scene.leave("n1")
    assert status == 1
    assert "default/odd " in said
    assert "default/web" not in said
    assert f"drain.{setting}: true" in said
    assert "n1 is not removed, and takes pods as before" in said
    assert scene.takes_pods("n1")
    assert scene.has(f"{PODS}/web")
    assert scene.has(f"{PODS}/odd")

    scene.settings(**{setting: True})
    assert scene.leave("n1")[0] == 0
    assert not scene.has(f"{PODS}/web")
    assert not scene.has(f"{PODS}/odd")
    assert not scene.has(f"{NODES}/n1")


def test_a_budget_that_never_allows_ends_the_drain_in_time_and_is_named(scene: Scene) -> None:
    scene.node("n1")
    scene.pod("web", "n1")
    scene.pod("free", "n1")
    scene.budget("web", 0)
    scene.settings(timeoutSeconds=6)
    began = time.monotonic()
    status, said = scene.leave("n1")
    assert status == 1
    assert 6 <= time.monotonic() - began < 25
    assert "n1 is not drained after 6 s: the PodDisruptionBudget default/web does not allow" in said
    assert "the eviction of default/web." in said
    assert scene.takes_pods("n1")
    assert scene.has(f"{PODS}/web")
    assert not scene.has(f"{PODS}/free")

    scene.cluster.request("DELETE", f"{BUDGETS}/web")
    assert scene.leave("n1")[0] == 0
    assert not scene.has(f"{NODES}/n1")


def test_a_node_that_a_finalizer_keeps_has_not_left(scene: Scene) -> None:
    """Its kubelet may set one itself; a Node that stays is no success."""
    scene.node("n1")
    path = f"{NODES}/n1"
    scene.cluster.request("PATCH", path, {"metadata": {"finalizers": ["example.org/volumes"]}})
    scene.settings()
    status, said = scene.leave("n1")
    scene.cluster.request("PATCH", path, {"metadata": {"finalizers": None}})
    assert status == 1
    assert "n1: its Node is deleted once example.org/volumes is removed from its finalizers" in said
    assert "the Node n1 is still there" in said
    assert not scene.has(path)
    assert scene.leave("n1")[0] == 0


@pytest.mark.parametrize(("parallel", "least_s"), [(1, 12), (2, 6)])
def test_only_so_many_nodes_of_a_pool_are_drained_at_once(
    scene: Scene, parallel: int, least_s: float
) -> None:
    names = ["n1", "n2"]
    for name in names:
        scene.node(name)
        scene.pod(f"web-{name}", name)
        scene.budget(f"web-{name}", 0)
    scene.settings(timeoutSeconds=6, parallel=parallel)
    began = time.monotonic()
    processes = [scene.start(name) for name in names]
    for name in names:  # so that no pod moves from one to the other
        scene.until_cordoned(name)
    said = "".join(process.communicate(timeout=LIMIT_S)[1] for process in processes)
    assert time.monotonic() - began >= least_s, said
    assert ("waits for its turn: drain.parallel is 1" in said) is (parallel == 1)
    assert all(map(scene.takes_pods, names))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drain_leaves_the_node_as_it_was(scene: Scene, number: int) -> None:
    scene.node("n1")
    scene.pod("web", "n1")
    scene.budget("web", 0)
    scene.settings()
    process = scene.start("n1")
    scene.until_cordoned("n1")
    time.sleep(1)
    process.send_signal(number)
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "interrupted" in said
    assert scene.takes_pods("n1")


def test_after_a_kill_the_next_run_ends_the_cordon_of_the_last(scene: Scene) -> None:
    scene.node("n1")
    scene.pod("web", "n1")
    scene.budget("web", 0)
    scene.settings(timeoutSeconds=3)
    process = scene.start("n1")
    scene.until_cordoned("n1")
    process.kill()
    process.communicate()
    assert not scene.takes_pods("n1")
    assert scene.leave("n1")[0] == 1
    assert scene.takes_pods("n1")


def test_a_cordon_of_somebody_else_stays(scene: Scene) -> None:
    scene.node("n1")
    scene.pod("odd", "n1", bare=True)
    scene.cluster.request("PATCH", f"{NODES}/n1", {"spec": {"unschedulable": True}})
    scene.settings()
    assert scene.leave("n1")[0] == 1
    assert scene.cluster.get(f"{NODES}/n1")["spec"]["unschedulable"] is True


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_turns_and_the_engines_slots_stop_no_run(scene: Scene, tmp_path: Path, slots: int) -> None:
    """Five nodes leave, one at a time, in fewer slots, as many and more."""
    names = [f"n{number}" for number in range(5)]
    for name in names:
        scene.node(name)
        scene.pod(f"web-{name}", name)
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(PROGRAM)
    (stack.project / "nodes.json").write_text(json.dumps(names))
    environment = {**scene.environment(), "KUBELET_TLS_BOOTSTRAP_PYTHON": sys.executable}
    del environment["PATH"], environment["PULUMI_BACKEND_URL"]
    stack.select()
    config = {
        "tiny:kubeconfigPath": str(scene.cluster.kubeconfig),
        "tiny:pools": {"workers": {"nodes": []}},
    }
    settings = stack.project / "Pulumi.dev.yaml"
    settings.write_text(
        yaml.safe_dump({**(yaml.safe_load(settings.read_text()) or {}), "config": config})
    )
    assert stack.up(**environment).status == 0
    (stack.project / "nodes.json").write_text("[]")
    parallel = ("--parallel", str(slots))
    up = ("up", "--yes", "--skip-preview", "--stack", "dev", *parallel)
    done = stack.run(*up, **environment)
    assert done.status == 0, done.said
    assert not any(scene.has(f"{NODES}/{name}") for name in names)
    # With more slots it is chance who is there at the same time.
    assert slots > 1 or "waits for its turn" not in done.said
