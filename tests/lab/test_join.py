"""Two machines join, a third follows, all leave and come back: seen on the cluster and the hosts.

The tests of this module tell one story and run in their order.
"""

import ipaddress
import itertools
import json
import re
import time
from datetime import datetime
from typing import Any

import pytest

from tests.lab.project import Project

pytestmark = pytest.mark.lab

FIRST_NODES = ("node-1", "node-2")
ADDRESSES = {"node-1": "10.98.0.11", "node-2": "10.98.0.12", "node-3": "10.98.0.13"}
API_SERVER = "https://10.98.0.10:6443"

# Path on a node -> mode and owner, as `stat -c '%a %U:%G'` prints them.
FILES = {
    "/etc/kubernetes/kubelet.env": "600 root:root",
    "/etc/kubernetes/kubelet.conf": "600 root:root",
    "/etc/kubernetes/pki/ca.crt": "644 root:root",
    "/etc/kubernetes/manifests": "700 root:root",
    "/etc/systemd/system/kubelet.service": "600 root:root",
    "/var/lib/kubelet": "700 root:root",
    "/var/lib/kubelet/config.yaml": "600 root:root",
}
BOOTSTRAP_KUBECONFIG = "/etc/kubernetes/bootstrap-kubelet.conf"


def ready(node: dict[str, Any]) -> bool:
    conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    return conditions.get("Ready") == "True"


def serving_certificate(project: Project, node: str, *options: str) -> str:
    """What openssl says of the certificate that is live on the node's port 10250."""
    live = project.run(
        "openssl", "s_client", "-connect", f"{ADDRESSES[node]}:10250",
        "-CAfile", ".lab/ca.crt", "-verify_return_error", stdin="",
    ).stdout  # fmt: skip
    return project.run("openssl", "x509", "-noout", *options, stdin=live).stdout


def subject_alternative_names(project: Project, node: str) -> set[str]:
    text = serving_certificate(project, node, "-ext", "subjectAltName")
    return set(re.findall(r"(?:DNS|IP Address):[^,\s]+", text))


def run_pod(project: Project, node: str, **more: Any) -> str:
    """Run a pod on the node, with more in its spec, and return its name once it runs."""
    name = f"hello-{node}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            **more,
            "nodeName": node,
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "hello",
                    "image": "lab/busybox:1",
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", f"echo hello from {node}; exec sleep 3600"],
                }
            ],
        },
    }
    project.run("kubectl", "apply", "-f", "-", stdin=json.dumps(pod))
    project.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
    return name


def token_secrets(project: Project) -> set[str]:
    secrets = project.live_token_secrets()
    assert len(secrets) == len(FIRST_NODES)
    return secrets


def api_status(project: Project, header: str) -> str:
    """The API server's HTTP status for a request with this header."""
    return project.run(
        "curl", "--silent", "--cacert", ".lab/ca.crt", "--header", "@-",
        "--output", "/dev/null", "--write-out", "%{http_code}", f"{API_SERVER}/api",
        stdin=header,
    ).stdout  # fmt: skip


def ssh_logins(project: Project, node: str) -> int:
    """How often sshd let somebody in: the test's own logins too, so count twice and subtract."""
    return project.ssh(node, "journalctl -o cat -t sshd | cat").count("Accepted publickey")


def test_pulumi_up_joins_both_machines(project: Project) -> None:
    project.up()

    nodes = {n["metadata"]["name"]: n for n in project.get("nodes")["items"]}
    assert set(nodes) == set(FIRST_NODES)
    assert all(ready(node) for node in nodes.values())
    pending = [c for c in project.get("csr")["items"] if not c["status"].get("certificate")]
    assert pending == []


@pytest.mark.parametrize("node", FIRST_NODES)
def test_the_client_certificate_is_the_nodes_own(project: Project, node: str) -> None:
    subject = project.ssh(
        node,
        "openssl x509 -noout -subject -nameopt RFC2253"
        " -in /var/lib/kubelet/pki/kubelet-client-current.pem",
    )
    assert subject.strip() == f"subject=CN=system:node:{node},O=system:nodes"


