"""The bootstrap tokens of a pool: one for each node, or one for all of them."""

import pulumi

from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.dependencies import after
from components.gate_report import DIRECTORY
from components.pool_arguments import NodePoolArgs, PoolNode
from components.token_guard import TokenGuard

Tokens = dict[str | None, BootstrapToken]


def pool_tokens(
    name: str, args: NodePoolArgs, present: tuple[PoolNode, ...], owner: pulumi.Resource
) -> tuple[Tokens, TokenGuard]:
    """Declare a token for each node, by its name, or one for all of them, by None.

    The guard is of all of them.
    """
    scopes: dict[str | None, tuple[PoolNode, ...]] = {None: present}
    if args.token.scope == "node":
        scopes = {entry.node.name: (entry,) for entry in present}
    # Machines that are not listed join with the pool's token as well.
    others = args.user_data is not None and args.user_data.with_token
    # With a token for each node, one of a pool without nodes does not exist.
    needed = {
        node: others or not args.nodes or any(entry.joins for entry in entries)
        for node, entries in scopes.items()
    }
    guard = TokenGuard(
        name,
        stack=args.stack,
        server=args.api_server,
        directory=DIRECTORY,
        live={_name(name, node) for node in needed if needed[node]},
        ends=args.token.after_join == "revoke",
    )
    tokens: Tokens = {
        node: BootstrapToken(
            _name(name, node),
            BootstrapTokenArgs(
                pool=name,
                node=node,
                members={entry.node.name: entry.join for entry in entries},
                auto_approved=args.approval.client == "controller-manager",
                fresh=any(entry.joins for entry in entries),
                shared=others,
                former=args.former_tokens.get(_name(name, node)),
                ttl_minutes=args.token.ttl_minutes,
                needed=needed[node],
                hooks=guard.hooks,
                after=after(args.rbac, *args.rbac.ready),
            ),
            opts=pulumi.ResourceOptions(parent=owner),
        )
        for node, entries in scopes.items()
    }
    return tokens, guard


def _name(pool: str, node: str | None) -> str:
    return f"{node or pool}-token"
