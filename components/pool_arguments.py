"""The arguments of a pool: its machines, its tokens, and who approves what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

import node_files
from components.access import Access
from components.bootstrap_rbac import BootstrapRbac
from components.deliveries import Bring
from components.former_tokens import FormerTokens
from components.pool_inventory import Denied, InventoryNode
from components.rollout import RolloutPolicy
from components.user_data import UserDataArgs


@dataclass(frozen=True, kw_only=True)
class PoolNode:
    """A machine of the pool."""

    node: node_files.Node
    """The machine, and how its kubelet runs."""
    access: Access
    """How to reach it."""
    dns_names: tuple[str, ...]
    """The DNS names that its serving certificate may hold, its own name included."""
    certificate_addresses: tuple[str, ...] = ()
    """The addresses that it may hold beside those that its kubelet is told."""
    join: str = "1"
    """The name of its join: with another one it gets a new token and joins again."""
    recorded: Mapping[str, Any] | None = None
    """What the stack's outputs hold of it, if the gate has proven this very join."""
    joins: bool = True
    """Whether its machine is not known to have joined by this very join."""
    installed: str | None = None
    """What the state knows of the files on its machine; None: it has none."""
    printed: str | None = None
    """What the last installation has printed there, by the state."""
    registered_taints: tuple[str, ...] = ()
    """The taints that its kubelet has registered with, or does in this run, where that is known."""
    former_files: tuple[str, ...] = ()
    """The other URNs that its files had until this run, those of its machine's former node too."""
    former_member: str | None = None
    """The other URN that its membership had until this run."""
    gone: bool = False
    """The machine is gone: its Node is deleted, nothing waits for it and nothing connects to it."""
    existing: frozenset[str] = frozenset()
    """Which of its commands the stack has before this run: `files`, `member`."""
    bring: Bring
    """Brings something to the machine."""
    made_by: tuple[pulumi.Resource, ...] = ()
    """What makes its machine in the same program, and goes only once the node has left."""
    is_made: bool = True
    """Whether all of it is known. In a preview it may not be, before its machine is made."""

    def inventory(self) -> InventoryNode:
        """Return what its serving certificate may hold."""
        return InventoryNode(
            name=self.node.name,
            addresses=self.node.addresses,
            dns_names=self.dns_names,
            certificate_addresses=self.certificate_addresses,
        )


@dataclass(frozen=True, kw_only=True)
class TokenPolicy:
    """Who gets a token, how long it lives, and what happens to it after the join."""

    scope: Literal["pool", "node"] = "node"
    ttl_minutes: int = 60
    after_join: Literal["revoke", "expire", "keep"] = "revoke"


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who approves the first client certificates, and who the serving certificates."""

    client: Literal["controller-manager", "gate"] = "gate"
    serving: Literal["gate", "manual"] = "gate"


@dataclass(frozen=True, kw_only=True)
class NodePoolArgs:
    """The machines of a pool, and how they join."""

    cluster: node_files.Cluster
    """The cluster that they join."""
    nodes: tuple[PoolNode, ...]
    """The machines."""
    stack: str
    """The stack whose settings name the kubeconfig of the gate and of leaving nodes."""
    api_server: str
    """The URL to which that kubeconfig leads."""
    rbac: BootstrapRbac
    """What allows a token to request a certificate; the tokens depend on it."""
    denied: Denied
    """What no serving certificate may hold."""
    token: TokenPolicy = TokenPolicy()
    """The bootstrap tokens."""
    former_tokens: FormerTokens = field(default_factory=FormerTokens)
    """Those that the stack has before this run."""
    approval: Approval = Approval()
    """Who approves what."""
    inventory_namespace: str = "kube-system"
    """The namespace of the ConfigMap with the inventory."""
    skip_cluster_checks: tuple[str, ...] = ()
    """The checks of the cluster that the gate leaves out."""
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    """How many nodes change at once."""
    stall_seconds: int = 120
    """How many seconds without progress the gate waits before it gives up."""
    user_data: UserDataArgs | None = None
    """What the user data for machines that are not listed is made from; None: there is none."""