@pytest.mark.parametrize("node", FIRST_NODES)
def test_the_serving_certificate_has_the_nodes_names_and_no_other(
    project: Project, node: str
) -> None:
    assert subject_alternative_names(project, node) == {
        f"DNS:{node}",
        f"IP Address:{ADDRESSES[node]}",
    }
    assert serving_certificate(project, node, "-subject", "-nameopt", "RFC2253").strip() == (
        f"subject=CN=system:node:{node},O=system:nodes"
    )


@pytest.mark.parametrize("node", FIRST_NODES)
def test_a_pod_runs_and_answers_logs_and_exec(project: Project, node: str) -> None:
    pod = run_pod(project, node)
    assert project.kubectl("logs", pod).stdout == f"hello from {node}\n"
    assert project.kubectl("exec", pod, "--", "hostname").stdout.strip() == node


def test_the_token_no_longer_authenticates(project: Project) -> None:
    outputs = json.loads(project.pulumi("stack", "output", "--json").stdout)
    ids = outputs["bootstrapTokenId"]["workers"]
    assert set(ids) == set(FIRST_NODES)
    for token_id, half in itertools.product(ids.values(), token_secrets(project)):
        header = f"Authorization: Bearer {token_id}.{half}\n"
        # An API server remembers for ten seconds that a token was right (pkg/kubeapiserver/
        # authenticator/config.go, TokenSuccessCacheTTL).
        deadline = time.monotonic() + 20
        while (status := api_status(project, header)) != "401" and time.monotonic() < deadline:
            time.sleep(1)
        assert status == "401"
    for token_id in ids.values():
        secret = project.get("secret", "-n", "kube-system", f"bootstrap-token-{token_id}")
        assert secret["data"].get("token-secret", "") == ""


@pytest.mark.parametrize("node", FIRST_NODES)
def test_files_on_the_host_have_their_modes_and_owners(project: Project, node: str) -> None:
    printed = project.ssh(node, f"stat -c '%n %a %U:%G' {' '.join(FILES)}")
    assert dict(line.split(" ", 1) for line in printed.splitlines()) == FILES


@pytest.mark.parametrize("node", FIRST_NODES)
def test_no_token_is_left_on_the_host(project: Project, node: str) -> None:
    assert project.ssh(node, f"test -e {BOOTSTRAP_KUBECONFIG} || echo gone") == "gone\n"
    pattern = f"/tmp/pattern-{time.time_ns()}"
    project.run(
        ".venv/bin/python", "-m", "lab", "ssh", node, f"umask 077; cat > {pattern}",
        stdin="".join(f"{secret}\n" for secret in token_secrets(project)),
    )  # fmt: skip
    found = project.ssh(
        node,
        f"grep -rlsF -f {pattern} /etc /var/lib/kubelet /root /var/log /run/systemd; rm {pattern}",
        check=False,
    )
    assert found == ""


def test_a_preview_right_after_up_shows_no_change(project: Project) -> None:
    project.pulumi("preview", "--expect-no-changes")


def test_a_preview_after_a_refresh_shows_no_change(project: Project) -> None:
    project.pulumi("refresh", "--yes", "--skip-preview")
    project.pulumi("preview", "--expect-no-changes")


def recorded(project: Project) -> Any:
    """What the stack's outputs tell of the pool's nodes."""
    return json.loads(project.pulumi("stack", "output", "nodes", "--json").stdout)["workers"]


