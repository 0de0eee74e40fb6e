"""The bootstrap tokens of a pool: one for each node, or one for all of them.

What nodes join with in one run is made from one random seed. The next run in which somebody joins
has another one, so whoever has read an earlier state knows no later token.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_random import RandomPassword

from components.bootstrap_token import (
    BootstrapToken,
    BootstrapTokenArgs,
    former_token,
    new_token,
)
from components.dependencies import after
from components.gate_report import DIRECTORY
from components.pool_arguments import NodePoolArgs, PoolNode
from components.token_guard import TokenGuard

SEED_LENGTH = 32
ROUND, OF = "round", "of"  # the keepers


@dataclass(frozen=True, kw_only=True)
class PoolTokens:
    """The tokens that a pool has at the end of a run."""

    by_node: Mapping[str | None, BootstrapToken]
    """By the nodes' names; one for all nodes is by None."""
    guard: TokenGuard
    """Ends the new ones, however the run ends."""

    def of(self, node: str) -> BootstrapToken | None:
        """Return the token with which a node joins; None: it has joined, and its token is gone."""
        return self.by_node.get(node) or self.by_node.get(None)


def pool_tokens(
    name: str, args: NodePoolArgs, present: tuple[PoolNode, ...], owner: pulumi.Resource
) -> PoolTokens:
    """Declare a new token for whoever joins in this run; that of a node that has joined stays."""
    scopes: dict[str | None, tuple[PoolNode, ...]] = {None: present}
    if args.token.scope == "node":
        scopes = {entry.node.name: (entry,) for entry in present}
    former = {node: args.former_tokens.tokens.get(_name(name, node)) for node in scopes}
    seed_name = f"{name}-token-seed"
    former_seed = args.former_tokens.seeds.get(seed_name)
    of = _of(args, present)
    new = {
        node
        for node, entries in scopes.items()
        if any(entry.joins for entry in entries)
        or (of and (former[node] is None or (former_seed or {}).get(OF) != of))
    }
    number = int((former_seed or {}).get(ROUND, 0)) + bool(new)
    seed = None
    if new or former_seed is not None:
        # It is a function of the settings and the state, as a plan needs it.
        keepers = {ROUND: str(number)} | ({OF: of} if of else {})
        seed = RandomPassword(
            seed_name,
            length=SEED_LENGTH,
            special=False,
            keepers=keepers,
            opts=pulumi.ResourceOptions(parent=owner),
        ).result
    guard = TokenGuard(
        name,
        stack=args.stack,
        server=args.api_server,
        directory=DIRECTORY,
        live={_name(name, node) for node in new},
        ends=args.token.after_join == "revoke",
    )
    tokens = {}
    for node in scopes:
        token, known = _name(name, node), former[node]
        given = BootstrapTokenArgs(
            pool=name,
            node=node,
            auto_approved=args.approval.client == "controller-manager",
            ttl_minutes=args.token.ttl_minutes,
            hooks=guard.hooks,
            after=after(args.rbac, *args.rbac.ready),
        )
        if seed is not None and node in new:
            tokens[node] = new_token(token, given, seed, owner)
        elif known is not None:
            # One that stays is made from this seed only if it is for others too.
            tokens[node] = former_token(token, given, known, seed if of else None, owner)
    return PoolTokens(by_node=tokens, guard=guard)


def _of(args: NodePoolArgs, present: tuple[PoolNode, ...]) -> str:
    """Return what a change of makes a new token for machines that are not listed.

    They join with the pool's token as well. Nothing: there are none, or each node has its own.
    """
    others = args.user_data is not None and args.user_data.with_token
    if args.token.scope == "node" or (args.nodes and not others):
        return ""
    joins = sorted(f"{entry.node.name} {entry.join}" for entry in present)
    # Those of another mode are in other groups.
    text = "\n".join((args.approval.client, *joins))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name(pool: str, node: str | None) -> str:
    return f"{node or pool}-token"
