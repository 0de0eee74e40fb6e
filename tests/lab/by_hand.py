"""The manual procedure, typed by hand: flags, bindings, a token, and a node with its kubelet.

What a current kubelet no longer knows is left out, and it gets what any does in a container of the
lab. Everything else is as the procedure has it, with its paths.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from admission.rules import SERVING_SIGNER
from tests.lab.kubelet import main_pid
from tests.lab.project import Project
from tests.lab.test_failures import quietly, until
from tests.lab.test_files import POOLS
from tests.lab.test_join import API_SERVER
from tests.unit.test_versions_seed import FIELDS, whole

CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"
BINDINGS = {
    "kubelet-bootstrap": ("system:node-bootstrapper", "system:bootstrappers"),
    "auto-approve-csrs-for-group": (f"{CSR_ROLE}:nodeclient", "system:bootstrappers"),
    "node-client-cert-renewal": (f"{CSR_ROLE}:selfnodeclient", "system:nodes"),
    "node-server-cert-renewal": (f"{CSR_ROLE}:selfnodeserver", "system:nodes"),
}
ROLE = "approve-node-server-renewal-csr"

PKI = "/etc/kubernetes/pki"
UNITS = [f"/etc/systemd/system/kube-{name}.service" for name in ("apiserver", "controller-manager")]
SIGNING = f"--cluster-signing-cert-file={PKI}/ca.crt --cluster-signing-key-file={PKI}/ca.key"
RESTART = "systemctl daemon-reload; systemctl restart kube-apiserver kube-controller-manager"
FLAGS = f"""\
set -e
cp -a {" ".join(UNITS)} /root
sed -i 's|^ExecStart=[^ ]*|& --enable-bootstrap-token-auth|' {UNITS[0]}
sed -i 's|^ExecStart=[^ ]*|& {SIGNING}|; s|--controllers=\\*|&,bootstrapsigner,tokencleaner|' \\
    {UNITS[1]}
{RESTART}
"""
FLAGS_AWAY = f"mv /root/kube-*.service /etc/systemd/system; {RESTART}"

CA = "/etc/kubernetes/ssl/ca.pem"
SERVING_CERTIFICATE = "/etc/kubernetes/ssl/kubelet-server-current.pem"
CONFIGURATION = "/etc/kubernetes/kubelet.yaml"
UNIT = "/etc/systemd/system/kubelet.service"
# Path on the node, and what is there; the classic layout of the settings has the same.
FILES = {
    "/etc/kubernetes/kubelet": """\
KUBELET_ARGS="\\
      --hostname-override={node} \\
      --config=/etc/kubernetes/kubelet.yaml \\
      --bootstrap-kubeconfig=/etc/kubernetes/bootstrap.kubeconfig \\
      --kubeconfig=/etc/kubernetes/kubelet.kubeconfig  \\
      --cert-dir=/etc/kubernetes/ssl \\
      --root-dir=/data/kubelet \\
      --v=4"
""",
    UNIT: """\
[Unit]
Description=Kubernetes Kubelet Server
Documentation=https://github.com/kubernetes/kubernetes
After=containerd.service
Requires=containerd.service

[Service]
WorkingDirectory=/data/kubelet
EnvironmentFile=-/etc/kubernetes/kubelet
ExecStart=/usr/bin/kubelet $KUBELET_ARGS
Restart=on-failure

