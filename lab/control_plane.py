"""What turns a machine into the control plane: certificates, kubeconfigs and systemd units.

The API server and the controller manager start without the flags for TLS bootstrapping that are
off by default: adding them is the job of the program under test.
"""

import datetime
from collections.abc import Mapping

from lab.disk import File, Link
from lab.network import CONTROL_PLANE_ADDRESS
from lab.pki import Authority, KeyPair, kubeconfig, service_account_keys

NAME = "cp-1"
SERVER = f"https://{CONTROL_PLANE_ADDRESS}:6443"
SERVICE_RANGE = "10.97.0.0/16"
PKI = "/etc/kubernetes/pki"
API_SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    NAME,
    "10.97.0.1",
    CONTROL_PLANE_ADDRESS,
    "127.0.0.1",
)

ETCD = {
    "name": NAME,
    "data-dir": "/var/lib/etcd",
    "listen-client-urls": "https://127.0.0.1:2379",
    "advertise-client-urls": "https://127.0.0.1:2379",
    "listen-peer-urls": "http://127.0.0.1:2380",
    "initial-advertise-peer-urls": "http://127.0.0.1:2380",
    "initial-cluster": f"{NAME}=http://127.0.0.1:2380",
    "trusted-ca-file": f"{PKI}/etcd/ca.crt",
    "cert-file": f"{PKI}/etcd/server.crt",
    "key-file": f"{PKI}/etcd/server.key",
    "client-cert-auth": "true",
    # The host's page cache survives a killed machine, and a lab need not survive a host's crash.
    "unsafe-no-fsync": "true",
    "log-level": "warn",
}
API_SERVER = {
    "advertise-address": CONTROL_PLANE_ADDRESS,
    "secure-port": "6443",
    "allow-privileged": "true",
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "client-ca-file": f"{PKI}/ca.crt",
    "tls-cert-file": f"{PKI}/apiserver.crt",
    "tls-private-key-file": f"{PKI}/apiserver.key",
    "etcd-servers": "https://127.0.0.1:2379",
    "etcd-cafile": f"{PKI}/etcd/ca.crt",
    "etcd-certfile": f"{PKI}/apiserver-etcd-client.crt",
    "etcd-keyfile": f"{PKI}/apiserver-etcd-client.key",
    # Without a CA the API server would not verify kubelets at all.
    "kubelet-certificate-authority": f"{PKI}/ca.crt",
    "kubelet-client-certificate": f"{PKI}/apiserver-kubelet-client.crt",
    "kubelet-client-key": f"{PKI}/apiserver-kubelet-client.key",
    "kubelet-preferred-address-types": "InternalIP,Hostname",
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": f"{PKI}/sa.pub",
    "service-account-signing-key-file": f"{PKI}/sa.key",
    "service-cluster-ip-range": SERVICE_RANGE,
    "profiling": "false",
}
CONTROLLER_MANAGER = {
    "kubeconfig": "/etc/kubernetes/controller-manager.conf",
    "authentication-kubeconfig": "/etc/kubernetes/controller-manager.conf",
    "authorization-kubeconfig": "/etc/kubernetes/controller-manager.conf",
    "bind-address": "127.0.0.1",
    "controllers": "*",
    "leader-elect": "false",
    "root-ca-file": f"{PKI}/ca.crt",
    "service-account-private-key-file": f"{PKI}/sa.key",
    "service-cluster-ip-range": SERVICE_RANGE,
    "use-service-account-credentials": "true",
    "profiling": "false",
}
SCHEDULER = {
    "kubeconfig": "/etc/kubernetes/scheduler.conf",
    "authentication-kubeconfig": "/etc/kubernetes/scheduler.conf",
    "authorization-kubeconfig": "/etc/kubernetes/scheduler.conf",
    "bind-address": "127.0.0.1",
    "leader-elect": "false",
    "profiling": "false",
}


def unit(description: str, program: str, flags: Mapping[str, str], *, after: str, kind: str) -> str:
    """Return a systemd unit with one flag per line in its ExecStart."""
    command = " \\\n".join(
        [f"/usr/bin/{program}", *(f"    --{name}={value}" for name, value in flags.items())]
    )
    return f"""\
[Unit]
Description={description}
Documentation=https://kubernetes.io/docs/
After={after}

[Service]
Type={kind}
ExecStart={command}
Restart=always
RestartSec=1
TimeoutStartSec=120
TimeoutStopSec=5
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


def units() -> dict[str, str]:
    """Return the control plane's systemd units by file name."""
    network = "systemd-networkd.service"
    api_server = "kube-apiserver.service"
    return {
        "etcd.service": unit("etcd", "etcd", ETCD, after=network, kind="notify"),
        api_server: unit(
            "Kubernetes API server",
            "kube-apiserver",
            API_SERVER,
            after=f"{network} etcd.service",
            kind="notify",
        ),
        "kube-controller-manager.service": unit(
            "Kubernetes controller manager",
            "kube-controller-manager",
            CONTROLLER_MANAGER,
            after=api_server,
            kind="simple",
        ),
        "kube-scheduler.service": unit(
            "Kubernetes scheduler", "kube-scheduler", SCHEDULER, after=api_server, kind="simple"
        ),
    }


def credentials(now: datetime.datetime) -> dict[str, str]:
    """Return a new cluster's certificates, keys and kubeconfigs, by path below /etc/kubernetes."""
    cluster, etcd = Authority("kubernetes", now), Authority("etcd", now)
    sa_key, sa_public = service_account_keys()
    pairs = {
        "pki/ca": cluster.pair,
        "pki/etcd/ca": etcd.pair,
        "pki/etcd/server": etcd.sign(NAME, names=("localhost", "127.0.0.1")),
        "pki/apiserver": cluster.sign("kube-apiserver", names=API_SERVER_NAMES),
        "pki/apiserver-etcd-client": etcd.sign("kube-apiserver-etcd-client"),
        "pki/apiserver-kubelet-client": cluster.sign(
            "kube-apiserver-kubelet-client", "system:masters"
        ),
    }
    users = {
        "admin": cluster.sign("kubernetes-admin", "system:masters"),
        "controller-manager": cluster.sign("system:kube-controller-manager"),
        "scheduler": cluster.sign("system:kube-scheduler"),
    }
    files = {"pki/sa.key": sa_key, "pki/sa.pub": sa_public}
    for path, pair in pairs.items():
        files |= _pair_files(path, pair)
    for user, pair in users.items():
        files[f"{user}.conf"] = kubeconfig(SERVER, cluster.pair.certificate, user, pair)
    return files


def _pair_files(path: str, pair: KeyPair) -> dict[str, str]:
    return {f"{path}.crt": pair.certificate, f"{path}.key": pair.key}


def disk(credentials: Mapping[str, str]) -> dict[str, File | Link]:
    """Return the files of the control-plane machine, with its units enabled."""
    files: dict[str, File | Link] = {
        f"etc/kubernetes/{path}": File(content, 0o644 if path.endswith((".crt", ".pub")) else 0o600)
        for path, content in credentials.items()
    }
    for name, content in units().items():
        files[f"etc/systemd/system/{name}"] = File(content)
        files[f"etc/systemd/system/multi-user.target.wants/{name}"] = Link(f"../{name}")
    return files
