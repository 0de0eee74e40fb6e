"""Time from start to the proven join of two fresh nodes, by four ways, in turn, several rounds.

A join is proven when every Node is Ready and the API server reaches its kubelet over TLS that it
verifies, which needs the approved serving certificate to be live. Before each run both machines
are made fresh again (our files removed, the Node deleted); that is not timed. Prints a table of
medians and the ratio to `pulumi up` of the same round; nothing passes or fails here.
"""

import argparse
import contextlib
import json
import secrets
import statistics
import string
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from node_files import Cluster, Node
from tests.bench import contestants
from tests.lab.project import Project, running_project

NODES = {"node-1": "10.98.0.11", "node-2": "10.98.0.12"}
API_SERVER = "https://10.98.0.10:6443"
LIMIT_S = 180
TOKEN_ALPHABET = string.ascii_lowercase + string.digits


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default 3)")
    rounds = parser.parse_args().rounds
    with running_project() as project:
        # The control plane and the RBAC are the program's work, and stand for all contestants.
        project.up()
        times: dict[str, list[float]] = {}
        for number in range(1, rounds + 1):
            for name, seconds in one_round(project):
                print(f"round {number}: {name} {seconds:.2f} s", file=sys.stderr, flush=True)
                times.setdefault(name, []).append(seconds)
    print_table(times)
    return 0


def one_round(project: Project) -> Iterator[tuple[str, float]]:
    """Run each contestant once, on fresh machines."""
    leave(project)
    yield "pulumi up", timed(project, lambda: project.up() and None)
    leave(project)
    for name, build in (
        ("plain ssh", contestants.plain_ssh),
        ("pyinfra", contestants.pyinfra),
        ("Ansible", contestants.ansible),
    ):
        with tempfile.TemporaryDirectory() as directory:
            command = build(Path(directory), access(project), fresh_machines(project))
            with approving_everything(project):
                yield name, timed(project, lambda command=command: project.run(*command) and None)
        clean_by_hand(project)


def leave(project: Project) -> None:
    """Take the nodes out of the settings, and put them back: the next `up` joins fresh machines."""
    settings = project.settings()
    pool = settings["config"]["kubelet-tls-bootstrap:pools"]["workers"]
    nodes, pool["nodes"], pool["maxRemovals"] = pool["nodes"], [], "100%"
    project.write_settings(settings)
    project.up()
    pool["nodes"] = nodes
    project.write_settings(settings)


def clean_by_hand(project: Project) -> None:
    """Undo what a rival did."""
    project.kubectl("delete", "nodes", *NODES, "--ignore-not-found")
    for node in NODES:
        project.ssh(
            node,
            "systemctl disable --now kubelet 2>/dev/null;"
            " rm -rf /etc/kubernetes /var/lib/kubelet /etc/systemd/system/kubelet.service;"
            " systemctl daemon-reload",
        )


def access(project: Project) -> contestants.Access:
    lab = project.directory / ".lab"
    return contestants.Access(key=lab / "id_ed25519", known_hosts=lab / "known_hosts")


def fresh_machines(project: Project) -> list[contestants.Machine]:
    """Both machines with their files, and a live token in the cluster."""
    token_id, token_secret = (
        "".join(secrets.choice(TOKEN_ALPHABET) for _ in range(length)) for length in (6, 16)
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
        "stringData": {
            "token-id": token_id,
            "token-secret": token_secret,
            "usage-bootstrap-authentication": "true",
        },
    }
    project.run("kubectl", "create", "-f", "-", stdin=json.dumps(manifest))
    pool = project.settings()["config"]["kubelet-tls-bootstrap:pools"]["workers"]
    cluster = Cluster(
        name="lab",
        server=API_SERVER,
        ca_certificate=(project.directory / ".lab/ca.crt").read_text(),
    )
    return [
        contestants.machine(
            cluster,
            Node(name=name, addresses=(address,), kubelet=pool["kubelet"]),
            token_id,
            token_secret,
        )
        for name, address in NODES.items()
    ]


@contextlib.contextmanager
def approving_everything(project: Project) -> Iterator[None]:
    """The operator's loop that the rivals need: approve each pending CSR, whatever it says."""
    done = threading.Event()
    template = "{{range .items}}{{if not .status.conditions}}{{.metadata.name}} {{end}}{{end}}"

    def approve() -> None:
        while not done.wait(0.2):
            pending = project.kubectl("get", "csr", "-o", f"go-template={template}").stdout.split()
            if pending:
                project.kubectl("certificate", "approve", *pending, check=False)

    thread = threading.Thread(target=approve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def timed(project: Project, run: Callable[[], None]) -> float:
    """Seconds from the start of the command to the moment when all nodes have been proven."""
    start = time.monotonic()
    run()
    while not all(proven(project, node) for node in NODES):
        if time.monotonic() - start > LIMIT_S:
            raise TimeoutError(f"no proven join within {LIMIT_S} s")
        time.sleep(0.1)
    return time.monotonic() - start


def proven(project: Project, node: str) -> bool:
    """Is the node Ready, and does the API server reach its kubelet?"""
    found = project.kubectl(
        "get", "node", node, "--ignore-not-found",
        "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}',
    )  # fmt: skip
    if found.stdout != "True":
        return False
    path = f"/api/v1/nodes/{node}/proxy/healthz"
    return project.kubectl("get", "--raw", path, check=False).returncode == 0


def print_table(times: dict[str, list[float]]) -> None:
    print("| way | median s | all s | ratio to pulumi up |")
    print("|---|---|---|---|")
    for name, seconds in times.items():
        ratio = statistics.median(
            own / base for own, base in zip(seconds, times["pulumi up"], strict=True)
        )
        listed = " ".join(f"{s:.1f}" for s in seconds)
        print(f"| {name} | {statistics.median(seconds):.1f} | {listed} | {ratio:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