[Install]
WantedBy=multi-user.target
""",
}
PREPARE = """\
set -e
id kube >/dev/null 2>&1 || useradd --system kube
mkdir -p -m 700 /data/kubelet
chown kube:kube /data/kubelet
mkdir -p /etc/kubernetes/manifests /etc/kubernetes/ssl
"""
START = """\
set -e
setfacl -m u:kube:r /etc/kubernetes/*.kubeconfig
systemctl daemon-reload
systemctl start kubelet
systemctl enable kubelet
"""
# Each file, which file it is, when it was written, whose it is, and what is in it.
LOOK = f"""\
cd /etc/kubernetes
stat -c '%n %i %y %a %U' {UNIT} kubelet *.* ssl/*
getfacl -cp *.kubeconfig
cat {UNIT} kubelet *.* ssl/* | sha256sum
"""
TOKENS = ("--field-selector", "type=bootstrap.kubernetes.io/token")
AWAY = f"""\
systemctl disable --now kubelet
rm -rf {UNIT} /etc/kubernetes /data /var/lib/kubelet
userdel kube
systemctl daemon-reload
"""


@contextlib.contextmanager
def cluster(project: Project) -> Iterator[None]:
    """A cluster with the procedure's flags, its bindings and its role."""
    with contextlib.ExitStack() as stack:
        stack.callback(project.ssh, "cp-1", FLAGS_AWAY)
        project.ssh("cp-1", FLAGS)
        stack.callback(project.kubectl, "delete", "clusterrolebinding", *BINDINGS)
        until(lambda: project.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok")
        for name, (role, group) in BINDINGS.items():
            project.kubectl(
                *("create", "clusterrolebinding", name),
                *(f"--clusterrole={role}", f"--group={group}"),
            )
        stack.callback(project.kubectl, "delete", "clusterrole", ROLE)
        project.kubectl(
            *("create", "clusterrole", ROLE, "--verb=create"),
            "--resource=certificatesigningrequests/selfnodeserver",
            "--resource-name=certificates.k8s.io",
        )
        yield


def join(project: Project, node: str) -> None:
    """Join a machine, and wait until its Node is Ready and it has its serving certificate."""
    project.ssh(node, PREPARE)
    for path, text in {
        **FILES,
        **_configuration(project),
        **_bootstrap_kubeconfig(project),
    }.items():
        words = ".venv/bin/python", "-m", "lab", "ssh", node, f"cat >{path}"
        project.run(*words, stdin=text.replace("{node}", node))
    project.ssh(node, START)
    project.kubectl("certificate", "approve", until(lambda: _pending(project, node)))
    project.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=60s")
    until(lambda: project.ssh(node, f"ls {SERVING_CERTIFICATE}", check=False))


def leave(project: Project, node: str) -> None:
    """Take the machine out, with all that `join` has made; again, that is no error."""
    project.ssh(node, AWAY)
    project.kubectl("delete", "node", node, "--ignore-not-found")
    project.kubectl("-n", "kube-system", "delete", "secrets", *TOKENS)


def look(project: Project, node: str) -> dict[str, Any]:
    """What is there of the procedure: on the machine, in the cluster, on the control plane."""
    found = project.get("node", node)
    (token,) = project.get("-n", "kube-system", "secrets", *TOKENS)["items"]
    return {
        "pid": main_pid(project, node),
        "files": project.ssh(node, LOOK),
        "node": (found["metadata"]["uid"], found["metadata"]["labels"], found["spec"]),
        "token": (token["metadata"]["uid"], token["data"]),
        "flags": project.ssh("cp-1", f"cat {' '.join(UNITS)}"),
    }


def _pending(project: Project, node: str) -> str:
    """The request for the node's serving certificate, which nothing approves by itself."""
    for request in quietly(project, "get", "csr").get("items", []):
        spec = request["spec"]
        asked = (spec["signerName"], spec["username"])
        if asked == (SERVING_SIGNER, f"system:node:{node}") and not request["status"]:
            return str(request["metadata"]["name"])
    return ""


def _configuration(project: Project) -> dict[str, str]:
    """The kubelet's file, with what any needs in a container of the lab, and its runtime."""
    container = project.settings()["config"][POOLS]["workers"]["kubelet"]
    configuration: dict[str, Any] = whole() | container
    configuration["containerRuntimeEndpoint"] = "unix:///run/containerd/containerd.sock"
    configuration["authentication"]["x509"] = {"clientCAFile": CA}
    configuration["staticPodPath"] = FIELDS["staticPodPath"][0]
    return {CONFIGURATION: yaml.safe_dump(configuration)}


def _bootstrap_kubeconfig(project: Project) -> dict[str, str]:
    """A token, its Secret, and the kubeconfig and the CA's file for it."""
    public = project.run("openssl", "rand", "-hex", "3").stdout.strip()
    secret = project.run("openssl", "rand", "-hex", "8").stdout.strip()
    project.kubectl(
        *("-n", "kube-system", "create", "secret", "generic", f"bootstrap-token-{public}"),
        "--type=bootstrap.kubernetes.io/token",
        "--from-literal=description=cluster bootstrap token",
        f"--from-literal=token-id={public}",
        f"--from-literal=token-secret={secret}",
        "--from-literal=usage-bootstrap-authentication=true",
        "--from-literal=usage-bootstrap-signing=true",
    )
    target = "--kubeconfig=.lab/bootstrap.kubeconfig"
    for words in (
        ("set-cluster", "kubernetes", f"--certificate-authority={CA}", f"--server={API_SERVER}"),
        ("set-credentials", "kubelet-bootstrap", f"--token={public}.{secret}"),
        ("set-context", "default", "--cluster=kubernetes", "--user=kubelet-bootstrap"),
        ("use-context", "default"),
    ):
        project.kubectl("config", *words, target)
    lab = project.directory / ".lab"
    return {
        CA: (lab / "ca.crt").read_text(),
        "/etc/kubernetes/bootstrap.kubeconfig": (lab / "bootstrap.kubeconfig").read_text(),
    }
