"""How far a node has come on its way into the cluster, and what is missing if it stops."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from admission.inventory import NodeEntry
from admission.serving_certificate import ServingCertificate

Step = Literal["asked", "admitted", "there", "approved", "ready", "live", "reached", "joined"]
Kind = Literal["client", "serving"]
State = Literal["pending", "approved", "issued", "denied", "failed"]
UNSIGNED = (
    "is approved, but not signed; kube-controller-manager needs --cluster-signing-cert-file and"
    " --cluster-signing-key-file"
)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A CertificateSigningRequest, as far as a report tells of it."""

    name: str
    created: datetime
    state: State
    approved: bool  # once, whatever has become of it
    message: str = ""


def read_ask(item: dict[str, Any]) -> Ask:
    """Return what a report tells of a CertificateSigningRequest."""
    status = item.get("status") or {}
    conditions = {c["type"]: str(c.get("message", "")) for c in status.get("conditions") or ()}
    state: State = "approved" if "Approved" in conditions else "pending"
    if "Denied" in conditions:
        state = "denied"
    elif "Failed" in conditions:
        state = "failed"
    elif status.get("certificate"):
        state = "issued"
    return Ask(
        name=item["metadata"]["name"],
        created=datetime.fromisoformat(item["metadata"]["creationTimestamp"]),
        state=state,
        approved="Approved" in conditions,
        message=conditions.get("Denied") or conditions.get("Failed") or "",
    )


@dataclass
class Progress:
    """What is known of a node of the pool."""

    entry: NodeEntry
    seconds: dict[Step, float] = field(default_factory=dict)  # when each step was first seen
    node: dict[str, Any] | None = None
    client: Ask | None = None  # its newest request with the pool's token
    serving: Ask | None = None  # its newest request as a node
    # Why one of its requests was refused, until one of its kind is approved.
    refused: dict[Kind, str] = field(default_factory=dict)
    token_fault: str = ""  # why its token lets nobody in
    gated: bool = False  # whether the gate approves its client requests
    manual: bool = False  # whether a person approves its serving requests
    certificate: ServingCertificate | None = None
    port_fault: str = ""
    untrusted: bool = False  # whether that is because another CA has signed its certificate
    api_fault: str = ""

    @property
    def joined(self) -> bool:
        return "joined" in self.seconds

    @property
    def ready(self) -> bool:
        """Whether its Node is Ready, and is this machine's."""
        return self.condition("status") == "True" and not self.foreign

    @property
    def foreign(self) -> str:
        """The address of the Node if it is another machine's, else nothing."""
        addresses = [
            str(a.get("address"))
            for a in ((self.node or {}).get("status") or {}).get("addresses") or ()
            if a.get("type") == "InternalIP"
        ]
        # Text, not addresses: the node itself wrote it, and nobody has checked it.
        ours = any(str(address) in addresses for address in self.entry.addresses)
        return "" if ours or not addresses else ", ".join(addresses)

    @property
    def taken(self) -> str:
        """What to do about a Node of this name that is another machine's, if there is one."""
        name = self.entry.name
        return self.foreign and (
            f"the Node {name} is of a machine with the address {self.foreign}; the name is"
            f" taken: give this machine another one, or run kubectl delete node {name}"
        )

    @property
    def kubelet_version(self) -> str:
        """The version that the Node tells, such as v1.37.2."""
        information = ((self.node or {}).get("status") or {}).get("nodeInfo") or {}
        return str(information.get("kubeletVersion", ""))

    def condition(self, key: str) -> str:
        """Return the status or the message of the Node's condition Ready."""
        conditions = ((self.node or {}).get("status") or {}).get("conditions") or ()
        return next((str(c.get(key, "")) for c in conditions if c["type"] == "Ready"), "")

    @property
    def machine_id(self) -> str:
        """The /etc/machine-id that the Node tells."""
        information = ((self.node or {}).get("status") or {}).get("nodeInfo") or {}
        return str(information.get("machineID", ""))

    def remember(self, kind: Kind, ask: Ask) -> None:
        """Keep the newest request of a kind."""
        known: Ask | None = getattr(self, kind)
        if known is None or ask.name == known.name or ask.created >= known.created:
            setattr(self, kind, ask)

    def missing(self) -> Iterator[str]:
        """Say what keeps the node from having joined, the likeliest cause first."""
        if self.taken:
            yield self.taken
        if self.node is None or (self.client and self.client.state != "issued"):
            yield self._client_fault()
        serving = self._serving_fault()
        if serving:
            yield serving
        if self.node is not None and self.condition("status") != "True":
            yield f"its Node is not Ready: {self.condition('message') or 'no condition yet'}"
        elif self.port_fault and not serving:
            yield self.port_fault
            if self.untrusted and "reached" in self.seconds:
                yield (
                    "the API server reaches it all the same, so it verifies no kubelet;"
                    " kube-apiserver needs --kubelet-certificate-authority"
                )
        if self.api_fault and self.ready:
            yield self.api_fault

    def _client_fault(self) -> str:
        if "client" in self.refused:
            return self.refused["client"]
        match self.client:
            case None:
                return self.token_fault or (
                    "no request for a certificate has come; the error of the resource"
                    f" {self.entry.name}-join says why, and what its kubelet's journal says"
                )
            case Ask(state="pending", name=name) if self.gated:
                return f"its client request {name} is not approved yet"
            case Ask(state="pending", name=name):
                return (
                    f"its client request {name} is not approved; does kube-controller-manager run,"
                    " and is the ClusterRoleBinding auto-approve-csrs-for-group there?"
                )
            case Ask(state="approved", name=name):
                return f"its client request {name} {UNSIGNED}"
            case Ask(state="issued", name=name):
                return (
                    f"its client request {name} is issued, but no Node has come: the kubelet has"
                    " not used the certificate; the error of the resource"
                    f" {self.entry.name}-join has the last lines of its journal"
                )
            case ask:
                return (
                    f"its client request {ask.name} is {ask.state}: {ask.message}; find out who"
                    " did that, and raise the node's generation to ask anew"
                )

    def _serving_fault(self) -> str:
        ask = self.serving
        if "serving" in self.refused:
            return self.refused["serving"]
        if ask is None or ask.state == "issued":
            return ""
        if ask.state == "approved":
            return f"its serving request {ask.name} {UNSIGNED}"
        if ask.state == "pending" and self.manual:
            return (
                f"its serving request {ask.name} waits for you:"
                f" kubectl certificate approve {ask.name}"
            )
        if ask.state == "pending":
            return f"its serving request {ask.name} is not approved yet"
        return f"its serving request {ask.name} is {ask.state}: {ask.message}"
