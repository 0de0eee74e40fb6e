"""Joined kubelets follow the settings when paths, the server or the CA's form change.

Nobody joins again for that: each keeps its certificate. Begins and ends with nothing joined.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.lab.kubelet import is_alive, main_pid, nodes, serial, starts
from tests.lab.project import Project, change_pool
from tests.lab.test_failures import PREFIX, quietly
from tests.lab.test_join import FIRST_NODES

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("joined_nodes")]

KUBECONFIG = "/etc/kubernetes/kubelet.conf"
DEFAULT_PATHS = (
    KUBECONFIG,
    "/etc/kubernetes/kubelet.env",
    "/etc/kubernetes/pki/ca.crt",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
)
CLASSIC_CERTIFICATE = "/etc/kubernetes/ssl/kubelet-client-current.pem"
CLASSIC_PATHS = (
    "/etc/kubernetes/kubelet.kubeconfig",
    "/etc/kubernetes/kubelet",
    "/etc/kubernetes/ssl/ca.pem",
    "/etc/kubernetes/kubelet.yaml",
    CLASSIC_CERTIFICATE,
)


@pytest.fixture(scope="module", autouse=True)
def a_user_for_the_classic_layout(joined_nodes: None, project: Project) -> Iterator[None]:
    for node in FIRST_NODES:
        project.ssh(node, "useradd --system kube")
    yield
    for node in FIRST_NODES:
        project.ssh(node, "pkill -u kube; userdel kube; rm -rf /data")


def requests(project: Project) -> set[str]:
    return {csr["metadata"]["name"] for csr in project.get("csr")["items"]}


def there(project: Project, node: str, *paths: str) -> set[str]:
    """Which of the paths exist on the machine."""
    return set(project.ssh(node, f"ls -d {' '.join(paths)} 2>/dev/null || true").split())


def kubeconfig(project: Project, node: str, path: str = KUBECONFIG) -> dict[str, Any]:
    """What the kubelet's kubeconfig says of the cluster."""
    loaded = yaml.safe_load(project.ssh(node, f"cat {path}"))
    (cluster,) = loaded["clusters"]
    found: dict[str, Any] = cluster["cluster"]
    return found


def change(project: Project, settings: dict[str, Any], **values: Any) -> None:
    """One `up` with these values for the pool: each kubelet restarts once, as who it is."""
    change_pool(settings, values)
    follow(project, settings)


def follow(project: Project, settings: dict[str, Any]) -> None:
    project.write_settings(settings)
    before = {node: starts(project, node) for node in FIRST_NODES}
    uids, csrs = nodes(project), requests(project)
    project.up()
    assert {node: starts(project, node) - before[node] for node in FIRST_NODES} == dict.fromkeys(
        FIRST_NODES, 1
    )
    assert nodes(project) == uids
    assert requests(project) == csrs
    for node in FIRST_NODES:
        is_alive(project, node)
        assert project.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz").stdout == "ok"
    project.pulumi("preview", "--expect-no-changes")


def test_the_classic_preset_moves_a_joined_kubelet_and_back(
    project: Project, settings: dict[str, Any]
) -> None:
    serials = {node: serial(project, node) for node in FIRST_NODES}
    change(project, settings, preset="classic")
    for node in FIRST_NODES:
        assert serial(project, node, CLASSIC_CERTIFICATE) == serials[node]
        assert there(project, node, *DEFAULT_PATHS) == set()
        assert there(project, node, *CLASSIC_PATHS) == set(CLASSIC_PATHS)
        arguments = project.ssh(node, "tr '\\0' '\\n' </proc/$(pidof kubelet)/cmdline")
        assert "--root-dir=/data/kubelet\n" in arguments

    change(project, settings, preset=None)
    for node in FIRST_NODES:
        assert serial(project, node) == serials[node]
        assert there(project, node, *CLASSIC_PATHS) == set()
        assert there(project, node, *DEFAULT_PATHS) == set(DEFAULT_PATHS)


@pytest.mark.long
def test_another_path_of_the_kubeconfig_alone(project: Project, settings: dict[str, Any]) -> None:
    serials = {node: serial(project, node) for node in FIRST_NODES}
    other = "/etc/kubernetes/other.conf"
    for paths, now, before in (
        (({"kubeconfig": other}), other, KUBECONFIG),
        (None, KUBECONFIG, other),
    ):
        change(project, settings, paths=paths)
        for node in FIRST_NODES:
            assert there(project, node, now, before) == {now}
            mode = project.ssh(node, f"stat -c '%a %U:%G' {now}")
            assert mode == "600 root:root\n"
            assert serial(project, node) == serials[node]


@pytest.mark.long
def test_another_server_and_an_embedded_ca_reach_the_kubelets_kubeconfig(
    project: Project, settings: dict[str, Any]
) -> None:
    """By a name of the API server that its certificate holds, and the machines know."""
    for node in FIRST_NODES:
        project.ssh(node, "echo 10.98.0.10 cp-1 >>/etc/hosts")
    serials = {node: serial(project, node) for node in FIRST_NODES}
    settings["config"][f"{PREFIX}cluster"]["server"] = "https://cp-1:6443"
    change(project, settings, embedCa=True)
    for node in FIRST_NODES:
        found = kubeconfig(project, node)
        assert found.keys() == {"server", "certificate-authority-data"}
        assert found["server"] == "https://cp-1:6443"
        assert serial(project, node) == serials[node]

    del settings["config"][f"{PREFIX}cluster"]["server"]
    change(project, settings, embedCa=None)
    for node in FIRST_NODES:
        assert kubeconfig(project, node) == {
            "server": "https://10.98.0.10:6443",
            "certificate-authority": "/etc/kubernetes/pki/ca.crt",
        }
        project.ssh(node, "sed -i '/ cp-1$/d' /etc/hosts")


def test_a_new_name_of_the_cluster_touches_nothing_in_it(
    project: Project, settings: dict[str, Any]
) -> None:
    before, pids = ours(project), {node: main_pid(project, node) for node in FIRST_NODES}
    assert {kind for kind, _ in before} == {
        *("ClusterRole", "ClusterRoleBinding", "ConfigMap", "Node", "Secret"),
    }
    settings["config"][f"{PREFIX}cluster"]["name"] = "another"
    project.write_settings(settings)
    project.up()

    assert ours(project) == before
    assert {node: main_pid(project, node) for node in FIRST_NODES} == pids
    project.pulumi("preview", "--expect-no-changes")


def ours(project: Project) -> dict[tuple[str, str], str]:
    """The UID of each object that the stack has made, and of each Node."""
    listed = [
        item
        for kinds in (
            ("clusterroles,clusterrolebindings",),
            ("secrets,configmaps", "-n", "kube-system"),
            ("nodes",),
        )
        for item in quietly(project, "get", *kinds)["items"]
    ]
    made = re.compile(
        "kubelet-bootstrap|auto-approve-csrs-for-group|node-(client|server)-cert-renewal"
        "|approve-node-server-renewal-csr|bootstrap-token-.*|.*workers.*|node-[0-9]+"
    )
    return {
        (item["kind"], item["metadata"]["name"]): item["metadata"]["uid"]
        for item in listed
        if made.fullmatch(item["metadata"]["name"])
    }
