"""What is wrong with tokens, approval and the approver, where each setting is right by itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.problems import Problem

if TYPE_CHECKING:
    from components.settings import Settings

# pkg/controller/certificates/cleaner of Kubernetes: approvedExpiration.
LONGEST_GATED_TTL_MINUTES = 60
# cluster-bootstrap/token/api: BootstrapGroupPattern, what may follow `system:bootstrappers:`.
LONGEST_TOKEN_GROUP = 256


def approval_conflicts(settings: "Settings") -> Iterator[Problem]:
    """Yield each fault with its path."""
    if settings.approver.enabled and not settings.approver.image:
        yield Problem(
            "approver.image", "is missing; build the Containerfile and give the image's name"
        )
    if settings.approval.client == "gate":
        if settings.token.scope != "node":
            yield Problem(
                "token.scope",
                'is "pool", and approval.client is "gate"; a token of the whole pool does not say'
                " which machine holds it, so set token.scope to node",
            )
        if settings.token.ttl_minutes > LONGEST_GATED_TTL_MINUTES:
            yield Problem(
                "token.ttlMinutes",
                f'"{settings.token.ttl_minutes}" is more than {LONGEST_GATED_TTL_MINUTES}, and'
                ' approval.client is "gate"; kube-controller-manager deletes approved requests'
                " after an hour, and with them the trace that a token has been used",
            )
    if settings.approval.serving == "manual" and settings.approver.enabled:
        yield Problem(
            "approval.serving",
            'is "manual", and approver.enabled is true; the resident approver approves what you'
            " want to look at, so set one of them otherwise",
        )
    for pool_name, pool in settings.pools.items() if settings.token.scope == "node" else ():
        for index, node in enumerate(pool.nodes):
            if len(pool_name) + len(node.name) >= LONGEST_TOKEN_GROUP:
                yield Problem(
                    f"pools.{pool_name}.nodes[{index}].name",
                    f"and the pool's have more than {LONGEST_TOKEN_GROUP} characters, too many for"
                    " a token's group; give one of them a shorter name",
                )
    for pool_name, pool in settings.pools.items() if settings.token.scope == "node" else ():
        if pool.cloud_init and pool.cloud_init.with_token:
            yield Problem(
                f"pools.{pool_name}.cloudInit.withToken",
                "can't be with token.scope node, which makes tokens for the nodes in the settings"
                " only; set that to pool, or leave withToken out and bring the token yourself",
            )
