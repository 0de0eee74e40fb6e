"""`python -m tests.bench.fleet`: what the whole program takes for a fleet of many nodes.

A real control plane and simulated machines (`simulator/`), in which `pulumi` runs as a user runs
it. Everything runs in namespaces of its own for network and processes: the kernel ends all of it
with the first of its processes, and nothing on this machine changes. This module only makes them;
`inside.py` is what runs there.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile

from lab.errors import LabError
from lab.layout import CHECKOUT, Layout
from lab.toolchain import find
from tests.bench.fleet import machines

END_LIMIT_S = 10
# What is killed takes its children along: setpriv for unshare, --kill-child for what is inside.
IN_NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.add_argument("--nodes", type=int, default=20, help="how many at first (default 20)")
    parser.add_argument(
        "--skip-checkpoints",
        action="store_true",
        help="let the engine write its state only at the end of each run",
    )
    parser.add_argument(
        "--pool-token",
        action="store_true",
        help="join with one token of the pool, which kube-controller-manager approves",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, a step a line")
    parser.add_argument(
        "--waves",
        action="store_true",
        help="only change the nodes, one of which can't; prints JSON",
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.nodes < machines.MOST:
        parser.error(f"--nodes is {arguments.nodes}; give a number from 1 to {machines.MOST - 1}")
    try:
        cache = Layout.find().cache
        if find(cache) is None:
            raise LabError("the lab's programs are not built", "run: python -m lab toolchain")
        simulator = machines.build(cache)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="fleet-", dir="/var/tmp") as directory:
        options = ["--skip-checkpoints"] if arguments.skip_checkpoints else []
        options += ["--pool-token"] if arguments.pool_token else []
        options += ["--json"] if arguments.json else []
        options += ["--waves"] if arguments.waves else []
        return run_inside(directory, str(simulator), str(arguments.nodes), *options)


def run_inside(*arguments: str) -> int:
    """Run `inside.py`, and return its exit status once all that it started has ended."""
    process = subprocess.Popen(
        [*IN_NAMESPACES, sys.executable, "-m", "tests.bench.fleet.inside", *arguments],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C reaches only this process
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
