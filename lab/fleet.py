"""The machines of a lab, and how missing ones are made."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lab import control_plane, kubelets, mounts, network, ssh, toolchain
from lab.disk import File
from lab.errors import LabError
from lab.layout import Layout
from lab.machine import HOST_KEY, Machine

DEFAULT_NODES = 2


class Fleet:
    """The machines in a lab's directory, and the keys and certificates that they share."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.control_plane = Machine(control_plane.NAME, network.CONTROL_PLANE_ADDRESS, layout)

    def node(self, number: int) -> Machine:
        """Return `node-<number>`, whether it exists or not."""
        return Machine(f"node-{number}", network.node_address(number), self.layout)

    def numbers(self, nodes: int | None) -> range:
        """Return the numbers of the first nodes; None: the default, or none if nodes exist."""
        count = (DEFAULT_NODES if not self.nodes() else 0) if nodes is None else nodes
        if not 0 <= count <= network.MOST_NODES:
            raise LabError(
                f"--nodes {count} is not between 0 and {network.MOST_NODES}",
                "give a number that the lab's network has addresses for",
            )
        return range(1, count + 1)

    def nodes(self) -> list[Machine]:
        """Return the nodes that have a disk, by number."""
        found = self.layout.machines.glob("node-*/machine.json")
        numbers = sorted(int(path.parent.name.removeprefix("node-")) for path in found)
        return [self.node(number) for number in numbers]

    def machines(self) -> list[Machine]:
        """Return every machine that has a disk, the control plane first."""
        first = [self.control_plane] if self.control_plane.exists() else []
        return first + self.nodes()

    def machine(self, name: str) -> Machine:
        """Return a machine by name; raises LabError if it has no disk."""
        for machine in self.machines():
            if machine.name == name:
                return machine
        names = ", ".join(machine.name for machine in self.machines()) or "none"
        raise LabError(
            f"the lab has no machine {name!r}; it has {names}",
            "give one of these names, or make more: python -m lab up --nodes N",
        )

    def all(self) -> list[Machine]:
        """Return every machine with a disk or with processes, even if its disk is gone."""
        machines = {machine.name: machine for machine in self.machines()}
        for cgroup in self.control_plane.cgroups():
            for path in cgroup.parent.glob("*/"):
                if path.name not in machines:
                    machines[path.name] = Machine(path.name, "", self.layout)
        return list(machines.values())

    def make(
        self, numbers: Collection[int], image: Sequence[Path], versions: Mapping[int, str]
    ) -> None:
        """Make the disks of the machines that have none, with these layers of the base image."""
        layout = self.layout
        programs = toolchain.find(layout.cache)
        assert programs is not None  # noqa: S101
        self._make_identity()
        if not self.control_plane.exists():
            credentials = {
                str(path.relative_to(layout.pki)): path.read_text()
                for path in sorted(layout.pki.rglob("*"))
                if path.is_file()
            }
            self.control_plane.create(
                (*programs.control_plane, *image), control_plane.disk(credentials)
            )
        for number in numbers:
            if not self.node(number).exists():
                version = versions.get(number, kubelets.DEFAULT)
                trees = kubelets.find(layout.cache, version)
                assert trees is not None  # noqa: S101
                self.node(number).create((*trees, *image), {}, kubelet=version)
        self._write_known_hosts()

    def renew(self, name: str, *, keep_host_key: bool) -> None:
        """Stop a node's machine and make its disk again, as an installation of its system does."""
        machine = self.machine(name)
        if machine == self.control_plane:
            raise LabError(
                f"{name} holds the cluster, which would be lost",
                "give a node, or make everything again: python -m lab down --disks",
            )
        paths = (HOST_KEY, f"{HOST_KEY}.pub") if keep_host_key else ()
        kept = {path: File((machine.upper / path).read_text(), 0o600) for path in paths}
        layers, version = machine.layers(), machine.kubelet()
        machine.stop()
        mounts.remove_tree(machine.directory)
        machine.create(layers, kept, kubelet=version)
        self._write_known_hosts()

    def _write_known_hosts(self) -> None:
        lines = [f"{machine.address} {machine.host_key()}\n" for machine in self.machines()]
        ssh.write_private(self.layout.known_hosts, "".join(lines))

    def _make_identity(self) -> None:
        """Make the SSH key and the cluster's certificates, once."""
        layout = self.layout
        if not layout.ssh_key.exists():
            private, public = ssh.key_pair("lab")
            # The private one last: where it is, the other is.
            ssh.write_private(layout.ssh_key.with_suffix(".pub"), public + "\n")
            ssh.write_private(layout.ssh_key, private)
        if not layout.pki.exists():
            partial = layout.pki.with_name("pki.partial")
            mounts.remove_tree(partial)
            now = datetime.datetime.now(datetime.UTC)
            for path, content in control_plane.credentials(now).items():
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                ssh.write_private(partial / path, content)
            partial.rename(layout.pki)
        layout.pulumi.mkdir(exist_ok=True)
        ssh.write_private(layout.ca, (layout.pki / "pki/ca.crt").read_text())
        ssh.write_private(layout.kubeconfig, (layout.pki / "admin.conf").read_text())
