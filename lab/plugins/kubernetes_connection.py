"""The cluster that a provider's settings lead to, or why they lead to none."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from lab.plugins.kubernetes_apply import Api
from lab.plugins.kubernetes_client import Client
from lab.plugins.kubernetes_discovery import Discovery, Kind
from lab.plugins.kubernetes_errors import KubernetesError
from lab.plugins.kubernetes_kubeconfig import (
    Cluster,
    KubeconfigError,
    cluster,
    load,
    load_ambient,
)
from lab.plugins.kubernetes_settings import Settings

_SET_UP = (
    " \t • set up the provider as per "
    "https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/ \n\n"
)


@dataclass
class Connection:
    """The cluster as a provider's configuration found it, or why it did not."""

    settings: Settings
    api: "Future[Api]" = field(default_factory=Future)
    """Set, perhaps later, to the API server; or to a `KubernetesError` if it is out of reach."""
    namespace: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def unreachable(self) -> str:
        """Why the cluster is out of reach; empty if it is not."""
        error = self.api.exception()
        return str(error) if error else ""

    def reach(self) -> Api:
        """Return the cluster.

        Raises:
            KubernetesError: it is out of reach.
        """
        if self.unreachable:
            raise KubernetesError(
                f"configured Kubernetes cluster is unreachable: {self.unreachable}"
            )
        return self.api.result()


def connect(settings: Settings) -> Connection:
    """Read the kubeconfig at once, and ask the API server in the background.

    A kubeconfig that leads nowhere makes the cluster unreachable, and is no error by itself: a
    provider may be configured only to be forgotten. What is no certificate or key is one.
    """
    connection = Connection(settings, namespace=settings.namespace)
    try:
        found = _find_cluster(settings)
    except KubeconfigError as error:
        connection.api.set_exception(KubernetesError(str(error)))
        return connection
    connection.namespace = found.namespace
    try:
        client = Client(found)
    except KubeconfigError as error:
        raise KubeconfigError(f"failed to initialize discovery client: {error}") from None
    threading.Thread(target=_probe, args=(connection, client), daemon=True).start()
    return connection


def _find_cluster(settings: Settings) -> Cluster:
    try:
        config = load(settings.kubeconfig) if settings.kubeconfig else load_ambient()
    except KubeconfigError as error:
        raise KubeconfigError(
            f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- {error}"
        ) from None
    try:
        return cluster(
            config,
            context=settings.context,
            name=settings.cluster,
            namespace=settings.namespace,
        )
    except KubeconfigError as error:
        raise KubeconfigError(
            "unable to load Kubernetes client configuration from kubeconfig file. "
            f"Make sure you have: \n\n{_SET_UP} {error}"
        ) from None


def _probe(connection: Connection, client: Client) -> None:
    """The list of the core kinds is what most programs need first, and shows who answers."""
    discovery = Discovery(client)
    try:
        discovery.ask(Kind("", "v1", ""))
    except Exception as error:  # noqa: BLE001 - every operation waits for what comes of this
        connection.api.set_exception(
            KubernetesError(f"unable to load schema information from the API server: {error}")
        )
    else:
        connection.api.set_result(Api(client, discovery))
