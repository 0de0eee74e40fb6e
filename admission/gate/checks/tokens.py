"""Checks of bootstrap tokens: those of this run, and those left over from others."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from admission.api_server.access_reviews import may_create_requests
from admission.api_server.api import RIGHTS_LIMIT_S, ApiError
from admission.api_server.connection import Connection
from admission.gate.bootstrap_token import FoundToken
from admission.gate.checks.check import PASSED, Answer, Context, few
from admission.objects.token_secret import (
    MANAGED_BY,
    POOL_LABEL,
    TOKENS,
    content,
    expiration,
    kept_secret,
)

# The token cleaner acts within seconds of an expiration.
LONGEST_CLEANING = timedelta(minutes=10)
TRY_AGAIN_S = 0.25


async def check_token(context: Context) -> Answer:
    """Present each live token to the API server, and see whom it authenticates."""
    live = [found for found in context.tokens if found.life == "alive"]
    problems = await asyncio.gather(*(_token_problem(context.api, found) for found in live))
    for found, problem in zip(live, problems, strict=True):
        if problem:
            context.token_problems[found.token.id] = problem
    if context.token_problems:
        return "warning", few([*context.token_problems.values()])
    if not live:
        return "not checked", "no token of the pool is alive; nodes that have joined need none"
    return PASSED


async def check_client_approval(context: Context) -> Answer:
    """Ask whether kube-controller-manager will approve the requests of a token's holder."""
    live = [found for found in context.tokens if found.life == "alive"]
    if not live:
        return "not checked", "no token of the pool is alive; nodes that have joined need none"
    found = live[0]
    if context.orders.client_approval == "gate":
        if await _holder_may(context.api, found, "nodeclient"):
            return "warning", (
                "kube-controller-manager also approves client requests of token holders, although"
                " approval.client is gate: a ClusterRoleBinding grants"
                " certificatesigningrequests/nodeclient to the group system:bootstrappers, to one"
                " of the pool's or to all users; ours grants it to another group, delete any other"
            )
        return PASSED
    if await _until(lambda: _holder_may(context.api, found, "nodeclient")):
        return PASSED
    return "warning", (
        "kube-controller-manager will not approve client requests: no binding grants"
        " certificatesigningrequests/nodeclient to the groups of the pool's tokens;"
        " auto-approve-csrs-for-group is missing or changed"
    )


async def check_token_cleaner(context: Context) -> Answer:
    """Look for tokens that the token cleaner should have deleted long ago."""
    old = [
        name
        for name, _, data in await _tokens(context.api)
        if data.get("expiration") and context.now - expiration(data) > LONGEST_CLEANING
    ]
    if not old:
        return PASSED
    return "warning", (
        f"{few(old)} expired long ago and still exist; kube-controller-manager needs"
        " --controllers=*,bootstrapsigner,tokencleaner"
    )


async def check_left_over_tokens(context: Context) -> Answer:
    """Look for live tokens of this pool that are not this run's."""
    ours = {token.secret_name for token in context.orders.tokens}
    alive = [
        f"{name} until {expiration(data):%H:%M:%SZ}"
        for name, labels, data in await _tokens(context.api)
        if labels.get(MANAGED_BY[0]) == MANAGED_BY[1]
        and labels.get(POOL_LABEL) == context.orders.pool
        and name not in ours
        and data.get("token-secret")
        and expiration(data) > context.now
    ]
    if not alive:
        return PASSED
    return "warning", (
        f"earlier tokens of the pool {context.orders.pool} are alive: {few(alive)}; those of this"
        " stack are deleted at the end of the run, delete any other with kubectl -n kube-system"
        " delete secret"
    )


async def _token_problem(api: Connection, found: FoundToken) -> str:
    """Return what is wrong with a live token, or nothing."""
    token = found.token
    user: dict[str, Any] = {}

    async def accepted() -> bool:
        try:
            user.update(await api.identity(found.value))
        except ApiError as error:
            if error.status != 401:
                raise
        return bool(user)

    if not await _until(accepted):
        return (
            f"the API server does not accept the token {token.id} (401), though its Secret is alive"
            f" until {found.expires:%H:%M:%SZ}; kube-apiserver needs"
            " --enable-bootstrap-token-auth=true"
        )
    if user.get("username") != token.user:
        return (
            f"the API server authenticates the token {token.id} as {user.get('username')}, not as"
            f" {token.user}; find out which other authenticator accepts it"
        )
    missing = {"system:bootstrappers", token.group} - set(user.get("groups") or ())
    if missing:
        return (
            f"the token {token.id} is not in {', '.join(sorted(missing))}; correct"
            f" auth-extra-groups in its Secret {token.secret_name}"
        )
    if not await _until(lambda: _holder_may(api, found, "")):
        return (
            f"the token {token.id} may not request certificates; the ClusterRoleBinding"
            " kubelet-bootstrap is missing"
        )
    return ""


async def _until(ask: Callable[[], Awaitable[bool]]) -> bool:
    """Ask until the answer is yes, for some seconds: new objects take effect after a moment."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + RIGHTS_LIMIT_S
    while not (answer := await ask()) and loop.time() < limit:
        await asyncio.sleep(TRY_AGAIN_S)
    return answer


async def _holder_may(api: Connection, found: FoundToken, subresource: str) -> bool:
    """Ask whether a token's holder may create requests, or one kind of them."""
    groups = ("system:bootstrappers", "system:authenticated", found.token.group, *found.groups)
    return await may_create_requests(api.insist, found.token.user, groups, subresource)


async def _tokens(api: Connection) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """Return the name, the labels and the content of every bootstrap token's Secret."""
    listed = await api.list(TOKENS, kept_secret)
    return [
        (item["metadata"]["name"], item["metadata"]["labels"], content(item))
        for item in listed.items
    ]
