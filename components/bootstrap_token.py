"""A pool's bootstrap token: its two random halves and the Secret that makes them valid.

Keys and format: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_random import RandomPassword, RandomString

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"  # noqa: S105 - a type's name
ID_LENGTH = 6
SECRET_LENGTH = 16
GROUP = "system:bootstrappers"


@dataclass(frozen=True, kw_only=True)
class BootstrapTokenArgs:
    """What a token is for, and how long it lives at most."""

    pool: str
    """The pool whose nodes join with it."""
    members: Mapping[str, int]
    """The pool's nodes and their generations: a change of them makes a new token."""
    ttl_minutes: int
    """Minutes from its creation to its expiration."""


class BootstrapToken(pulumi.ComponentResource):
    """A token in the form [a-z0-9]{6}.[a-z0-9]{16}, live until it is revoked or expires."""

    id: pulumi.Output[str]
    secret: pulumi.Output[str]
    secret_uid: pulumi.Output[str]
    live: pulumi.Resource
    """The resource to depend on: once it is there, the token is valid."""

    def __init__(
        self, name: str, args: BootstrapTokenArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:BootstrapToken", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keepers = {node: str(generation) for node, generation in sorted(args.members.items())}
        # RandomString's result is no secret, so only the public half comes from it.
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
        expiration = datetime.now(UTC) + timedelta(minutes=args.ttl_minutes)
        token = Secret(
            name,
            metadata=ObjectMetaArgs(
                name=token_id.result.apply(lambda value: f"bootstrap-token-{value}"),
                namespace=NAMESPACE,
            ),
            type=SECRET_TYPE,
            string_data={
                "description": f"joins the nodes of the pool {args.pool}",
                "token-id": token_id.result,
                "token-secret": token_secret.result,
                "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "usage-bootstrap-authentication": "true",
                # The CA travels over SSH, so nobody needs cluster-info signed with a shared secret.
                "usage-bootstrap-signing": "false",
                "auth-extra-groups": f"{GROUP}:{args.pool}",
            },
            # The expiration is fixed when the token is made, and its revocation is not undone.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data", "stringData"]),
        )
        self.secret_uid = token.metadata.apply(lambda metadata: str(metadata.uid))
        self.live = token
        self.register_outputs({})
