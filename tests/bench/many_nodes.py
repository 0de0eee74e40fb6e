"""`python -m tests.bench.many_nodes`: seconds of CPU that the program's own work takes for a pool.

Reads the settings of so many nodes, checks them, and renders what each node gets. Nothing is
reached; the median of several rounds is printed for each step, and what a node's bundle weighs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import node_files
from settings import checks
from settings.model import Settings
from settings.parsing import parse
from stack.nodes import to_cluster, to_node

ROUNDS = 5
KUBELET = {"maxPods": 200, "systemReserved": {"cpu": "500m", "memory": "1Gi"}}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERERERER"


def raw(count: int) -> dict[str, Any]:
    """Return the settings of a pool whose every node differs a little."""
    nodes = [
        {
            "name": f"node-{number}",
            "address": f"10.1.{number // 250}.{number % 250 + 1}",
            "hostKey": HOST_KEY,
            "kubelet": {"maxPods": 100 + number % 100},
        }
        for number in range(count)
    ]
    return {"kubelet": KUBELET, "pools": {"workers": {"nodes": nodes}}}


def rendered(settings: Settings) -> list[str]:
    """Return every node's bundle."""
    pool = settings.pools["workers"]
    cluster = to_cluster(settings.cluster, "https://10.0.0.9:6443", "-----BEGIN CERTIFICATE-----\n")
    return [node_files.bundle(cluster, to_node(settings, pool, node)) for node in pool.nodes]


def cpu_seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many_nodes", description=__doc__)
    parser.add_argument("--nodes", type=int, default=300, help="how many (default 300)")
    count = parser.parse_args().nodes
    settings = parse(raw(count))
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: parse(raw(count)),
        "check": lambda: list(checks.problems(settings)),
        "render": lambda: rendered(settings),
    }
    print(f"| step | CPU seconds for {count} nodes |\n|---|---|")
    for name, work in steps.items():
        print(f"| {name} | {statistics.median(cpu_seconds(work) for _ in range(ROUNDS)):.2f} |")
    sizes = sorted(len(bundle.encode()) for bundle in rendered(settings))
    print(f"\na bundle has {statistics.median(sizes):.0f} bytes")


if __name__ == "__main__":
    main()
