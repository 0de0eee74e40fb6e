"""Kubelets of two versions in one pool: each is checked, joins, and runs what its file says.

Runs after all other tests on the lab by name, and leaves it with nothing joined.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.lab.project import Project
from tests.lab.test_join import FILES, ready

pytestmark = pytest.mark.lab

POOLS = "kubelet-tls-bootstrap:pools"
OLDER, NEWER = "1.35", "1.37"
# A machine of its own: those of the other modules have the newer kubelet.
MIXED = "node-8"
VERSIONS = {"node-1": NEWER, "node-2": NEWER, MIXED: OLDER}
ADDRESSES = {"node-1": "10.98.0.11", "node-2": "10.98.0.12", MIXED: "10.98.0.18"}

# Beside what is always there: values of each kind, durations as no kubelet prints them.
FIELDS: dict[str, Any] = {
    "evictionHard": {"memory.available": "64Mi", "nodefs.available": "1%"},
    "eventRecordQPS": 7,
    "imageGCHighThresholdPercent": 91,
    "imageMinimumGCAge": "300s",
    "maxPods": 43,
    "nodeStatusUpdateFrequency": "0.25m",
    "streamingConnectionIdleTimeout": "90m",
}
# What the older kubelet does not know: X25519 and P-256, by their numbers in TLS.
NEWER_FIELDS: dict[str, Any] = {"tlsCurvePreferences": [29, 23]}
PROTECTED: dict[str, Any] = {
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "readOnlyPort": 0,
    "rotateCertificates": True,
    "serverTLSBootstrap": True,
}

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
DURATION = re.compile(r"([0-9.]+)(h|ms|m|s|us|ns)")


@pytest.fixture(scope="module", autouse=True)
def original(project: Project) -> Iterator[dict[str, Any]]:
    """The settings as they were; the machines are there, nothing has joined before and after."""
    settings = project.settings()
    project.pulumi("destroy", "--yes", "--skip-preview")
    project.lab("up", "--kubelet", f"{MIXED}={OLDER}")
    yield settings
    project.pulumi("destroy", "--yes", "--skip-preview")
    project.write_settings(settings)


def with_nodes(original: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """The settings with these nodes, each with a version for its kubelet."""
    settings = copy.deepcopy(dict(original))
    pool = settings["config"][POOLS]["workers"]
    pool["kubelet"] = {**pool["kubelet"], **FIELDS}
    pool["nodes"] = [
        {
            "name": name,
            "address": ADDRESSES[name],
            "kubernetesVersion": version,
            "kubelet": copy.deepcopy(NEWER_FIELDS) if version == NEWER else {},
        }
        for name, version in versions.items()
    ]
    return settings


def seconds(text: str) -> float | None:
    """What a Go duration such as 1h30m says, or None for any other text."""
    if not re.fullmatch(rf"({DURATION.pattern})+", text):
        return None
    return sum(float(number) * SECONDS[unit] for number, unit in DURATION.findall(text))


def normal(value: Any) -> Any:
    """The value with each duration in it as seconds."""
    if isinstance(value, Mapping):
        return {key: normal(below) for key, below in value.items()}
    if isinstance(value, list):
        return [normal(below) for below in value]
    as_seconds = seconds(value) if isinstance(value, str) else None
    return value if as_seconds is None else as_seconds


def common(shown: Any, said: Any) -> Any:
    """Of `shown` what `said` speaks of: a kubelet also shows fields that no file sets.

    Go leaves zero values out of JSON (`omitempty`), so a field that is not shown is that.
    """
    if isinstance(shown, Mapping) and isinstance(said, Mapping):
        return {key: common(shown.get(key, type(said[key])()), said[key]) for key in said}
    return shown


def configz(project: Project, node: str) -> dict[str, Any]:
    """The configuration that the kubelet of a node runs with."""
    path = f"/api/v1/nodes/{node}/proxy/configz"
    shown = json.loads(project.kubectl("get", "--raw", path).stdout)
    configuration: dict[str, Any] = shown["kubeletconfig"]
    return configuration


def rendered(project: Project, node: str) -> dict[str, Any]:
    """The kubelet's configuration file, as it is on the host."""
    loaded: dict[str, Any] = yaml.safe_load(project.ssh(node, "cat /var/lib/kubelet/config.yaml"))
    return loaded


def test_a_machine_keeps_the_kubelet_that_it_was_made_with(project: Project) -> None:
    done = project.lab("up", "--kubelet", f"node-1={OLDER}", check=False)
    assert done.returncode == 1
    assert f"node-1 already exists with kubelet {NEWER}, not {OLDER}" in done.stderr


def test_settings_of_another_version_than_the_kubelets_are_refused_before_anything_is_written(
    project: Project, original: dict[str, Any]
) -> None:
    settings = with_nodes(original, {"node-2": OLDER, MIXED: NEWER})
    settings["config"]["kubelet-tls-bootstrap:stallSeconds"] = 5
    project.write_settings(settings)

    done = project.up(check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    for node, found, wanted in (("node-2", NEWER, OLDER), (MIXED, OLDER, NEWER)):
        refusal = (
            rf'is "Kubernetes v{re.escape(found)}\.\d+", but the settings say {re.escape(wanted)}'
        )
        assert re.search(refusal, said), said
        left = f"ls -d {' '.join(FILES)} /var/lib/kubelet-tls-bootstrap/manifest 2>/dev/null"
        assert project.ssh(node, left, check=False) == ""
    assert project.get("nodes")["items"] == []


def test_kubelets_of_both_versions_join_in_one_run(
    project: Project, original: dict[str, Any]
) -> None:
    project.write_settings(with_nodes(original, VERSIONS))
    project.up()

    nodes = {node["metadata"]["name"]: node for node in project.get("nodes")["items"]}
    running = {name: node["status"]["nodeInfo"]["kubeletVersion"] for name, node in nodes.items()}
    assert {name: version.rpartition(".")[0] for name, version in running.items()} == {
        name: f"v{version}" for name, version in VERSIONS.items()
    }
    assert all(ready(node) for node in nodes.values())
    told = json.loads(project.pulumi("stack", "output", "--json").stdout)["nodes"]
    versions = {n: node["kubeletVersion"] for pool in told.values() for n, node in pool.items()}
    assert versions == running
    project.pulumi("preview", "--expect-no-changes")


@pytest.mark.parametrize("node", VERSIONS)
def test_a_kubelet_runs_with_each_value_of_its_file(project: Project, node: str) -> None:
    said = normal(rendered(project, node))
    ours = FIELDS | (NEWER_FIELDS if VERSIONS[node] == NEWER else {})
    assert common(said, normal(ours)) == normal(ours)
    # Which file it is, not how the kubelet runs; /configz tells them since 1.33.
    assert (said.pop("apiVersion"), said.pop("kind")) == (
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
    )
    assert common(normal(configz(project, node)), said) == said


@pytest.mark.parametrize("node", VERSIONS)
def test_a_kubelet_runs_with_what_keeps_others_out(project: Project, node: str) -> None:
    shown = configz(project, node)
    assert common(shown, PROTECTED) == PROTECTED
    assert project.ssh(node, "ss -Htln sport = :10255") == ""
