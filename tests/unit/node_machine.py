"""A directory that stands for a machine, on which the node's scripts run for real."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import node_files
from node_files import Cluster, Node, Paths

# The actions of a script on stdin, as drift.py runs its own.
INSTALL = node_files.command(180, "install")
REMOVE = node_files.command(240, "remove")
JOIN = node_files.command(4200, "join")
SHELLS = {
    name: words
    for name, words in {
        "dash": ("dash",),
        "bash": ("bash", "--posix"),
        "busybox": ("busybox", "sh"),
    }.items()
    if shutil.which(words[0])
}
STACK = "o/p/s"
SERVER = "https://10.0.0.9:6443"
# What openssl says of a certificate that another CA has signed.
OTHER_SIGNER = "error 20 at 0 depth lookup: unable to get local issuer certificate"
CA = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"

# Notes each call; `is-active` and `show` answer from files. A kubelet that starts reads its files.
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"$FAKE/systemctl.log"
case "$1 $*" in
show*NRestarts*) cat "$FAKE/restarts" 2>/dev/null || echo 0; exit ;;
show*) cat "$FAKE/${3:?}" 2>/dev/null; exit 0 ;;
esac
case $1 in
is-active)
    case $*:$([ -e "$FAKE/active" ] && echo active || echo inactive) in
    *--quiet*:active) ;;
    *--quiet*) exit 3 ;;
    *:active) cat "$FAKE/state" 2>/dev/null || echo active ;;
    *) echo inactive && exit 3 ;;
    esac
    ;;
restart | start)
    : >"$FAKE/active"
    cat "$FAKE/../lib/kubelet/config.yaml" >"$FAKE/loaded"
    [ ! -e "$FAKE/on-start" ] || sh "$FAKE/on-start"
    ;;
enable) [ "$2" != --now ] || : >"$FAKE/active" ;;
disable) rm -f "$FAKE/active" ;;
esac
"""
JOURNALCTL = '#!/bin/sh\ncat "$FAKE/journal" 2>/dev/null || true\n'
# Starts a unit that nobody waits for, in a process group of its own.
SYSTEMD_RUN = """\
#!/bin/sh
[ "$1 $2" = '--quiet --unit' ] || exit 1
shift 3
PATH=${PATH#*/kill:} setsid "$@" >"$FAKE/settled.$$" 2>&1 </dev/null &
"""
KUBELET = "#!/bin/sh\necho Kubernetes v1.37.2\n"
# The loopback interface, since busybox takes its own `ip` before this one.
IP = "#!/bin/sh\necho '1: lo    inet 127.0.0.1/8 scope host lo'\n"
# Answers as the API server does, now or at the time that a file says.
CURL = """\
#!/bin/sh
[ ! -e "$FAKE/no-server" ] || exit 7
case "$*" in *--cacert*) [ ! -e "$FAKE/wrong-ca" ] || exit 60 ;; esac
time=$(cat "$FAKE/time" 2>/dev/null || echo now)
printf 'HTTP/2 200\\r\\ndate: %s\\r\\n\\r\\n' "$(date -u -R -d "$time")"
printf '{\\n  "major": "1",\\n  "minor": "%s",\\n  "emulationMinor": "9"\\n}\\n' \\
    "$(cat "$FAKE/minor" 2>/dev/null || echo 37)"
"""
# As kubelet 1.37 writes it from a bootstrap kubeconfig that names the CA's file.
KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority: {ca}
    server: {server}
  name: default-cluster
contexts:
- context:
    cluster: default-cluster
    namespace: default
    user: default-auth
  name: default-context
current-context: default-context
kind: Config
users:
- name: default-auth
  user:
    client-certificate: {certificates}/kubelet-client-current.pem
    client-key: {certificates}/kubelet-client-current.pem
