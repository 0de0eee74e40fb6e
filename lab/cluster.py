"""The lab as a whole: what `python -m lab` does, for the command line and for tests.

lab = Lab()                        # LAB_DIR and LAB_CACHE, or Lab(Path("/somewhere"))
lab.up(nodes=3)
lab.ssh("node-1", "systemctl is-active kubelet").stdout
lab.kubectl("get", "nodes", "--output=json").stdout
subprocess.run(["pulumi", "up", "--yes"], env={**os.environ, **lab.env()})
lab.down()
"""

import contextlib
import datetime
import fcntl
import http.client
import os
import ssl
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lab import (
    approver_image,
    base_image,
    builds,
    control_plane,
    environment,
    kubelets,
    mounts,
    network,
    preflight,
    ssh,
    toolchain,
)
from lab.errors import LabError
from lab.layout import Layout
from lab.machine import Machine, until
from lab.processes import stop_all
from lab.progress import say, step

DEFAULT_NODES = 2
READY_LIMIT_S = 90.0

Result = TypeVar("Result")


class Lab:
    """One lab: its directory, its machines, its cluster."""

    def __init__(self, directory: Path | None = None) -> None:
        self.layout = Layout.find(directory)
        self.control_plane = Machine(control_plane.NAME, network.CONTROL_PLANE_ADDRESS, self.layout)

    # Machines

    def node(self, number: int) -> Machine:
        """Return `node-<number>`, whether it exists or not."""
        return Machine(f"node-{number}", network.node_address(number), self.layout)

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
            f"there is no machine {name!r} (there is: {names})",
            "give one of these names, or make it: python -m lab up --nodes N",
        )

    # Up and down

    def up(
        self, nodes: int | None = None, kubelet_versions: Mapping[int, str] | None = None
    ) -> None:
        """Start what is missing of the lab; quick if nothing is.

        Args:
            nodes: how many there shall be at least; machines that exist are all started.
            kubelet_versions: nodes, by number, that shall be there with a kubelet of this minor
                version; the others get the toolchain's own.
        """
        versions = kubelet_versions or {}
        with self._locked():
            numbers = sorted({*self._numbers(nodes), *versions})
            for number, version in versions.items():
                kubelets.check(self.node(number), version)
            if not self._running(numbers):
                self._start(numbers, versions)
        say(f"the lab runs: {self.control_plane.name} and {len(self.nodes())} nodes")

    def toolchain(self, *, everything: bool = False) -> None:
        """Build the programs that are missing, and start nothing.

        Args:
            everything: also the older kubelets.
        """
        cache, log = self.layout.cache, self.layout.log
        missing = [v for v in toolchain.KUBELETS if everything and not kubelets.find(cache, v)]
        build = toolchain.find(cache) is None
        preflight.check(self.layout, build=build, kubelets=len(missing))
        side_by_side(builds.builders(cache, log, thorough=True))
        self._build_last(toolchain.KUBELETS if everything else ())

    def load_approver(self) -> None:
        """Bring the resident approver's image to every node; the lab must be up."""
        image = approver_image.ensure(self.layout.cache, self.layout.log)
        with step(f"loading {approver_image.NAME} on {len(self.nodes())} nodes"):
            side_by_side([lambda m=m: self._load_image(m.name, image) for m in self.nodes()])  # type: ignore[misc]

    def _load_image(self, name: str, image: Path) -> None:
        command = "ctr --namespace k8s.io images import --snapshotter native -"
        with image.open("rb") as stream:
            done = subprocess.run(
                [*self.ssh_command(name), "--", command],
                stdin=stream,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            raise LabError(
                f"{name} can't import {image}: {done.stderr.strip()[-300:]}",
                f"look at it: python -m lab logs {name} containerd",
            )

    def down(self, *, disks: bool = False, purge: bool = False) -> None:
        """Stop every machine and remove the network; keep the disks and the stack.

        Args:
            disks: remove them as well, with all that the lab put into its directory.
            purge: and the cache.
        """
        with self._locked():
            running = [machine for machine in self._all() if machine.processes()]
            if running:
                with step(f"powering off {len(running)} machines"):
                    side_by_side([machine.stop for machine in running])
            for machine in self._all():
                machine.stop()
            network.stop(self.layout.directory)
            if disks or purge:
                with step(f"removing the machines in {self.layout.directory}"):
                    self._remove_disks()
            if purge:
                with step(f"removing the cache {self.layout.cache}"):
                    mounts.remove_tree(self.layout.cache)

    def _all(self) -> list[Machine]:
        """Return every machine with a disk or with processes, even if its disk is gone."""
        machines = {machine.name: machine for machine in self.machines()}
        for cgroup in self.control_plane.cgroups():
            for path in cgroup.parent.glob("*/"):
                if path.name not in machines:
                    machines[path.name] = Machine(path.name, "", self.layout)
        return list(machines.values())

    def _running(self, numbers: Collection[int]) -> bool:
        return (
            self.control_plane.exists()
            and all(self.node(number).exists() for number in numbers)
            and network.up(self.layout.directory)
            and toolchain.find(self.layout.cache) is not None
            and all(machine.supervisor() for machine in self.machines())
            and all(side_by_side([lambda m=m: ssh.answers(m.address) for m in self.machines()]))  # type: ignore[misc]
            and self.api_server_ready()
        )

    def _numbers(self, nodes: int | None) -> range:
        count = (DEFAULT_NODES if not self.nodes() else 0) if nodes is None else nodes
        if not 0 <= count <= network.MOST_NODES:
            raise LabError(
                f"--nodes {count} is not between 0 and {network.MOST_NODES}",
                "give a number that the lab's network has addresses for",
            )
        return range(1, count + 1)

    def _start(self, numbers: Collection[int], versions: Mapping[int, str]) -> None:
        older = {*versions.values(), *(node.kubelet() for node in self.nodes())}
        older &= toolchain.KUBELETS.keys()
        complete = toolchain.find(self.layout.cache) is not None
        complete = complete and base_image.present(self.layout.cache)
        missing = [version for version in older if not kubelets.find(self.layout.cache, version)]
        preflight.check(self.layout, build=not complete, kubelets=len(missing))
        network.check(self.layout.directory)
        with step("programs and base image"):
            image = self._make_all(older)
        self._make_machines(numbers, image, versions)
        network.start(self.layout.directory)
        dead = [machine for machine in self.machines() if not machine.supervisor()]
        if dead:
            with step(f"booting {', '.join(machine.name for machine in dead)}"):
                side_by_side([machine.start for machine in dead])
                side_by_side([machine.wait for machine in self.machines()])
        with step("waiting for the machines' services"):
            side_by_side([lambda m=m: self._settle(m) for m in self.machines()])  # type: ignore[misc]
        with step("waiting for the API server"):
            self._wait_for_api_server()

    def _make_all(self, older: Collection[str]) -> tuple[Path, Path]:
        """Make what is missing of programs and image, side by side; return the image's layers."""
        cache, log = self.layout.cache, self.layout.log
        with ThreadPoolExecutor(max_workers=1) as pool:
            image = pool.submit(base_image.ensure, cache, log, thorough=True)
            jobs: list[Callable[[], object]] = [image.result]
            side_by_side([*jobs, *builds.builders(cache, log, thorough=True)])
            self._build_last(older)
            return image.result()

    def _build_last(self, older: Collection[str]) -> None:
        """Build the provider and these kubelets; a build ends with us, as `side_by_side`'s."""
        cache, log = self.layout.cache, self.layout.log
        side_by_side([lambda: builds.ensure_last(older, cache, log, thorough=True)])

    def _make_machines(
        self, numbers: Collection[int], image: Sequence[Path], versions: Mapping[int, str]
    ) -> None:
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
        lines = [f"{machine.address} {machine.host_key()}\n" for machine in self.machines()]
        ssh.write_private(layout.known_hosts, "".join(lines))

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

    def _settle(self, machine: Machine) -> None:
        """Wait until a machine has started all that it starts by itself."""
        command = "systemctl is-system-running --wait"
        if machine.name != control_plane.NAME:
            command += "; systemctl is-active containerd.service"
        done = self.ssh(machine.name, command, timeout_s=READY_LIMIT_S)
        said = (done.stdout + done.stderr).split()
        if done.returncode == 255 or (machine.name != control_plane.NAME and said[-1] != "active"):
            raise LabError(
                f"machine {machine.name} does not answer as it should: {' '.join(said)}",
                f"look at it: python -m lab logs {machine.name}",
            )

    # Looking at it

    def api_server_ready(self) -> bool:
        """Tell whether the API server says that it is ready."""
        return self._api_server_says() == "ok"

    def _api_server_says(self) -> str:
        try:
            context = ssl.create_default_context(cafile=str(self.layout.ca))
            connection = http.client.HTTPSConnection(
                network.CONTROL_PLANE_ADDRESS, 6443, timeout=5, context=context
            )
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                return connection.getresponse().read().decode().strip().splitlines()[0]
        except (OSError, http.client.HTTPException, IndexError) as error:
            return str(error)

    def _wait_for_api_server(self) -> None:
        if not until(self.api_server_ready, READY_LIMIT_S, 0.1):
            raise LabError(
                f"the API server {control_plane.SERVER} is not ready after {READY_LIMIT_S:.0f} s: "
                f"{self._api_server_says()}",
                f"look at it: python -m lab logs {control_plane.NAME} kube-apiserver",
            )

    def env(self) -> dict[str, str]:
        """Return what to add to the environment so that pulumi and kubectl mean this lab."""
        programs = toolchain.find(self.layout.cache)
        if programs is None:
            raise LabError(
                f"the lab's programs are not all in {self.layout.cache}",
                "run `python -m lab up` first",
            )
        return environment.variables(self.layout, programs)

    def ssh_command(self, name: str) -> list[str]:
        """Return the start of an `ssh` command line to a machine."""
        machine = self.machine(name)
        return ssh.command(machine.address, self.layout.ssh_key, self.layout.known_hosts)

    def ssh(
        self, name: str, command: str, *, stdin: str = "", timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a machine; its exit status is in the result."""
        try:
            return subprocess.run(
                [*self.ssh_command(name), "--", command],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(
                f"{name} did not finish {command!r} in {timeout_s:.0f} s",
                f"look at it: python -m lab logs {name}",
            ) from error

    def kubectl(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as the cluster's administrator; its exit status is in the result."""
        environ = {**os.environ, **self.env()}
        return subprocess.run(
            ["kubectl", *args],
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    # Its directory

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one `up` or `down` at a time work on this lab."""
        self.layout.directory.mkdir(parents=True, exist_ok=True)
        self.layout.directory.chmod(0o700)
        with self.layout.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(
                    f"another `up` or `down` of the lab in {self.layout.directory} is under way",
                    "wait until it has ended",
                ) from None
            yield

    def _remove_disks(self) -> None:
        for path in self.layout.everything:
            mounts.remove_tree(path)
        with contextlib.suppress(OSError):
            self.layout.directory.rmdir()


def side_by_side(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run the jobs at once and return their results; the first failure ends the others."""
    with ThreadPoolExecutor(max_workers=max(1, len(jobs))) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            while pending := [future for future in futures if not future.done()]:
                if any(future.done() and future.exception() for future in futures):
                    break
                with contextlib.suppress(TimeoutError):
                    pending[0].result(timeout=0.05)
            failed = next((f for f in futures if f.done() and f.exception()), None)
            if failed is not None:
                stop_all()
                failed.result()
            return [future.result() for future in futures]
        except BaseException:
            stop_all()
            raise
