"""A bootstrap token, of a pool or of one node: two random halves and the Secret for them.

Keys and format: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_random import RandomPassword, RandomString

from components.dependencies import Dependencies, value_or
from components.former_token import FormerToken

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"  # noqa: S105 - a type's name
ID_LENGTH = 6
SECRET_LENGTH = 16
GROUP = "system:bootstrappers"
# Whose first client requests kube-controller-manager approves. A group's name may begin with a
# hyphen (cluster-bootstrap/token/api: BootstrapGroupPattern), and no pool's does.
AUTO_APPROVED = f"{GROUP}:-auto-approve"
# Among the keepers; no node has such a name.
AFTER, APPROVED_BY = ":after", ":approved-by"
# `admission/objects/token_secret.py` finds our tokens by these labels.
MANAGED_BY = {"app.kubernetes.io/managed-by": "kubelet-tls-bootstrap"}
POOL_LABEL = "kubelet-tls-bootstrap/pool"


@dataclass(frozen=True, kw_only=True)
class BootstrapTokenArgs:
    """What a token is for, and how long it lives."""

    pool: str
    """The pool whose nodes join with it."""
    node: str | None = None
    """The one node that joins with it; None: all nodes of the pool do."""
    members: Mapping[str, str]
    """The nodes that join with it, with what names each join: any change creates a new token."""
    auto_approved: bool = False
    """Whether kube-controller-manager approves what its holder asks for."""
    fresh: bool = False
    """Whether it is created anew even so: a node joins in this run, and a run ends its tokens."""
    shared: bool = False
    """Whether machines have it that are not among the members."""
    former: FormerToken | None = None
    """The one that the stack has; None: it has none."""
    ttl_minutes: int
    """Minutes from its creation to its expiration."""
    needed: bool = True
    """Whether somebody is to join with it. If not, a token that has to be made is born revoked."""
    hooks: pulumi.ResourceHookBinding | None = None
    """What runs before its Secret is made."""
    after: Dependencies | None = None
    """What must exist first: the bindings that let its holder ask for a certificate."""


class BootstrapToken(pulumi.ComponentResource):
    """A token in the form [a-z0-9]{6}.[a-z0-9]{16}, live until it is revoked or expires."""

    id: pulumi.Output[str]
    secret: pulumi.Output[str]
    secret_uid: pulumi.Output[str]
    ready: list[pulumi.Resource]
    """The resources to depend on: once they exist, the token is valid."""

    def __init__(
        self, name: str, args: BootstrapTokenArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:BootstrapToken", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keepers = _keepers(args)
        # RandomString's result is not secret, so only the public half comes from it.
        token_id = RandomString(
            f"{name}-id", length=ID_LENGTH, special=False, upper=False, keepers=keepers, opts=child
        )
        token_secret = RandomPassword(
            f"{name}-secret",
            length=SECRET_LENGTH,
            special=False,
            upper=False,
            keepers=keepers,
            opts=child,
        )
        self.id = token_id.result
        self.secret = token_secret.result
        data: pulumi.Output[Any] = pulumi.Output.all(self.id, self.secret).apply(
            lambda token: _data(args, *token)
        )
        token = Secret(
            name,
            metadata=ObjectMetaArgs(
                name=token_id.result.apply(lambda value: f"bootstrap-token-{value}"),
                namespace=NAMESPACE,
                labels={**MANAGED_BY, POOL_LABEL: args.pool},
            ),
            type=SECRET_TYPE,
            data=pulumi.Output.secret(data),
            # The expiration is fixed when the token is created, and a revocation is not undone.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=args.after,
                hooks=args.hooks,
                ignore_changes=["data", "stringData"],
            ),
        )
        self.secret_uid = token.metadata.apply(lambda metadata: str(metadata.uid))
        self.ready = [token]
        self.register_outputs({"tokenId": self.id, "secretUid": value_or(self.secret_uid, None)})


def _keepers(args: BootstrapTokenArgs) -> dict[str, str]:
    """Return what a change of creates a new token.

    It is a function of the settings and the state, as a plan needs it: a preview says the same.
    """
    keepers = dict(sorted(args.members.items()))
    if args.shared and args.auto_approved:
        # Those of earlier releases are not in the group.
        keepers[APPROVED_BY] = "kube-controller-manager"
    former = args.former
    if former is None:
        return keepers
    if args.fresh:
        return {**keepers, AFTER: former.id}
    kept = {AFTER: former.keepers[AFTER]} if AFTER in former.keepers else {}
    return {**keepers, **kept} if former.keepers == {**keepers, **kept} else keepers


def _data(args: BootstrapTokenArgs, token_id: str, token_secret: str) -> dict[str, str]:
    """Return the Secret's data, encoded.

    It comes from one Output, so a preview and a plan of a new token hold none of it. A plan with an
    expiration in it would never match the `up` that follows, and the engine's error would quote the
    token.
    """
    subject = f"the node {args.node}" if args.node else "the nodes"
    values = {
        "description": f"joins {subject} of the pool {args.pool}",
        "token-id": token_id,
        # As the gate leaves a token that it revokes. Without an expiration no token cleaner
        # deletes it, which the next refresh would find.
        "usage-bootstrap-authentication": "false",
        # The CA travels over SSH, so nobody needs cluster-info signed with a shared secret.
        "usage-bootstrap-signing": "false",
        "auth-extra-groups": ",".join(
            [AUTO_APPROVED] * args.auto_approved + groups(args.pool, args.node)
        ),
    }
    if args.needed:
        expiration = datetime.now(UTC) + timedelta(minutes=args.ttl_minutes)
        values |= {
            "token-secret": token_secret,
            "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
        }
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def groups(pool: str, node: str | None) -> list[str]:
    """Return the groups of a token's holder beside GROUP; the last is the token's own."""
    of_pool = f"{GROUP}:{pool}"
    # A group's name can't have dots. No node's name has colons, so no two nodes share a group.
    return [of_pool, f"{of_pool}:{node.replace('.', ':')}"] if node else [of_pool]
