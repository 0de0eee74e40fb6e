"""Whether the settings of tokens and of approval fit together."""

from collections.abc import Iterator

from settings.model import Pool, Settings, TokenSettings
from settings.problem import Problem

# pkg/controller/certificates/cleaner of Kubernetes: approvedExpiration.
LONGEST_GATED_TTL_MINUTES = 60
# cluster-bootstrap/token/api: BootstrapGroupPattern, what may follow `system:bootstrappers:`.
LONGEST_TOKEN_GROUP = 256
OPEN = "controller-manager"


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each problem with its path."""
    # What is wrong with the stack's own settings is told once, not for each pool.
    found = (
        problem
        for name, pool in settings.pools.items()
        for problem in _of_pool(settings, name, pool)
    )
    yield from dict.fromkeys(found)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield where others decide what is approved: with a token."""
    for path in dict.fromkeys(
        "approval.client" if pool.approval.client is None else f"pools.{name}.approval.client"
        for name, pool in settings.pools.items()
        if settings.client_approval_of(pool) == OPEN
    ):
        yield (
            f'{path} is "{OPEN}": whoever gets hold of a bootstrap token while it lives can become'
            ' any node of the cluster; with "gate", the default, each token lets in its own node'
            " only, once"
        )


def _of_pool(settings: Settings, name: str, pool: Pool) -> Iterator[Problem]:
    path, token = f"pools.{name}", settings.token_of(pool)
    if settings.client_approval_of(pool) == "gate":
        yield from _gated_problems(path, pool, token)
    if token.scope == "node":
        for index, node in enumerate(pool.nodes):
            if len(name) + len(node.name) >= LONGEST_TOKEN_GROUP:
                yield Problem(
                    f"{path}.nodes[{index}].name",
                    f"and its pool's name have {len(name) + len(node.name)} characters"
                    f" together, but a token's group can have only {LONGEST_TOKEN_GROUP - 1};"
                    " shorten one of them",
                )
    if pool.cloud_init and pool.cloud_init.with_token:
        yield from _user_data_problems(token, f"{path}.cloudInit.withToken")


def _gated_problems(path: str, pool: Pool, token: TokenSettings) -> Iterator[Problem]:
    whose = f"{path}." if pool.approval.client else ""
    if token.scope != "node":
        yield Problem(
            f"{path}.token.scope" if "scope" in pool.token.model_fields_set else "token.scope",
            f'is "pool", but {whose}approval.client is "gate", the default; a token of the whole'
            " pool does not show which machine holds it, so set token.scope to node, or"
            f" approval.client to {OPEN} if a token's holder may become any node",
        )
    if token.ttl_minutes > LONGEST_GATED_TTL_MINUTES:
        own = "ttl_minutes" in pool.token.model_fields_set
        yield Problem(
            f"{path}.token.ttlMinutes" if own else "token.ttlMinutes",
            f"{token.ttl_minutes} is more than {LONGEST_GATED_TTL_MINUTES}, but"
            f' {whose}approval.client is "gate", the default; kube-controller-manager deletes'
            " approved requests after an hour, and with them the only record that a token was"
            f" used, so give {LONGEST_GATED_TTL_MINUTES} or less",
        )


def _user_data_problems(token: TokenSettings, path: str) -> Iterator[Problem]:
    if token.scope == "node":
        yield Problem(
            path,
            "is true, but token.scope is node, which makes tokens only for nodes in the settings;"
            f" set token.scope to pool and approval.client to {OPEN}, for this pool alone if you"
            " like, or leave withToken out and provide a token yourself",
        )
    if token.after_join == "revoke":
        yield Problem(
            path,
            "is true, but token.afterJoin is revoke, which ends the token before such a machine"
            " can use it; set token.afterJoin to expire, or leave withToken out and provide a"
            " token yourself",
        )
