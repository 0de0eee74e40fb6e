"""The lab as a whole: what `python -m lab` does, for the command line and for tests.

lab = Lab()                        # LAB_DIR and LAB_CACHE, or Lab(Path("/somewhere"))
lab.up(nodes=3)
lab.ssh("node-1", "systemctl is-active kubelet").stdout
lab.kubectl("get", "nodes", "--output=json").stdout
subprocess.run(["pulumi", "up", "--yes"], env={**os.environ, **lab.env()})
lab.down()
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lab import (
    api_server,
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
from lab.fleet import Fleet
from lab.layout import Layout
from lab.machine import Machine
from lab.progress import say, step
from lab.waiting import side_by_side


class Lab:
    """One lab: its directory, its machines, its cluster."""

    def __init__(self, directory: Path | None = None) -> None:
        self.layout = Layout.find(directory)
        self.fleet = Fleet(self.layout)

    # Up and down

    def up(
        self, nodes: int | None = None, kubelet_versions: Mapping[int, str] | None = None
    ) -> None:
        """Start what is missing of the lab; quick if nothing is.

        Args:
            nodes: the least number of nodes; all machines that exist are started.
            kubelet_versions: nodes, by number, that must exist with a kubelet of this minor
                version; the others get the toolchain's own.
        """
        versions = kubelet_versions or {}
        with self._locked():
            numbers = sorted({*self.fleet.numbers(nodes), *versions})
            for number, version in versions.items():
                kubelets.check(self.fleet.node(number), version)
            if not self._running(numbers):
                self._start(numbers, versions)
        say(f"the lab runs: {self.fleet.control_plane.name} and {len(self.fleet.nodes())} nodes")

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
        """Load the resident approver's image on every node; the lab must be up."""
        image = approver_image.ensure(self.layout.cache, self.layout.log)
        commands = {node.name: self.ssh_command(node.name) for node in self.fleet.nodes()}
        with step(f"loading {approver_image.NAME} on {len(commands)} nodes"):
            approver_image.load(image, commands)

    def reinstall(self, node: str, *, keep_host_key: bool = False) -> None:
        """Give a node's machine a new disk and start it; the other machines go on running.

        Args:
            node: the machine's name.
            keep_host_key: whether its SSH server has the same key as before.
        """
        with self._locked(), step(f"reinstalling {node}"):
            self.fleet.renew(node, keep_host_key=keep_host_key)
        self.up()

    def down(self, *, disks: bool = False, purge: bool = False) -> None:
        """Stop every machine and remove the network; keep the disks and the stack.

        Args:
            disks: remove them as well, with everything that the lab put into its directory.
            purge: also remove the cache.
        """
        with self._locked():
            running = [machine for machine in self.fleet.all() if machine.processes()]
            if running:
                with step(f"powering off {len(running)} machines"):
                    side_by_side([machine.stop for machine in running])
            for machine in self.fleet.all():
                machine.stop()
            network.stop(self.layout.directory)
            if disks or purge:
                with step(f"removing the machines in {self.layout.directory}"):
                    for path in self.layout.everything:
                        mounts.remove_tree(path)
                    with contextlib.suppress(OSError):
                        self.layout.directory.rmdir()
            if purge:
                with step(f"removing the cache {self.layout.cache}"):
                    mounts.remove_tree(self.layout.cache)

    def _running(self, numbers: Collection[int]) -> bool:
        return (
            self.fleet.control_plane.exists()
            and all(self.fleet.node(number).exists() for number in numbers)
            and network.up(self.layout.directory)
            and toolchain.find(self.layout.cache) is not None
            and all(machine.supervisor() for machine in self.fleet.machines())
            and all(side_by_side([partial(ssh.answers, m.address) for m in self.fleet.machines()]))
            and api_server.ready(self.layout.ca)
        )

    def _start(self, numbers: Collection[int], versions: Mapping[int, str]) -> None:
        older = {*versions.values(), *(node.kubelet() for node in self.fleet.nodes())}
        older &= toolchain.KUBELETS.keys()
        complete = toolchain.find(self.layout.cache) is not None
        complete = complete and base_image.present(self.layout.cache)
        missing = [version for version in older if not kubelets.find(self.layout.cache, version)]
        preflight.check(self.layout, build=not complete, kubelets=len(missing))
        network.check(self.layout.directory)
        with step("programs and base image"):
            image = self._make_all(older)
        self.fleet.make(numbers, image, versions)
        network.start(self.layout.directory)
        dead = [machine for machine in self.fleet.machines() if not machine.supervisor()]
        if dead:
            with step(f"booting {', '.join(machine.name for machine in dead)}"):
                side_by_side([machine.start for machine in dead])
                side_by_side([machine.wait for machine in self.fleet.machines()])
        with step("waiting for the machines' services"):
            side_by_side([lambda m=m: self._settle(m) for m in self.fleet.machines()])  # type: ignore[misc]
        with step("waiting for the API server"):
            api_server.wait(self.layout.ca)

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

    def _settle(self, machine: Machine) -> None:
        """Wait until a machine has started all of its services."""
        command = "systemctl is-system-running --wait"
        if machine.name != control_plane.NAME:
            command += "; systemctl is-active containerd.service"
        done = self.ssh(machine.name, command, timeout_s=api_server.READY_LIMIT_S)
        said = (done.stdout + done.stderr).split()
        if done.returncode == 255 or (machine.name != control_plane.NAME and said[-1] != "active"):
            raise LabError(
                f"machine {machine.name} does not answer as it should: {' '.join(said)}",
                f"look at it: python -m lab logs {machine.name}",
            )

    # Looking at it

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
        machine = self.fleet.machine(name)
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
                    "wait until it ends",
                ) from None
            yield
