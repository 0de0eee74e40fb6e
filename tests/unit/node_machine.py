"""A directory that stands for a machine, on which the node's scripts run for real."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import node_files
from node_files import Cluster, Node, Paths

SERVER = "https://10.0.0.9:6443"
CA = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"

# Notes each call; `is-active` and `show` answer from files.
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"$FAKE/systemctl.log"
case $1 in
is-active) [ -e "$FAKE/active" ] ;;
show) cat "$FAKE/restarts" 2>/dev/null || echo 0 ;;
restart | start) : >"$FAKE/active"; [ ! -e "$FAKE/on-start" ] || sh "$FAKE/on-start" ;;
enable) [ "$2" != --now ] || : >"$FAKE/active" ;;
disable) rm -f "$FAKE/active" ;;
esac
"""
JOURNALCTL = '#!/bin/sh\ncat "$FAKE/journal" 2>/dev/null || true\n'
KUBELET = "#!/bin/sh\necho Kubernetes v1.37.2\n"


@dataclass
class Machine:
    """Paths below a directory, and fakes for what only a real machine has."""

    root: Path
    shell: tuple[str, ...] = ("sh",)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fake = self.root / "fake"
        programs = {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL, "kubelet": KUBELET}
        for name, text in programs.items():
            path = fake / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (fake / "socket").touch()
        self.env = {
            **os.environ,
            "FAKE": str(fake),
            "PATH": f"{fake / 'bin'}:{os.environ['PATH']}",
        }

    def path(self, name: str) -> Path:
        return self.root / name

    def node(self, **changes: object) -> Node:
        at = self.root
        paths = Paths(
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
        values = {"name": "node-1", "addresses": ("10.0.0.1",), "paths": paths, **changes}
        return Node(**values)  # type: ignore[arg-type]

    def run(self, command: str, stdin: str) -> subprocess.CompletedProcess[str]:
        """Run a command as sshd would, with the checks for systemd and a socket made to pass."""
        stdin = stdin.replace("[ -d /run/systemd/system ]", "true")
        stdin = stdin.replace('[ -S "$endpoint" ]', "true")
        return subprocess.run(
            [*self.shell, "-c", command],
            input=stdin,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def install(self, **changes: object) -> subprocess.CompletedProcess[str]:
        return self.run(node_files.INSTALL, node_files.bundle(cluster(), self.node(**changes)))

    def remove(self) -> subprocess.CompletedProcess[str]:
        return self.run(node_files.REMOVE, node_files.bundle(cluster(), self.node()))

    def join(self) -> subprocess.CompletedProcess[str]:
        text = node_files.join_bundle(cluster(), self.node(), "abcdef", "0123456789abcdef")
        # A real join waits for minutes; here nothing more comes after a second.
        text = text.replace("limit_s=180", "limit_s=1")
        return self.run(node_files.JOIN, text)

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
