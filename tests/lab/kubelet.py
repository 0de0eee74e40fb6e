"""What is seen of a kubelet on its machine, and of its Node in the cluster."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.lab.project import Project
from tests.lab.test_failures import quietly, until
from tests.lab.test_join import ready

# What a reinstallation does to a machine, as far as its kubelet goes.
WIPE = (
    "systemctl disable --now kubelet; rm -rf /etc/kubernetes /var/lib/kubelet"
    " /var/lib/kubelet-tls-bootstrap /etc/systemd/system/kubelet.service"
)
CLIENT_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def main_pid(project: Project, machine: str, unit: str = "kubelet") -> int:
    """The unit's main process, which a restart replaces; 0 while it does not run."""
    return int(project.ssh(machine, f"systemctl show --property MainPID --value {unit}"))


def starts(project: Project, machine: str) -> int:
    """How often systemd has started the kubelet since the machine was made."""
    journal = project.ssh(machine, "journalctl --unit kubelet --output cat | cat")
    return journal.count("Started kubelet.service")


def serial(project: Project, machine: str, certificate: str = CLIENT_CERTIFICATE) -> str:
    return project.ssh(machine, f"openssl x509 -noout -serial -in {certificate}")


def nodes(project: Project) -> dict[str, str]:
    """The UID of each Node, by its name."""
    found = project.get("nodes")["items"]
    return {node["metadata"]["name"]: node["metadata"]["uid"] for node in found}


def is_alive(project: Project, node: str) -> None:
    """Wait until the kubelet has renewed its Node's Lease from now on; the Node must be Ready."""
    now = datetime.now(UTC)

    def renewed() -> bool:
        lease = quietly(project, "get", "lease", "-n", "kube-node-lease", node)
        return bool(lease) and datetime.fromisoformat(lease["spec"]["renewTime"]) > now

    until(renewed)
    assert ready(project.get("node", node))


def outputs(project: Project) -> dict[str, Any]:
    """What the stack exports."""
    found: dict[str, Any] = json.loads(project.pulumi("stack", "output", "--json").stdout)
    return found
