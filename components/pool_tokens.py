"""The bootstrap tokens of a pool: one for each node, or one for all of them.

What nodes join with in one run is made from one random seed. The next run in which somebody joins
has another one, so whoever has read an earlier state knows no later token. The tokens of the run
before, which are dead, go with that one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_random import RandomPassword

from components.bootstrap_token import (
    ROUND,
    BootstrapToken,
    BootstrapTokenArgs,
    bootstrap_token,
)
from components.dependencies import Dependencies, once_there, together, value_or
from components.gate_report import DIRECTORY
from components.pool_arguments import NodePoolArgs, PoolNode
from components.token_guard import TokenGuard

SEED_LENGTH = 32
OF = "of"  # among the keepers of a seed


@dataclass(frozen=True, kw_only=True)
class PoolTokens:
    """The tokens that a pool has at the end of a run."""

    by_node: Mapping[str | None, BootstrapToken]
    """By the nodes' names; one for all nodes is by None."""
    guard: TokenGuard
    """Ends them, however the run ends."""

    def of(self, node: str) -> BootstrapToken | None:
        """Return the token with which a node joins; None: it has joined in an earlier run."""
        return self.by_node.get(node) or self.by_node.get(None)

    def ready(self, owner: pulumi.Resource) -> Dependencies:
        """Return what to depend on: once it is known, all of them have been made for `owner`."""
        return together(*(once_there(owner, token.resource) for token in self.by_node.values()))

    @property
    def activations(self) -> pulumi.Output[dict[str, Any]]:
        """Return what makes the tokens valid that are made without it, by their ids."""
        made = [
            (token.id, token.activation, token.is_current)
            for token in self.by_node.values()
            if token.activation is not None
        ]
        found = [value_or(pulumi.Output.all(*each), None) for each in made]
        # A run with a target may have left another token as it was, dead.
        return pulumi.Output.all(*found).apply(
            lambda all_of: {
                token_id: data for token_id, data, current in filter(None, all_of) if current
            }
        )

    def id_of(self, node: str) -> pulumi.Output[str] | None:
        """Return the public half of that."""
        token = self.of(node)
        return None if token is None else token.id


def pool_tokens(
    name: str, args: NodePoolArgs, present: tuple[PoolNode, ...], owner: pulumi.Resource
) -> PoolTokens:
    """Declare a token for whoever joins in this run, or else those of the last run with joins."""
    scopes: dict[str | None, tuple[PoolNode, ...]] = {None: present}
    if args.token.scope == "node":
        scopes = {entry.node.name: (entry,) for entry in present}
    seed_name, of = f"{name}-token-seed", _of(args, present)
    former = args.former_tokens.seeds.get(seed_name, {})
    new = {
        node
        for node, entries in scopes.items()
        if any(entry.joins for entry in entries) or (of and of != former.get(OF))
    }
    # A function of the settings and the state, as a plan needs it.
    keepers, wanted = former, new
    if new:
        keepers = {ROUND: str(int(former.get(ROUND, 0)) + 1)} | ({OF: of} if of else {})
    elif former:
        # Those that follow from the seed. What a failed run has left, or another pool, goes.
        made = args.former_tokens.made
        wanted = {n for n in scopes if made.get(_name(name, n)) == (name, former[ROUND])}
    guard = TokenGuard(
        name,
        stack=args.stack,
        server=args.api_server,
        directory=DIRECTORY,
        tokens={_name(name, node) for node in new},
        ends=args.token.after_join == "revoke",
    )
    if not keepers:
        return PoolTokens(by_node={}, guard=guard)
    seed = RandomPassword(
        seed_name,
        length=SEED_LENGTH,
        special=False,
        keepers=keepers,
        opts=pulumi.ResourceOptions(parent=owner),
    )
    # No token of a pool before the bindings that let its holder ask for a certificate. Those of
    # nodes are made valid later, and meanwhile they can be made.
    needs = args.rbac.ready if None in wanted else together()
    tokens = {
        node: bootstrap_token(
            _name(name, node),
            BootstrapTokenArgs(
                pool=name,
                node=node,
                round=keepers[ROUND],
                needed=node in new,
                auto_approved=args.approval.client == "controller-manager",
                ttl_minutes=args.token.ttl_minutes,
                hooks=guard.hooks,
            ),
            seed,
            owner,
            needs,
        )
        for node in scopes
        if node in wanted
    }
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
