"""A program with the roles, the bindings and the tokens of the whole one, and no machines."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.contract.engine import STACK, Done, Stack
from tests.contract.kubernetes_provider.cluster import Cluster

ROOT = Path(__file__).parents[2]
PLUGINS = ("pulumi-resource-kubernetes", "pulumi-resource-random")
# As `__main__`, `stack.arguments` and `components.pool_tokens` have it.
PROGRAM = """
import json
from pathlib import Path
import pulumi
import pulumi_kubernetes as kubernetes
from components.bootstrap_rbac import BootstrapRbac
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.dependencies import after
from stack import state

SHAPE = json.loads(Path("shape.json").read_text())

async def main():
    found = await state.read()
    cluster = kubernetes.Provider(
        "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="tokens"
    )
    rbac = BootstrapRbac("rbac", pulumi.ResourceOptions(provider=cluster))
    for name, wanted in SHAPE["tokens"].items():
        args = BootstrapTokenArgs(
            pool=wanted["pool"],
            node=wanted["node"],
            members={node: "1" for node in wanted["members"]},
            auto_approved=wanted["open"],
            fresh=wanted["joins"],
            needed=wanted["joins"],
            former=found.tokens.get(name),
            ttl_minutes=30,
            after=after(rbac, *rbac.ready),
        )
        token = BootstrapToken(name, args, pulumi.ResourceOptions(provider=cluster))
        whole = pulumi.Output.concat(token.id, ".", token.secret)
        pulumi.export(name, pulumi.Output.secret(whole))

pulumi.run(main)
"""


def make(directory: Path, cluster: Cluster, program: str = PROGRAM) -> Stack:
    """Make a stack of a program."""
    stack = Stack(directory, PLUGINS)
    stack.write(program, runtime={"name": "python", "options": {"virtualenv": sys.prefix}})
    stack.select()
    (stack.project / "shape.json").write_text(json.dumps({"kubeconfig": str(cluster.kubeconfig)}))
    return stack


def token(
    pool: str, *members: str, node: str | None = None, open_: bool = False, joins: bool = True
) -> dict[str, Any]:
    """What a token is made from; `joins` says whether somebody is to join with it."""
    members = (node,) if node else members
    return {"pool": pool, "node": node, "members": members, "open": open_, "joins": joins}


def run(stack: Stack, *command: str, checkout: Path = ROOT, **tokens: dict[str, Any]) -> Done:
    """Run `pulumi` with these tokens in the program, with the components of a checkout."""
    path = stack.project / "shape.json"
    named = {name.replace("_", "-"): wanted for name, wanted in tokens.items()}
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokens": named}))
    return stack.run(*command, "--stack", STACK, PYTHONPATH=str(checkout))


def up(stack: Stack, *, checkout: Path = ROOT, **tokens: dict[str, Any]) -> dict[str, str]:
    """Run `pulumi up`, and return the tokens by their names."""
    done = run(stack, "up", "--yes", "--skip-preview", checkout=checkout, **tokens)
    assert done.status == 0, done.said
    return {name: str(value) for name, value in stack.outputs("--show-secrets").items()}
