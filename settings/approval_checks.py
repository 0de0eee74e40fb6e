"""Whether the settings of tokens, of approval and of the approver fit together."""

import re
from collections.abc import Iterator

from settings.model import Settings
from settings.problem import Problem

# pkg/controller/certificates/cleaner of Kubernetes: approvedExpiration.
LONGEST_GATED_TTL_MINUTES = 60
# cluster-bootstrap/token/api: BootstrapGroupPattern, what may follow `system:bootstrappers:`.
LONGEST_TOKEN_GROUP = 256
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each problem with its path."""
    if settings.approver.enabled and not settings.approver.image:
        yield Problem(
            "approver.image",
            "is missing; build an image from the Containerfile and give its name",
        )
    if settings.approval.client == "gate":
        yield from _gated_problems(settings)
    if settings.approval.serving == "manual" and settings.approver.enabled:
        yield Problem(
            "approval.serving",
            'is "manual", but approver.enabled is true; the resident approver would approve the'
            " requests that you want to review, so change one of the two",
        )
    for pool_name, pool in settings.pools.items():
        path = f"pools.{pool_name}"
        if settings.token.scope == "node":
            for index, node in enumerate(pool.nodes):
                if len(pool_name) + len(node.name) >= LONGEST_TOKEN_GROUP:
                    yield Problem(
                        f"{path}.nodes[{index}].name",
                        f"and its pool's name have {len(pool_name) + len(node.name)} characters"
                        f" together, but a token's group can have only {LONGEST_TOKEN_GROUP - 1};"
                        " shorten one of them",
                    )
        if pool.cloud_init and pool.cloud_init.with_token:
            yield from _user_data_problems(settings, f"{path}.cloudInit.withToken")


def warnings(settings: Settings) -> Iterator[str]:
    """Yield what to know of the approver's image."""
    image = settings.approver.image
    if settings.approver.enabled and image and not DIGEST.search(image):
        yield (
            f"approver.image {image} has no digest, so whoever can push to its registry decides"
            f" what approves certificates; give it as {image}@sha256:..., which podman push"
            " --digestfile writes"
        )


def _gated_problems(settings: Settings) -> Iterator[Problem]:
    if settings.token.scope != "node":
        yield Problem(
            "token.scope",
            'is "pool", but approval.client is "gate"; a token of the whole pool does not show'
            " which machine holds it, so set token.scope to node",
        )
    if settings.token.ttl_minutes > LONGEST_GATED_TTL_MINUTES:
        yield Problem(
            "token.ttlMinutes",
            f"{settings.token.ttl_minutes} is more than {LONGEST_GATED_TTL_MINUTES}, but"
            ' approval.client is "gate"; kube-controller-manager deletes approved requests after'
            " an hour, and with them the only record that a token was used, so give"
            f" {LONGEST_GATED_TTL_MINUTES} or less",
        )


def _user_data_problems(settings: Settings, path: str) -> Iterator[Problem]:
    if settings.token.scope == "node":
        yield Problem(
            path,
            "is true, but token.scope is node, which makes tokens only for nodes in the settings;"
            " set token.scope to pool, or leave withToken out and provide a token yourself",
        )
    if settings.token.after_join == "revoke":
        yield Problem(
            path,
            "is true, but token.afterJoin is revoke, which ends the token before such a machine"
            " can use it; set token.afterJoin to expire, or leave withToken out and provide a"
            " token yourself",
        )