def test_outputs_tell_each_node_and_no_secret(project: Project) -> None:
    printed = project.pulumi("stack", "output", "--json").stdout
    outputs = json.loads(printed)
    assert outputs["clusterEndpoint"] == API_SERVER
    nodes = recorded(project)
    assert set(nodes) == set(FIRST_NODES)
    asked = {
        request["spec"]["username"]
        for request in project.get("csr")["items"]
        if request["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet"
    }
    for name, node in nodes.items():
        end = serving_certificate(project, name, "-enddate", "-dateopt", "iso_8601").strip()
        assert ipaddress.ip_address(node["address"]) == ipaddress.ip_address(ADDRESSES[name])
        assert node["kubeletVersion"].startswith("v1.37.")
        assert end == f"notAfter={node['servingCertificateEnd'].replace('T', ' ')}"
        assert f"system:bootstrap:{node['tokenId']}" in asked
        assert node["approvedBy"] == {"client": "gate", "serving": "gate"}
        since = datetime.fromisoformat(node["joined"]).timestamp()
        made = project.get("node", name)["metadata"]["creationTimestamp"]
        assert datetime.fromisoformat(made).timestamp() <= since <= time.time()
    assert len(project.token_secrets) > len(FIRST_NODES)  # and what they were made from
    assert not [secret for secret in project.token_secrets if secret in printed]
    assert "[secret]" not in printed


def test_a_third_node_touches_no_other(project: Project) -> None:
    project.lab("up", "--nodes", "3")
    settings = project.settings()
    nodes = settings["config"]["kubelet-tls-bootstrap:pools"]["workers"]["nodes"]
    nodes.append({"name": "node-3", "address": ADDRESSES["node-3"]})
    project.write_settings(settings)

    changes = project.preview()
    assert changes.keys() == {
        "node-3-files", "node-3-member",
        "node-3-token", "workers-token-seed", "workers-gate", "workers-inventory", "workers",
        "node-1-token", "node-2-token",  # deleted: they are dead
    }  # fmt: skip

    told = recorded(project)
    before = {node: ssh_logins(project, node) for node in FIRST_NODES}
    project.up()
    after = {node: ssh_logins(project, node) for node in FIRST_NODES}
    # Each count adds its own login, which the next count sees.
    assert {node: after[node] - before[node] for node in FIRST_NODES} == dict.fromkeys(
        FIRST_NODES, 1
    )
    assert ready(project.get("node", "node-3"))
    assert {node: entry for node, entry in recorded(project).items() if node in told} == told
    project.pulumi("preview", "--expect-no-changes")


def test_destroy_leaves_neither_files_nor_objects(project: Project) -> None:
    project.pulumi("destroy", "--yes", "--skip-preview")

    assert project.get("nodes")["items"] == []
    names = {
        "clusterrolebinding": (
            "kubelet-bootstrap", "auto-approve-csrs-for-group",
            "node-client-cert-renewal", "node-server-cert-renewal",
        ),
        "clusterrole": ("approve-node-server-renewal-csr",),
    }  # fmt: skip
    for kind, ours in names.items():
        left = {item["metadata"]["name"] for item in project.get(kind)["items"]}
        assert left.isdisjoint(ours)
    secrets = project.get("secrets", "-n", "kube-system")["items"]
    assert [s for s in secrets if s["type"] == "bootstrap.kubernetes.io/token"] == []
    for node in ADDRESSES:
        paths = " ".join((*FILES, BOOTSTRAP_KUBECONFIG, "/var/lib/kubelet-tls-bootstrap"))
        left = project.ssh(node, f"ls -d {paths} 2>/dev/null", check=False).split()
        # Directories that others write to as well are kept unless they are empty.
        assert left == [], f"left on {node}: {left}"
        assert project.ssh(node, "systemctl is-active kubelet", check=False) == "inactive\n"


def test_a_new_up_joins_them_again(project: Project) -> None:
    project.up()
    nodes = {n["metadata"]["name"]: n for n in project.get("nodes")["items"]}
    assert set(nodes) == set(ADDRESSES)
    assert all(ready(node) for node in nodes.values())
    project.pulumi("preview", "--expect-no-changes")
