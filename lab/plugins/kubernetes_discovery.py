"""Which kinds the API server serves, asked group by group and only when needed."""

import threading
from dataclasses import dataclass
from typing import NamedTuple

from lab.plugins.kubernetes_client import Client
from lab.plugins.kubernetes_errors import NoMatchError, StatusError
from lab.plugins.kubernetes_values import Object


def words(text: str) -> tuple[str, ...]:
    """Return the words of a table that is written as text."""
    return tuple(text.split())


_CLUSTER_SCOPED = words(
    """APIService CertificateSigningRequest ClusterRole ClusterRoleBinding ClusterTrustBundle
    CSIDriver CSINode CustomResourceDefinition DeviceClass FlowSchema IngressClass IPAddress
    MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration Namespace
    Node PersistentVolume PodSecurityPolicy PriorityClass PriorityLevelConfiguration ResourceSlice
    RuntimeClass SelfSubjectAccessReview SelfSubjectReview SelfSubjectRulesReview ServiceCIDR
    StorageClass StorageVersionMigration SubjectAccessReview TokenReview
    ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
    VolumeAttachment VolumeAttributesClass"""
)
_NAMESPACED = words(
    """Binding ConfigMap ControllerRevision CronJob CSIStorageCapacity DaemonSet Deployment
    Endpoints EndpointSlice Event HorizontalPodAutoscaler Ingress Job Lease LimitRange
    LocalSubjectAccessReview NetworkPolicy PersistentVolumeClaim Pod PodDisruptionBudget
    PodTemplate ReplicaSet ReplicationController ResourceClaim ResourceClaimTemplate ResourceQuota
    Role RoleBinding Secret Service ServiceAccount StatefulSet"""
)
_BUILT_IN_GROUPS = (
    "",
    *words(
        """admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io apps
        authentication.k8s.io authorization.k8s.io autoscaling batch certificates.k8s.io
        coordination.k8s.io core discovery.k8s.io events.k8s.io extensions
        flowcontrol.apiserver.k8s.io networking.k8s.io node.k8s.io policy
        rbac.authorization.k8s.io resource.k8s.io scheduling.k8s.io storage.k8s.io
        storagemigration.k8s.io"""
    ),
)


class Kind(NamedTuple):
    """A group, its version, and a kind in it. The core group's name is empty."""

    group: str
    version: str
    name: str

    @property
    def api_version(self) -> str:
        """The two as in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def built_in(self) -> bool:
        """Whether the group comes with Kubernetes, not with a CustomResourceDefinition."""
        return self.group in _BUILT_IN_GROUPS

    @classmethod
    def of(cls, manifest: Object) -> "Kind":
        """Return the kind that a manifest names."""
        group, _, version = str(manifest.get("apiVersion") or "").rpartition("/")
        return cls("" if group == "core" else group, version, str(manifest.get("kind") or ""))

    @classmethod
    def of_token(cls, token: str) -> "Kind":
        """Return the kind that a type token such as `kubernetes:core/v1:Secret` names.

        Raises:
            ValueError: it is not of this form.
        """
        package, _, rest = token.partition(":")
        api_version, _, name = rest.rpartition(":")
        group, slash, version = api_version.partition("/")
        if package != "kubernetes":
            raise ValueError(f'unrecognized resource type: "{token}" for this provider')
        if not slash or "/" in version:
            raise ValueError(
                f'apiVersion does not have both a group and a version: "{api_version}"'
            )
        return cls("" if group == "core" else group, version, name)


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are."""

    collection: str
    """The path's last part, such as `clusterrolebindings`."""
    namespaced: bool
    prefix: str
    """The path before it, such as `/apis/rbac.authorization.k8s.io/v1`."""

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of an object, or without a name of all in the namespace."""
        within = f"/namespaces/{namespace or 'default'}" if self.namespaced else ""
        return f"{self.prefix}{within}/{self.collection}" + (f"/{name}" if name else "")


class Discovery:
    """What the API server said so far of what it serves."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._versions: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()

    def find(self, kind: Kind) -> Resource:
        """Return where a kind's objects are.

        Raises:
            NoMatchError: the API server does not serve it.
            KubernetesError: it could not be asked.
        """
        found = self._versions.get(kind.api_version, {}).get(kind.name)
        if found is None:
            # Asked again each time: a CustomResourceDefinition may have come meanwhile.
            found = self.ask(kind).get(kind.name)
        if found is None:
            raise NoMatchError(kind.name, kind.api_version)
        return found

    def serves(self, kind: Kind) -> bool:
        """Tell whether the API server serves a kind."""
        try:
            self.find(kind)
        except NoMatchError:
            return False
        return True

    def ask(self, kind: Kind) -> dict[str, Resource]:
        """Read all kinds of this kind's group and version; empty if it serves no such version."""
        prefix = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
        with self._lock:
            try:
                listed = self._client.request("GET", prefix).get("resources") or []
            except StatusError as error:
                if error.code != 404:
                    raise
                listed = []
            # A slash means a subresource, such as `pods/log`.
            resources = {
                str(item["kind"]): Resource(str(item["name"]), bool(item["namespaced"]), prefix)
                for item in listed
                if "/" not in item["name"]
            }
            self._versions[kind.api_version] = resources
        return resources


def known_scope(kind: Kind) -> bool | None:
    """Tell without a cluster whether a kind is namespaced, or None if only a cluster knows."""
    if kind.built_in:
        name = kind.name.removesuffix("Patch")
        if name in _NAMESPACED:
            return True
        if name in _CLUSTER_SCOPED:
            return False
    return None
