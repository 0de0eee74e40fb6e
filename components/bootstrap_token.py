"""A bootstrap token, of a pool or of one node: its two halves, and the Secret for them.

Keys and format: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

import base64
import hmac
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_random import RandomPassword

from components.dependencies import Dependencies, once_there, plain, together, value_or
from components.former_tokens import POOL_LABEL, ROUND_LABEL, SECRET_PREFIX

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"  # noqa: S105 - a type's name
ALPHABET = string.digits + string.ascii_lowercase
ID_LENGTH = 6
SECRET_LENGTH = 16
GROUP = "system:bootstrappers"
# Whose first client requests kube-controller-manager approves. A group's name may begin with a
# hyphen (cluster-bootstrap/token/api: BootstrapGroupPattern), and no pool's does.
AUTO_APPROVED = f"{GROUP}:-auto-approve"
MANAGED_BY = {"app.kubernetes.io/managed-by": "kubelet-tls-bootstrap"}
ROUND = "round"  # among the keepers of a seed


@dataclass(frozen=True, kw_only=True)
class BootstrapTokenArgs:
    """What a token is for, and how long it lives."""

    pool: str
    """The pool whose nodes join with it."""
    node: str | None = None
    """The one node that joins with it; None: all nodes of the pool do."""
    round: str
    """The number of the runs in which somebody of the pool has joined."""
    needed: bool = True
    """Whether somebody is to join with it. If not, a Secret that has to be made holds no token."""
    auto_approved: bool = False
    """Whether kube-controller-manager approves what its holder asks for."""
    ttl_minutes: int
    """Minutes to its expiration, from when the run has made what it follows from."""
    hooks: pulumi.ResourceHookBinding | None = None
    """What runs before its Secret is made."""


@dataclass(frozen=True, kw_only=True)
class BootstrapToken:
    """A token in the form [a-z0-9]{6}.[a-z0-9]{16}, live until it is revoked or expires."""

    id: pulumi.Output[str]
    secret: pulumi.Output[str]
    resource: Secret
    """What to depend on. Once it exists the token is valid, or can be activated."""
    activation: pulumi.Output[Any] | None
    """What makes it valid: data for its empty Secret, by key, in base64. The approver of joins
    writes it. None: the Secret is made with it, or nobody is to join with the token."""
    is_current: pulumi.Output[bool]
    """Whether the stack has it as it is declared: a run with a target may leave it as it was."""

    @property
    def secret_uid(self) -> pulumi.Output[str]:
        """The UID of the Secret in the cluster."""
        return self.resource.metadata.apply(lambda metadata: str(metadata.uid))


def bootstrap_token(
    name: str,
    args: BootstrapTokenArgs,
    seed: RandomPassword,
    owner: pulumi.Resource,
    needs: Dependencies,
) -> BootstrapToken:
    """Declare the token that follows from a seed: its Secret, as a child of `owner`.

    The Secret of a node's token is made empty, for a state would hold its data three times, for
    each node. The pool's is made with it: machines that are not listed join without any run.

    Where the seed fails, nothing raises: the engine leaves the Secret out.
    """
    halves: pulumi.Output[Any] = seed.result.apply(lambda text: [*derive(text, args.node or "")])
    token_id: pulumi.Output[str] = pulumi.Output.unsecret(halves.apply(lambda both: both[0]))
    data: pulumi.Output[Any] = halves.apply(lambda both: _data(args, *both))
    data_in_state = args.node is None
    resource = Secret(
        name,
        metadata=ObjectMetaArgs(
            name=plain(value_or(token_id.apply(lambda value: f"{SECRET_PREFIX}{value}"), "")),
            namespace=NAMESPACE,
            labels={**MANAGED_BY, POOL_LABEL: args.pool, ROUND_LABEL: args.round},
        ),
        type=SECRET_TYPE,
        data=value_or(pulumi.Output.secret(data), {}) if data_in_state else None,
        opts=pulumi.ResourceOptions(
            parent=owner,
            depends_on=together(once_there(owner, seed), needs),
            hooks=args.hooks,
            # The expiration is fixed when the token is created, and a revocation is not undone.
            ignore_changes=["data", "stringData"],
        ),
    )
    labels: pulumi.Output[Any] = resource.metadata.apply(lambda found: dict(found.labels or {}))
    made: pulumi.Output[Any] = pulumi.Output.all(seed.keepers, labels)
    return BootstrapToken(
        id=token_id,
        secret=halves.apply(lambda both: both[1]),
        resource=resource,
        activation=None if data_in_state or not args.needed else data,
        is_current=made.apply(
            lambda found: args.round == found[0].get(ROUND) == found[1].get(ROUND_LABEL)
        ),
    )


def derive(seed: str, label: str) -> tuple[str, str]:
    """Return both halves of the token with this label; nobody without the seed can tell them.

    Of 512 random bits the last 22 digits to the base 36 are used, so that all are equally likely.
    """
    number = int.from_bytes(hmac.digest(seed.encode(), label.encode(), "sha512"))
    digits = []
    for _ in range(ID_LENGTH + SECRET_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits[:ID_LENGTH]), "".join(digits[ID_LENGTH:])


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
