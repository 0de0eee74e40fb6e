"""What is wrong ends with one clear error, keeps no other node out, and a second run goes on.

Runs before `test_join` by name, on the same lab, and leaves it with nothing joined.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.project import Project

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"


@pytest.fixture(scope="module", autouse=True)
def nothing_joined_after(project: Project) -> Iterator[None]:
    original = project.settings()
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


def failed(project: Project, settings: dict[str, Any]) -> str:
    """What `pulumi up` says when it fails with these settings."""
    project.write_settings(settings)
    done = project.up(check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def files_of_ours(project: Project, node: str) -> str:
    return project.ssh(node, "ls -A /etc/kubernetes /var/lib/kubelet 2>/dev/null", check=False)


def test_all_problems_of_the_settings_come_at_once_and_nothing_is_touched(
    project: Project, settings: dict[str, Any]
) -> None:
    nodes = settings["config"][f"{PREFIX}pools"]["workers"]["nodes"]
    nodes[0]["address"] = "10.98.0.300"
    nodes[1]["adress"] = "10.98.0.12"
    said = failed(project, settings)
    assert 'pools.workers.nodes[0].address "10.98.0.300" is not an IP address' in said
    assert "pools.workers.nodes[1].adress" in said
    assert "address?" in said
    assert "Traceback" not in said
    assert project.state_resources() == []


def test_the_missing_flags_of_a_control_plane_that_may_not_be_managed_are_listed(
    project: Project, settings: dict[str, Any]
) -> None:
    settings["config"][f"{PREFIX}controlPlane"]["manage"] = False
    units = "systemctl show --property ExecMainStartTimestamp kube-apiserver"
    started = project.ssh("cp-1", units)
    said = failed(project, settings)
    assert "kube-apiserver runs without --enable-bootstrap-token-auth=true" in said
    assert (
        "kube-controller-manager runs without"
        " --cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt"
        " --cluster-signing-key-file=/etc/kubernetes/pki/ca.key"
        " --controllers=*,bootstrapsigner,tokencleaner"
    ) in said
    assert project.ssh("cp-1", units) == started
    assert files_of_ours(project, "node-1") == ""


def test_an_unreachable_api_server_is_named(project: Project, settings: dict[str, Any]) -> None:
    kubeconfig = (project.directory / ".lab/kubeconfig").read_text()
    other = project.directory / ".lab/kubeconfig-unreachable"
    other.touch(mode=0o600)
    other.write_text(kubeconfig.replace(":6443", ":6444"))
    settings["config"][f"{PREFIX}kubeconfigPath"] = ".lab/kubeconfig-unreachable"
    said = failed(project, settings)
    assert "nothing was changed: the API server does not answer" in said
    assert "10.98.0.10:6444" in said
    assert files_of_ours(project, "node-1") == ""


def test_a_wrong_ca_in_the_kubeconfig_is_named(project: Project, settings: dict[str, Any]) -> None:
    kubeconfig = project.settings_of_kubeconfig()
    kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"] = other_ca(project)
    project.write_yaml(".lab/kubeconfig-wrong-ca", kubeconfig)
    settings["config"][f"{PREFIX}kubeconfigPath"] = ".lab/kubeconfig-wrong-ca"
    said = failed(project, settings)
    assert "certificate" in said
    assert files_of_ours(project, "node-1") == ""


def test_a_wrong_host_key_is_refused_before_anything_is_sent(
    project: Project, settings: dict[str, Any]
) -> None:
    known_hosts = (project.directory / ".lab/known_hosts").read_text().splitlines()
    keys = {line.split()[0]: line.split(maxsplit=1)[1] for line in known_hosts}
    nodes = settings["config"][f"{PREFIX}pools"]["workers"]["nodes"]
    nodes[0]["hostKey"] = keys["10.98.0.12"]
    settings["config"][f"{PREFIX}stallSeconds"] = 15
    said = failed(project, settings)
    assert "node-1 (10.98.0.11): its host key is not the pinned one" in said
    assert files_of_ours(project, "node-1") == ""
    # The other machine of the pool is not kept out.
    project.kubectl("wait", "node/node-2", "--for=condition=Ready", "--timeout=10s")
    # And whoever reads the stack's outputs sees who has joined, and who has not.
    assert "Traceback" not in said
    outputs = json.loads(project.pulumi("stack", "output", "--json").stdout)
    assert outputs["nodes"]["workers"].keys() == {"node-2"}
    (pending,) = outputs["pendingNodes"]
    assert (pending["name"], pending["pool"]) == ("node-1", "workers")
    assert pending["reason"]


def test_a_wrong_ssh_key_is_named(project: Project, settings: dict[str, Any]) -> None:
    other = project.directory / ".lab/other_key"
    project.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other))
    settings["config"][f"{PREFIX}ssh"]["privateKeyPath"] = ".lab/other_key"
    said = failed(project, settings)
    assert "unable to authenticate" in said
    assert files_of_ours(project, "node-1") == ""


def test_a_dead_machine_keeps_no_other_out_and_a_second_run_goes_on(
    project: Project, settings: dict[str, Any]
) -> None:
    nodes = settings["config"][f"{PREFIX}pools"]["workers"]["nodes"]
    known_hosts = (project.directory / ".lab/known_hosts").read_text().splitlines()
    host_key = known_hosts[0].split(maxsplit=1)[1]
    nodes.append({"name": "node-9", "address": "10.98.0.99", "hostKey": host_key})
    settings["config"][f"{PREFIX}stallSeconds"] = 15
    said = failed(project, settings)
    assert "node-9" in said
    for node in ("node-1", "node-2"):
        project.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=10s")

    nodes.pop()
    project.write_settings(settings)
    project.up()
    project.pulumi("preview", "--expect-no-changes")


def other_ca(project: Project) -> str:
    """The base64 text of the certificate of a CA that signed nothing here."""
    key, certificate = ".lab/other-ca.key", ".lab/other-ca.crt"
    project.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-subj", "/CN=other", "-days", "1", "-keyout", key, "-out", certificate,
    )  # fmt: skip
    path: Path = project.directory / certificate
    return project.run("base64", "-w0", str(path)).stdout
