"""The benchmark itself, which `__main__.py` starts as the first process of its namespaces."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from admission.api_server.api import NODES
from lab.layout import Layout
from lab.toolchain import find
from tests.bench.fleet import machines, report, stack, waves
from tests.bench.fleet.machines import Machines
from tests.bench.fleet.meter import measure
from tests.bench.fleet.stack import Stack
from tests.bench.gate import api_server_flags, certificate_controllers
from tests.contract.kubernetes_provider import cluster
from tests.contract.kubernetes_provider.cluster import Cluster
from tests.lab.project import copy_checkout

UP = ("up", "--yes", "--skip-preview")
NO_CHANGE = "--expect-no-changes"
LOG_LINES = 40


@dataclass(frozen=True, kw_only=True)
class Step:
    """A run of `pulumi`, after the settings have been written."""

    name: str
    command: tuple[str, ...]
    nodes: int
    """How many nodes the settings list."""
    changed: int
    """How many of them it joins, changes or removes."""
    max_pods: int = stack.MAX_PODS
    left: bool = True
    """Whether the nodes are in the cluster after it."""


def steps(nodes: int) -> Iterator[Step]:
    """Yield a fleet's life."""
    more, most, other = nodes + 1, nodes + 2, stack.MAX_PODS + 1
    yield Step(name="first up", command=UP, nodes=nodes, changed=nodes)
    yield Step(name="preview, no change", command=("preview", NO_CHANGE), nodes=nodes, changed=0)
    yield Step(name="up, no change", command=(*UP, NO_CHANGE), nodes=nodes, changed=0)
    # It also removes the tokens that the others have joined with; the next one, only its own.
    yield Step(name="one node added", command=UP, nodes=more, changed=1)
    yield Step(name="another node added", command=UP, nodes=most, changed=1)
    yield Step(
        name="one kubelet value for all", command=UP, nodes=most, changed=most, max_pods=other
    )
    yield Step(
        name="destroy",
        command=("destroy", "--yes", "--skip-preview"),
        nodes=most,
        changed=most,
        max_pods=other,
        left=False,
    )


@dataclass(frozen=True)
class Fleet:
    """The control plane, the machines, and the stack that joins them."""

    cluster: Cluster
    machines: Machines
    stack: Stack

    def run(self, step: Step) -> report.Row:
        """Run a step, and make sure that it did what its row says.

        Raises:
            SystemExit: it failed, or the cluster has other nodes after it; shows what was printed.
        """
        self.stack.write_settings(step.nodes, max_pods=step.max_pods)
        before = self.machines.counts()
        measured = measure(lambda: self.stack.start(*step.command))
        joined, expected = len(self.cluster.get(NODES)["items"]), step.nodes * step.left
        if measured.status != 0 or joined != expected:
            said = self.stack.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise SystemExit(
                "\n".join(
                    [
                        *said,
                        f"{step.name}: pulumi ended with {measured.status}, and the cluster has"
                        f" {joined} nodes of {expected}",
                    ]
                )
            )
        return report.Row(
            step=step.name,
            changed=step.changed,
            nodes=expected,
            measured=measured,
            connections=self.machines.counts().connections - before.connections,
            state=self.stack.state(),
        )


@contextlib.contextmanager
def running_fleet(
    directory: Path, simulator: Path, *, skip_checkpoints: bool, pool_token: bool
) -> Iterator[Fleet]:
    """Start a fleet with its files in a directory, and with an empty stack."""
    layout = Layout(directory, Layout.find().cache)
    toolchain = find(layout.cache)
    assert toolchain is not None
    for place in (files := directory / "cluster", project := directory / "project", layout.pulumi):
        place.mkdir()
    copy_checkout(project)
    with contextlib.ExitStack() as running:
        flags = api_server_flags(files, machines.CONTROL_PLANE_ADDRESS)
        control_plane = running.enter_context(cluster.running(files, *flags))
        running.enter_context(certificate_controllers(control_plane, files))
        played = running.enter_context(machines.running(simulator, directory))
        ours = Stack(
            project=project,
            layout=layout,
            variables=stack.variables(layout, toolchain, skip_checkpoints=skip_checkpoints),
            fixed=stack.settings(directory, control_plane, played, pool_token=pool_token),
            host_key=played.host_key,
            log=directory / "pulumi.log",
        )
        if ours.start("stack", "init", "--no-select").wait() != 0:
            raise SystemExit(ours.log.read_text())
        yield Fleet(control_plane, played, ours)


def make_network() -> None:
    """Make every address of the machines' network one of this network namespace."""
    for words in ("link set lo up", f"route add local {machines.NETWORK} dev lo"):
        subprocess.run(["ip", *words.split()], check=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("simulator", type=Path)
    parser.add_argument("nodes", type=int)
    parser.add_argument("--skip-checkpoints", action="store_true")
    parser.add_argument("--pool-token", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--waves", action="store_true")
    given = parser.parse_args()
    # The kernel ends everything else in the namespace with its first process.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    make_network()
    rows: list[report.Row] = []
    with running_fleet(
        given.directory,
        given.simulator,
        skip_checkpoints=given.skip_checkpoints,
        pool_token=given.pool_token,
    ) as fleet:
        try:
            if given.waves:
                print(json.dumps(waves.run(fleet, given.nodes)), flush=True)
                return 0
            for step in steps(given.nodes):
                rows.append(row := fleet.run(step))
                print(f"{step.name}: {row.measured.wall_s:.1f} s", file=sys.stderr, flush=True)
        finally:
            # Also what was measured before a step that failed: at many nodes that took minutes.
            table = "\n".join(report.table(rows))
            print(report.document(rows) if given.json else table, flush=True)
    return 0


if __name__ == "__main__":
    if os.getpid() != 1:
        sys.exit("run python -m tests.bench.fleet, which starts this in namespaces of its own")
    sys.exit(main())
