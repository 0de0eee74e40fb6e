"""What `python -m lab status` shows, and whether everything that should run does."""

import json
from dataclasses import dataclass

from lab import api_server, control_plane, ssh
from lab.cluster import Lab
from lab.machine import Machine
from lab.waiting import side_by_side


@dataclass(frozen=True)
class Line:
    """The state of one machine."""

    name: str
    address: str
    pid: int | None
    sshd: bool
    kubelet: str
    node: str

    @property
    def well(self) -> bool:
        """Return whether the machine works as it should; one that has not joined does."""
        joined = self.node != "-"
        return (
            self.pid is not None
            and self.sshd
            and (not joined or (self.node == "Ready" and self.kubelet == "active"))
        )


def node_conditions(document: str) -> dict[str, str]:
    """Return `Ready` or why not, by node, from the output of `kubectl get nodes --output=json`."""
    found = {}
    for node in json.loads(document)["items"]:
        conditions = {c["type"]: c for c in node["status"].get("conditions", [])}
        ready = conditions.get("Ready", {})
        well = ready.get("status") == "True"
        found[node["metadata"]["name"]] = (
            "Ready" if well else f"NotReady ({ready.get('reason', 'no condition')})"
        )
    return found


def report(lab: Lab) -> tuple[str, bool]:
    """Return the status as text, and whether all is well."""
    machines = lab.fleet.machines()
    if not machines:
        return f"no lab in {lab.layout.directory}; start one: python -m lab up", False
    ready = lab.fleet.control_plane.supervisor() is not None and api_server.ready(lab.layout.ca)
    nodes = node_conditions(lab.kubectl("get", "nodes", "--output=json").stdout) if ready else {}
    lines = side_by_side([lambda m=m: _line(lab, m, nodes) for m in machines])  # type: ignore[misc]
    table = [("MACHINE", "ADDRESS", "PID", "SSH", "KUBELET", "NODE")]
    table += [
        (
            line.name,
            line.address,
            str(line.pid or "-"),
            "yes" if line.sshd else "no",
            line.kubelet,
            line.node,
        )
        for line in lines
    ]
    text = "\n".join("  ".join(cell.ljust(12) for cell in row).rstrip() for row in table)
    text += f"\nAPI server {control_plane.SERVER}: {'ready' if ready else 'not ready'}"
    return text, ready and all(line.well for line in lines)


def _line(lab: Lab, machine: Machine, nodes: dict[str, str]) -> Line:
    supervisor = machine.supervisor()
    sshd = supervisor is not None and ssh.answers(machine.address)
    kubelet = "-"
    if sshd and machine.name != control_plane.NAME:
        said = lab.ssh(machine.name, "systemctl is-active kubelet.service", timeout_s=20).stdout
        kubelet = said.strip() or "?"
    return Line(
        name=machine.name,
        address=machine.address,
        pid=supervisor.pid if supervisor else None,
        sshd=sshd,
        kubelet=kubelet,
        node=nodes.get(machine.name, "-"),
    )
