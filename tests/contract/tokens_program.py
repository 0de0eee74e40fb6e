"""A program with the roles, the bindings and the tokens of the whole one, and no machines."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.contract.engine import STACK, Done, Stack
from tests.contract.kubernetes_provider.cluster import Cluster

ROOT = Path(__file__).parents[2]
PLUGINS = ("pulumi-resource-kubernetes", "pulumi-resource-random", "pulumi-resource-command")
# What the approver of joins does with a pool's tokens before the first of them.
GIVE = """
async def give(kubeconfig, found):
    from admission.api_server.connection import Connection
    from admission.gate.bootstrap_token import activate
    from admission.gate.orders import Token

    token_id, uid, activations, *_ = found
    if token_id not in activations:
        return
    token = Token(id=token_id, secret_uid=uid, group="")
    api = await Connection.open(kubeconfig, None)
    try:
        await activate(api, token, activations[token_id], print, limit_s=30)
    finally:
        await api.close()
"""
# As `__main__`, `stack.arguments` and `components.node_pool` have it.
PROGRAM = (
    GIVE
    + """
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace as Some
import pulumi
import pulumi_kubernetes as kubernetes
from components.bootstrap_rbac import BootstrapRbac, BootstrapRbacArgs
from components.dependencies import value_or
from components.pool_tokens import pool_tokens
from stack import state
from stack.state import POOL

SHAPE = json.loads(Path("shape.json").read_text())

async def main():
    found = await state.read()
    cluster = kubernetes.Provider(
        "cluster", kubeconfig=SHAPE["kubeconfig"], cluster_identifier="tokens"
    )
    args = None
    if "shares" in SHAPE:
        args = BootstrapRbacArgs(stack=SHAPE["shares"], api_server="https://api")
    rbac = BootstrapRbac("rbac", args, pulumi.ResourceOptions(provider=cluster))
    pools = {}
    for wanted in SHAPE["tokens"].values():
        pools.setdefault(wanted["pool"], []).append(wanted)
    for pool, tokens in pools.items():
        nodes = tuple(
            Some(node=Some(name=node), join="1", joins=wanted["joins"])
            for wanted in tokens
            for node in wanted["members"]
        )
        client = "controller-manager" if tokens[0]["open"] else "gate"
        args = Some(
            token=Some(scope=tokens[0]["scope"], ttl_minutes=30, after_join="keep"),
            approval=Some(client=client),
            user_data=None,
            nodes=nodes,
            former_tokens=found.tokens,
            stack="o/p/s",
            api_server="https://api",
            rbac=rbac,
        )
        owner = pulumi.ComponentResource(POOL, pool, None, pulumi.ResourceOptions(provider=cluster))
        made = pool_tokens(pool, args, nodes, owner)
        for node, token in made.by_node.items():
            whole = value_or(pulumi.Output.concat(token.id, ".", token.secret), "")
            # Earlier releases have made every Secret with what makes its token valid.
            if getattr(token, "activation", None) is not None and not pulumi.runtime.is_dry_run():
                # A join waits for the bindings, and so does this.
                needs = [bound.urn for bound in rbac.renewal]
                given = pulumi.Output.all(
                    token.id, token.secret_uid, made.activations, *needs
                ).apply(partial(give, SHAPE["kubeconfig"]))
                whole = pulumi.Output.all(whole, value_or(given, None)).apply(lambda both: both[0])
            pulumi.export(f"{node or pool}-token", pulumi.Output.secret(whole))
            if SHAPE.get("asksIfCurrent"):
                pulumi.export(f"{node or pool}-is-current", token.is_current)
    if SHAPE.get("fails"):
        raise pulumi.RunError("the run fails")

pulumi.run(main)
"""
)


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
    scope, members = ("node", (node,)) if node else ("pool", members)
    return {"pool": pool, "scope": scope, "members": members, "open": open_, "joins": joins}


def run(
    stack: Stack,
    *command: str,
    checkout: Path = ROOT,
    more: Mapping[str, Any] = MappingProxyType({}),
    variables: Mapping[str, str] = MappingProxyType({}),
    **tokens: dict[str, Any],
) -> Done:
    """Run `pulumi` with these tokens in the program, with the components of a checkout."""
    path = stack.project / "shape.json"
    named = {name.replace("_", "-"): wanted for name, wanted in tokens.items()}
    kubeconfig = json.loads(path.read_text())["kubeconfig"]
    path.write_text(json.dumps({"kubeconfig": kubeconfig, **more, "tokens": named}))
    return stack.run(*command, "--stack", STACK, PYTHONPATH=str(checkout), **variables)


def up(stack: Stack, *, checkout: Path = ROOT, **tokens: dict[str, Any]) -> dict[str, str]:
    """Run `pulumi up`, and return the tokens by their names."""
    done = run(stack, "up", "--yes", "--skip-preview", checkout=checkout, **tokens)
    assert done.status == 0, done.said
    return {name: str(value) for name, value in stack.outputs("--show-secrets").items()}
