"""The settings that name outputs of other stacks; `stack.references` reads those outputs."""

from settings.formats import OutputName, StackName
from settings.layer import Model

# The paths of the settings that name outputs about a cluster.
CLUSTER_FROM = "cluster.from"
KUBECONFIG_FROM, CA_FROM = f"{CLUSTER_FROM}.kubeconfig", f"{CLUSTER_FROM}.ca"
SERVER_FROM, NETWORKS_FROM = f"{CLUSTER_FROM}.server", f"{CLUSTER_FROM}.serviceCidr"


class NodesFrom(Model):
    """An output of another stack that holds nodes."""

    stack: StackName
    output: OutputName


class ClusterFrom(Model):
    """The outputs of another stack that say how its cluster is reached."""

    stack: StackName
    kubeconfig: OutputName | None = None
    server: OutputName | None = None
    ca: OutputName | None = None
    service_cidr: OutputName | None = None
