"""A run that fails, is interrupted or is killed ends its tokens: with the real engine and guard."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from admission.objects.token_secret import content, is_revoked
from tests.contract import tokens_program
from tests.contract.engine import PROJECT, STACK, Stack
from tests.contract.kubernetes_provider.cluster import Cluster, running

pytestmark = pytest.mark.contract

LIMIT_S = 120
SECRETS = "/api/v1/namespaces/kube-system/secrets"
# Where it waits, the run is at work: a gate waits for machines, say.
PROGRAM = (
    tokens_program.GIVE
    + """
import asyncio
import json
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from components import token_guard
from components.bootstrap_token import BootstrapTokenArgs, bootstrap_token
from components.dependencies import together
from pulumi_random import RandomPassword

SHAPE = json.loads(Path("shape.json").read_text())
token_guard.PROJECT = Path.cwd()

async def main():
    cluster = kubernetes.Provider(
        "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="tokens"
    )
    guard = token_guard.TokenGuard(
        "workers",
        stack=f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}",
        server=SHAPE["server"],
        directory=".pulumi-gate",
        tokens={"n1-token"},
        ends=SHAPE["ends"],
    )
    args = BootstrapTokenArgs(
        pool="workers", node="n1", round="1", ttl_minutes=30, hooks=guard.hooks
    )
    seed = RandomPassword("workers-token-seed", length=32, keepers={"round": "1"})
    opts = pulumi.ResourceOptions(provider=cluster)
    owner = pulumi.ComponentResource("kubelet-tls-bootstrap:index:NodePool", "workers", None, opts)
    token = bootstrap_token("n1-token", args, seed, owner, together())
    found = await pulumi.Output.all(token.id, token.secret_uid, token.activation).future()
    token_id, uid, activation = found
    if SHAPE["activates"]:
        await give(SHAPE["kubeconfig"], (token_id, uid, {token_id: activation}))
    Path("made").touch()
    if SHAPE["waits"]:
        await asyncio.sleep(600)
    raise ValueError("the run fails")

pulumi.run(main)
"""
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def make(
    directory: Path, cluster: Cluster, *, waits: bool, ends: bool = True, activates: bool = True
) -> Stack:
    """A stack whose settings name the kubeconfig, as the guard reads them."""
    stack = tokens_program.make(directory, cluster, PROGRAM)
    path = stack.project / f"Pulumi.{STACK}.yaml"
    settings = yaml.safe_load(path.read_text()) if path.exists() else {}
    values = {"kubeconfigPath": str(cluster.kubeconfig), "pools": {"workers": {"nodes": []}}}
    settings["config"] = {f"{PROJECT}:{key}": value for key, value in values.items()}
    path.write_text(yaml.safe_dump(settings))
    shape: dict[str, object] = {"kubeconfig": str(cluster.kubeconfig), "server": cluster.server}
    shape |= {"waits": waits, "ends": ends, "activates": activates}
    (stack.project / "shape.json").write_text(json.dumps(shape))
    return stack


def is_dead(cluster: Cluster) -> bool:
    """Whether the one token of the test is there, and lets nobody in."""
    return is_revoked(data_of(cluster))


def data_of(cluster: Cluster) -> dict[str, str]:
    found = [
        content(secret)
        for secret in cluster.get(SECRETS)["items"]
        if secret["type"] == "bootstrap.kubernetes.io/token"
    ]
    (data,) = found
    return data


def ended(cluster: Cluster, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if is_dead(cluster):
            return True
        time.sleep(0.2)
    return False


@pytest.fixture(autouse=True)
def no_token_before(cluster: Cluster) -> None:
    for secret in cluster.get(SECRETS)["items"]:
        if secret["type"] == "bootstrap.kubernetes.io/token":
            cluster.request("DELETE", f"{SECRETS}/{secret['metadata']['name']}")


def up(stack: Stack) -> int:
    command = ("up", "--yes", "--skip-preview", "--stack", STACK)
    return stack.run(*command, PYTHONPATH=str(tokens_program.ROOT)).status


def test_a_run_that_fails_ends_its_token(cluster: Cluster, tmp_path: Path) -> None:
    stack = make(tmp_path, cluster, waits=False)
    assert up(stack) != 0
    assert ended(cluster, LIMIT_S)
    log = stack.project / f".pulumi-gate/organization/{PROJECT}/{STACK}/workers-tokens.log"
    assert log.read_text().endswith("revoked at the end of the run\n")


def test_a_token_that_was_not_activated_yet_can_not_be_any_more(
    cluster: Cluster, tmp_path: Path
) -> None:
    """What would activate it may be under way when the run ends."""
    stack = make(tmp_path, cluster, waits=False, activates=False)
    assert up(stack) != 0
    deadline = time.monotonic() + LIMIT_S
    while not data_of(cluster):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert is_dead(cluster)


def test_a_token_that_is_to_outlive_a_run_does(cluster: Cluster, tmp_path: Path) -> None:
    assert up(make(tmp_path, cluster, waits=False, ends=False)) != 0
    assert not ended(cluster, 5)


@pytest.mark.parametrize("kill", [False, True], ids=["interrupted", "killed"])
def test_a_run_that_does_not_get_to_its_end_ends_its_token(
    cluster: Cluster, tmp_path: Path, kill: bool
) -> None:
    stack = make(tmp_path, cluster, waits=True)
    command = ("up", "--yes", "--skip-preview", "--stack", STACK)
    run = stack.start(*command, PYTHONPATH=str(tokens_program.ROOT))
    deadline = time.monotonic() + LIMIT_S
    while not (stack.project / "made").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not is_dead(cluster)
    programs = processes(stack.project)
    assert programs
    run.send_signal(signal.SIGKILL if kill else signal.SIGINT)
    if kill:
        # The program itself too: what a machine without memory or power does to all of them.
        for process in programs:
            os.kill(int(process.name), signal.SIGKILL)
    run.communicate(timeout=LIMIT_S)
    try:
        assert ended(cluster, LIMIT_S)
    finally:
        # A plugin outlives an engine that is killed.
        for process in processes(stack.project, "pulumi-resource-"):
            os.kill(int(process.name), signal.SIGKILL)


def processes(directory: Path, name: str = "python") -> list[Path]:
    """The programs that run in a directory, the language host's by default, but for the guard."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = process.joinpath("cmdline").read_bytes().split(b"\0")
            here = process.joinpath("cwd").readlink() == directory
        except OSError:
            continue  # it has ended, or is not ours
        if here and b"admission" not in words and Path(words[0].decode()).name.startswith(name):
            found.append(process)
    return found