"""
# The kernel's files that the checks read, as a machine without a problem has them.
KERNEL = {
    "run/systemd/system/.keep": "",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "proc/self/mountinfo": "",
    "proc/swaps": "Filename Type Size Used Priority\n",
    "proc/net/tcp": "sl local_address rem_address st\n 0: 00000000:0016 00000000:0000 0A 0\n",
    "proc/net/unix": "Num RefCount Protocol Flags Type St Inode Path\n"
    "0000: 00000002 00000000 00010000 0001 01 7 {socket}\n",
    "machine-id": "0123456789abcdef0123456789abcdef\n",
    "resolv.conf": "nameserver 10.0.0.2\n",
}


@dataclass
class Machine:
    """Paths below a directory, and fakes for what only a real machine has."""

    root: Path
    shell: tuple[str, ...] = ("sh",)
    env: dict[str, str] = field(default_factory=dict)
    unsure_s: int = -1

    def __post_init__(self) -> None:
        fake = self.root / "fake"
        programs = {
            "systemctl": SYSTEMCTL,
            "systemd-run": SYSTEMD_RUN,
            "journalctl": JOURNALCTL,
            "kubelet": KUBELET,
            "ip": IP,
            "curl": CURL,
        }
        for name, text in programs.items():
            path = fake / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        for name, text in KERNEL.items():
            path = fake / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(socket=fake / "socket"))
        os.mknod(fake / "socket", 0o600 | stat.S_IFSOCK)
        self.env = {
            **os.environ,
            "FAKE": str(fake),
            "PATH": f"{fake / 'bin'}:{os.environ['PATH']}",
        }

    def path(self, name: str) -> Path:
        return self.root / name

    def node(
        self,
        *,
        kubelet: Mapping[str, Any] | None = None,
        paths: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Node:
        at = self.root
        places = Paths(
            kubelet=f"{at}/fake/bin/kubelet",
            config=f"{at}/lib/kubelet/config.yaml",
            kubeconfig=f"{at}/etc/kubelet.conf",
            bootstrap_kubeconfig=f"{at}/etc/bootstrap-kubelet.conf",
            ca=f"{at}/etc/pki/ca.crt",
            certificates=f"{at}/lib/kubelet/pki",
            arguments=f"{at}/etc/kubelet.env",
            unit=f"{at}/systemd/kubelet.service",
            root=f"{at}/lib/kubelet",
            manifests=f"{at}/etc/manifests",
            state=f"{at}/lib/state",
        )
        values = {
            "name": "node-1",
            "stack": STACK,
            "addresses": ("127.0.0.1",),
            "runtime_endpoint": f"unix://{at}/fake/socket",
            "kubelet": {"resolvConf": f"{at}/fake/resolv.conf", **(kubelet or {})},
            "paths": replace(places, **(paths or {})),
            **changes,
        }
        return Node(**values)

    def faked(self, text: str) -> str:
        """Return a script that looks at a kernel of fakes."""
        fake = self.root / "fake"
        kernel = f"proc={fake}/proc sys={fake}/sys run={fake}/run machine_id={fake}/machine-id"
        text = text.replace(
            "proc=/proc sys=/sys run=/run machine_id=/etc/machine-id", kernel
        ).replace("enough_data_kib=1048576", "enough_data_kib=1024")
        # A kubelet of fakes is what it is at once.
        text = text.replace("\nsteady_s=1 ", "\nsteady_s=-1 ")
        socket = "/lib/kubelet/device-plugins/kubelet.sock"
        text = text.replace(f"\nsocket=/var{socket}", f"\nsocket={self.root}{socket}")
        text = text.replace("\nunsure_s=10 ", f"\nunsure_s={self.unsure_s} ")
        return re.sub("package_units='.*'", f"package_units='{fake}/units'", text)

    def run(self, command: str, stdin: str) -> subprocess.CompletedProcess[str]:
        """Run a command as sshd would, on a kernel of fakes."""
        return subprocess.run(
            [*self.shell, "-c", command],
            input=self.faked(stdin),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def install(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        return self.run(INSTALL, node_files.bundle(cluster(), self.node(**changes)))

    def remove(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        return self.run(REMOVE, node_files.bundle(cluster(), self.node(**changes)))

    def join(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        node = self.node(**changes)
        # A real join waits for minutes; here nothing more comes after a second.
        text = node_files.join_bundle(cluster(), node, "abcdef", "0123456789abcdef", limit_s=1)
        return self.run(JOIN, text)

    def joins(self, *, server: str = SERVER, **changes: Any) -> None:
        """Have a kubelet make its kubeconfig and certificates, as it does when it joins."""
        paths = self.node(**changes).paths
        directory = Path(paths.certificates)
        directory.mkdir(parents=True, exist_ok=True)
        for use in ("client", "server"):
            pem = directory / f"kubelet-{use}-2026-01-01-00-00-00.pem"
            pem.write_text(f"{use} certificate and key\n")
            pem.chmod(0o600)
            current = directory / f"kubelet-{use}-current.pem"
            current.unlink(missing_ok=True)
            current.symlink_to(pem)
        Path(paths.kubeconfig).write_text(
            KUBECONFIG.format(ca=paths.ca, server=server, certificates=paths.certificates)
        )
        Path(paths.kubeconfig).chmod(0o600)

    def calls(self) -> list[str]:
        log = self.root / "fake/systemctl.log"
        return log.read_text().splitlines() if log.exists() else []

    def files(self) -> dict[str, str]:
        """Every file below the machine's root but the fakes: its path -> its mode."""
        return {
            str(path.relative_to(self.root)): f"{path.stat().st_mode & 0o7777:04o}"
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and "fake" not in path.relative_to(self.root).parts
        }


def cluster() -> Cluster:
    return Cluster(name="k", server=SERVER, ca_certificate=CA)


def with_shell(root: Path, name: str) -> Machine:
    """Return a fresh machine whose login shell, and `sh`, are one of the shells."""
    made = Machine(root, SHELLS[name])
    sh = root / "fake/bin/sh"
    sh.write_text(f'#!/bin/sh\nexec {" ".join(made.shell)} "$@"\n')
    sh.chmod(0o755)
    (root / "systemd").mkdir()
    return made
