"""What the resident approver is told: how it runs, and what its objects are called."""

from dataclasses import dataclass

from components.dependencies import Dependencies

NAME = "kubelet-serving-approver"
LABELS = {"app.kubernetes.io/name": NAME}
PORT = 10279  # the same as in `admission`, which is a program of its own and not imported here


@dataclass(frozen=True, kw_only=True)
class ServingApproverArgs:
    """How the approver runs."""

    image: str
    """An image built from the Containerfile."""
    replicas: int = 2
    """How many run, each on its own machine; one of them approves."""
    namespace: str = "kube-system"
    """Where its objects are, and the inventories that it reads."""
    pools: tuple[str, ...] = ()
    """The pools whose inventories it reads; none: all that are in its namespace."""
    allow_workers: bool = False
    """Whether its pods may run on any node, and not on the control plane's alone."""
    admission_policy: bool = False
    """Whether the API server itself limits what the approver's account may approve."""
    host_network: bool = False
    """Whether its pods use the machine's network: they then work without a CNI plugin."""
    server: str | None = None
    """The API server's https URL for its pods; None: the cluster's Service."""
    stack: str | None = None
    """The stack whose kubeconfig tells whether there are nodes for its pods; None: don't look."""
    api_server: str = ""
    """The URL to which that must lead."""
    after: Dependencies | None = None
    """What it depends on: the nodes that it runs on."""
