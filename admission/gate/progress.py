"""How far a node has come with its join, and what is missing if it stops."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from admission.inventory import InventoryNode, IpAddress
from admission.objects.csr import RequestStatus
from admission.objects.node import (
    internal_addresses,
    kubelet_version,
    last_heartbeat,
    machine_id,
    ready_condition,
)
from admission.objects.node_attributes import Attributes
from admission.serving_certificate import ServingCertificate

Step = Literal[
    "asked", "admitted", "registered", "approved", "ready", "presented", "reached", "joined"
]
Kind = Literal["client", "serving"]
UNSIGNED = (
    "is approved, but not signed; kube-controller-manager needs --cluster-signing-cert-file and"
    " --cluster-signing-key-file"
)


@dataclass
class Progress:
    """What is known about a node of the pool."""

    entry: InventoryNode
    wanted: Attributes = field(default_factory=Attributes)  # of its Node, by the settings
    registered: Mapping[str, str] = field(default_factory=dict)  # taints, as in Attributes
    seconds: dict[Step, float] = field(default_factory=dict)  # when each step was first seen
    node: dict[str, Any] | None = None
    client: RequestStatus | None = None  # its newest request with the pool's token
    serving: RequestStatus | None = None  # its newest request as a node
    # Why one of its requests was refused, until one of its kind is approved.
    refused: dict[Kind, str] = field(default_factory=dict)
    token_problem: str = ""  # why nobody can join with its token
    gated: bool = False  # whether the gate approves its client requests
    manual: bool = False  # whether a person approves its serving requests
    # What its newest approved serving request holds, and the name of that.
    approved: frozenset[str | IpAddress] = frozenset()
    approved_by: str = ""
    restarted: datetime | None = None  # when it got new files, by its machine's clock
    certificate: ServingCertificate | None = None
    port_problem: str = ""
    untrusted: bool = False  # whether that is because another CA has signed its certificate
    api_problem: str = ""
    attributes_problem: str = ""  # why its Node does not have what is wanted

    @property
    def joined(self) -> bool:
        return "joined" in self.seconds

    @property
    def ready(self) -> bool:
        """Whether its Node is Ready, and is this machine's."""
        return self.reported_ready and not self.silent and not self.foreign

    @property
    def reported_ready(self) -> bool:
        """Whether its Node is Ready, whoever's it is."""
        return ready_condition(self.node, "status") == "True"

    @property
    def silent(self) -> bool:
        """Whether nothing was heard of its kubelet since that was restarted."""
        heard = last_heartbeat(self.node)
        return self.restarted is not None and (heard is None or heard < self.restarted)

    @property
    def foreign(self) -> str:
        """The address of the Node if it is another machine's, else nothing."""
        addresses = internal_addresses(self.node)
        ours = any(str(own) in addresses for own in self.entry.claims)
        return "" if ours or not addresses else ", ".join(addresses)

    @property
    def taken(self) -> str:
        """What to do if another machine has a Node of this name, else nothing."""
        name = self.entry.name
        return self.foreign and (
            f"the Node {name} belongs to a machine with the address {self.foreign}; the name is"
            f" taken: give this machine another one, or run kubectl delete node {name}"
        )

    @property
    def kubelet_version(self) -> str:
        """The kubelet's version as its Node reports it, such as v1.37.2; empty if it is none."""
        return kubelet_version(self.node)

    @property
    def machine_id(self) -> str:
        """The /etc/machine-id as the Node reports it."""
        return machine_id(self.node)

    def remember(self, kind: Kind, request: RequestStatus) -> None:
        """Keep the newest request of a kind."""
        known: RequestStatus | None = getattr(self, kind)
        if known is None or request.name == known.name or request.created >= known.created:
            setattr(self, kind, request)

    def missing(self) -> Iterator[str]:
        """Say why the node has not joined, the likeliest cause first."""
        if self.taken:
            yield self.taken
        if self.node is None or (self.client and self.client.state != "issued"):
            yield self._client_problem()
        serving = self._serving_problem()
        if serving:
            yield serving
        if self.attributes_problem:
            yield self.attributes_problem
        if self.node is not None and not self.reported_ready:
            why = ready_condition(self.node, "message") or "no condition yet"
            yield f"its Node is not Ready: {why}"
        elif self.node is not None and self.silent:
            yield (
                f"its kubelet was restarted at {self.restarted:%H:%M:%S}Z and has not reported"
                " since then; see journalctl -u kubelet there"
            )
        elif self.port_problem and not serving:
            yield self.port_problem
            if self.untrusted and "reached" in self.seconds:
                yield (
                    "the API server reaches it all the same, so it does not verify kubelets;"
                    " kube-apiserver needs --kubelet-certificate-authority"
                )
        if self.api_problem and self.ready:
            yield self.api_problem

    def _client_problem(self) -> str:
        if "client" in self.refused:
            return self.refused["client"]
        match self.client:
            case None:
                return self.token_problem or (
                    "no request for a certificate has arrived; the error of the resource"
                    f" {self.entry.name}-member says why and quotes the kubelet's journal"
                )
            case RequestStatus(state="pending", name=name) if self.gated:
                return f"its client request {name} is not approved yet"
            case RequestStatus(state="pending", name=name):
                return (
                    f"its client request {name} is not approved; check that kube-controller-manager"
                    " runs and that the ClusterRoleBinding auto-approve-csrs-for-group exists"
                )
            case RequestStatus(state="approved", name=name):
                return f"its client request {name} {UNSIGNED}"
            case RequestStatus(state="issued", name=name):
                return (
                    f"its client request {name} is issued, but it has no Node: the kubelet has"
                    " not used the certificate; the error of the resource"
                    f" {self.entry.name}-member has the last lines of its journal"
                )
            case request:
                return (
                    f"its client request {request.name} is {request.state}: {request.message}; find"
                    " out who did that, and raise the node's generation to join again"
                )

    def _serving_problem(self) -> str:
        request = self.serving
        if "serving" in self.refused:
            return self.refused["serving"]
        if request is None or request.state == "issued":
            return ""
        if request.state == "approved":
            return f"its serving request {request.name} {UNSIGNED}"
        if request.state == "pending" and self.manual:
            return (
                f"its serving request {request.name} waits for you:"
                f" kubectl certificate approve {request.name}"
            )
        if request.state == "pending":
            return f"its serving request {request.name} is not approved yet"
        return f"its serving request {request.name} is {request.state}: {request.message}"


class Reach(Protocol):
    """Notes that a node has reached a step, with a line to say of it."""

    def __call__(self, progress: Progress, step: Step, line: str = "") -> None: ...
