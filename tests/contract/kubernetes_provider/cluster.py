"""A bare control plane on loopback: etcd, API server, and the controllers that deletion needs.

Its programs come from PATH or else from the lab's cache. It has no nodes and no scheduler; a
test that wants a pod ready writes its status.
"""

import contextlib
import datetime
import http.client
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.layout import Layout
from lab.pki import Authority, kubeconfig, service_account_keys
from lab.toolchain import find
from tests.hostile.api_server import Caller, administrator

START_S = 240
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "deployment-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
)


@dataclass(frozen=True)
class Cluster:
    """A running control plane, and ways into it."""

    kubeconfig: Path
    server: str
    authority: Authority
    caller: Caller

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask the API server as its administrator, for what it grants; return its answer."""
        kind = "merge-patch+json" if method == "PATCH" else "json"
        status, answer = self.caller.call(method, path, body, content_type=f"application/{kind}")
        assert status < 300, answer
        return answer

    def get(self, path: str) -> dict[str, Any]:
        """Return the live object at a path."""
        return self.request("GET", path)

    def gone(self, path: str) -> bool:
        """Return whether there is nothing at a path."""
        return self.caller.call("GET", path)[0] == 404

    def change(self, path: str, patch: Mapping[str, Any]) -> None:
        """Change an object behind Pulumi's back, as the field manager `someone`."""
        self.request("PATCH", f"{path}?fieldManager=someone", patch)

    def kubeconfig_for(self, user: str, directory: Path) -> Path:
        """Write a kubeconfig for another user."""
        path = directory / f"{user}.kubeconfig"
        path.write_text(
            kubeconfig(
                self.server, self.authority.pair.certificate, user, self.authority.sign(user)
            )
        )
        return path


def programs() -> dict[str, Path]:
    """Return the control plane's programs.

    Raises:
        FileNotFoundError: some are neither on PATH nor in the lab's cache.
    """
    found = {name: Path(path) for name in PROGRAMS if (path := shutil.which(name))}
    toolchain = find(Layout.find().cache)
    trees = toolchain.control_plane if toolchain else ()
    for path in (path for tree in trees for path in tree.rglob("*") if path.is_file()):
        if path.name in PROGRAMS:
            found.setdefault(path.name, path)
    missing = [name for name in PROGRAMS if name not in found]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)}: neither on PATH nor in the lab's cache; "
            "`python -m lab up` builds them"
        )
    return found


@contextlib.contextmanager
def running(
    directory: Path, *api_server_flags: str, controllers: Sequence[str] = ()
) -> Iterator[Cluster]:
    """Start a control plane with its files in a directory; end it with the block.

    `controllers` run beside the usual ones.
    """
    found = programs()
    etcd, peer, secure, manager = _free_ports(4)
    authority = Authority("contract-ca", datetime.datetime.now(datetime.UTC))
    server = f"https://127.0.0.1:{secure}"
    files = _write_pki(directory, authority)
    admin = directory / "admin.kubeconfig"
    credentials = authority.sign("admin", "system:masters")
    admin.write_text(kubeconfig(server, authority.pair.certificate, "admin", credentials))
    commands = [
        [
            str(found["etcd"]),
            f"--data-dir={directory}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        ],
        [
            str(found["kube-apiserver"]),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/24",
            f"--client-ca-file={files['ca.crt']}",
            f"--tls-cert-file={files['server.crt']}",
            f"--tls-private-key-file={files['server.key']}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={files['sa.pub']}",
            f"--service-account-signing-key-file={files['sa.key']}",
            *api_server_flags,
        ],
        [
            str(found["kube-controller-manager"]),
            f"--kubeconfig={admin}",
            f"--controllers={','.join((*CONTROLLERS, *controllers))}",
            f"--service-account-private-key-file={files['sa.key']}",
            f"--root-ca-file={files['ca.crt']}",
            "--bind-address=127.0.0.1",
            f"--secure-port={manager}",
            "--leader-elect=false",
        ],
    ]
    with contextlib.ExitStack() as stack:
        for command in commands[:-1]:
            stack.enter_context(_process(command, directory))
        # One post-start hook makes these roles, as the last thing that a test may need.
        _wait_for("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin", directory)
        stack.enter_context(_process(commands[-1], directory))
        caller = _wait_for("/api/v1/namespaces/default/serviceaccounts/default", directory)
        yield Cluster(admin, server, authority, caller)


@contextlib.contextmanager
def _process(command: list[str], directory: Path) -> Iterator[None]:
    name = Path(command[0]).name
    with (directory / f"{name}.log").open("wb") as log:
        # A test run that is killed takes its control plane with it.
        bound = ["setpriv", "--pdeathsig", "KILL", *command]
        process = subprocess.Popen(bound, stdout=log, stderr=log, cwd=directory)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(path: str, directory: Path) -> Caller:
    """Wait until an object is there; return the connection that found it."""
    kubeconfig = json.loads((directory / "admin.kubeconfig").read_text())
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        caller = administrator(kubeconfig, directory)
        with contextlib.suppress(OSError, http.client.HTTPException):
            if caller.call("GET", path)[0] == 200:
                return caller
        time.sleep(0.2)
    log = (directory / "kube-apiserver.log").read_text(errors="replace")[-2000:]
    raise TimeoutError(f"{path} was not there after {START_S} s:\n{log}")


def _write_pki(directory: Path, authority: Authority) -> dict[str, Path]:
    server = authority.sign("kube-apiserver", names=["127.0.0.1", "localhost"])
    private, public = service_account_keys()
    texts = {
        "ca.crt": authority.pair.certificate,
        "server.crt": server.certificate,
        "server.key": server.key,
        "sa.key": private,
        "sa.pub": public,
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    return {name: directory / name for name in texts}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
