"""A stack for the simulated machines, in a copy of the project."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from lab import environment
from lab.layout import Layout
from lab.toolchain import Toolchain
from tests.bench.fleet.machines import NETWORK, Machines, address
from tests.contract.kubernetes_provider.cluster import Cluster

NAME = "fleet"
PROJECT = "kubelet-tls-bootstrap"
POOL = "workers"
MAX_PODS = 110
TOO_MANY_PODS = 9999  # for a simulated kubelet
SERVICE_CIDR, DNS_ADDRESS = "10.96.0.0/24", "10.96.0.10"


def node_name(number: int) -> str:
    return f"node-{number:05}"


def settings(
    directory: Path, cluster: Cluster, machines: Machines, *, pool_token: bool
) -> dict[str, Any]:
    """Return the settings of a fleet without nodes; writes the files that they name."""
    ca = directory / "ca.crt"
    ca.write_text(cluster.authority.pair.certificate)
    values = {
        "kubeconfigPath": str(cluster.kubeconfig),
        "cluster": {
            "name": NAME,
            "server": cluster.server,  # the machines are simulated here
            "caPath": str(ca),
            "serviceCidr": SERVICE_CIDR,
            "dnsAddresses": [DNS_ADDRESS],
        },
        "ssh": {"privateKeyPath": str(machines.ssh_key)},
    }
    if pool_token:
        values["token"] = {"scope": "pool"}
        values["approval"] = {"client": "controller-manager"}
    return {f"{PROJECT}:{key}": value for key, value in values.items()}


@dataclass(frozen=True)
class State:
    """The stack's state, as the backend holds it."""

    resources: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The project's copy, and how `pulumi` is run in it."""

    project: Path
    layout: Layout
    variables: Mapping[str, str]
    fixed: Mapping[str, Any]
    """The settings without the pools."""
    host_key: str
    log: Path
    """What every run has printed."""

    def write_settings(
        self,
        nodes: int,
        *,
        max_pods: int = MAX_PODS,
        rollout: Mapping[str, Any] = MappingProxyType({}),
        broken: int | None = None,
    ) -> None:
        """Write the settings for so many nodes, one of which may get what it can't do.

        The engine's salt stays.
        """
        path = self.project / f"Pulumi.{NAME}.yaml"
        content = yaml.safe_load(path.read_text()) if path.exists() else {}
        listed: list[dict[str, Any]] = [
            {"name": node_name(number), "address": address(number), "hostKey": self.host_key}
            for number in range(nodes)
        ]
        if broken is not None:
            listed[broken]["kubelet"] = {"maxPods": TOO_MANY_PODS}
        pool = {"kubelet": {"maxPods": max_pods}, "nodes": listed, "rollout": {**rollout}}
        content["config"] = {**self.fixed, f"{PROJECT}:pools": {POOL: pool}}
        path.write_text(json.dumps(content))  # which is YAML, and fast

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `pulumi` with its output in the log."""
        command = ["pulumi", *arguments, "--stack", NAME, "--non-interactive", "--color=never"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.project,
                env={**os.environ, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def state(self) -> State:
        text = (self.layout.pulumi / f".pulumi/stacks/{PROJECT}/{NAME}.json").read_bytes()
        latest = json.loads(text)["checkpoint"]["latest"] or {}
        return State(len(latest.get("resources") or ()), len(text))


def variables(layout: Layout, toolchain: Toolchain, *, skip_checkpoints: bool) -> Mapping[str, str]:
    """Return the environment of the engine: the lab's, with a backend of its own."""
    found = environment.variables(layout, toolchain)
    found["NO_PROXY"] += f",127.0.0.1,{NETWORK}"
    return {**found, "PULUMI_SKIP_CHECKPOINTS": str(skip_checkpoints).lower()}
