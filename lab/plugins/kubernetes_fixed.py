"""Fields that cannot change in place, so that a change of them replaces the object."""

from lab.plugins.kubernetes_discovery import Kind, words
from lab.plugins.kubernetes_objects import is_secret
from lab.plugins.kubernetes_values import Object

_SELECTOR = (".spec.selector",)
_POD = words(
    """affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks
    hostAliases hostIPC hostNetwork hostPID hostname imagePullSecrets nodeName nodeSelector
    overhead preemptionPolicy priority priorityClassName readinessGates restartPolicy
    runtimeClassName schedulerName securityContext serviceAccount serviceAccountName
    shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"""
)
_CONTAINER = words(
    """args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe
    resources securityContext stdin stdinOnce terminationMessagePath terminationMessagePolicy
    tty volumeDevices volumeMounts workingDir"""
)
_VOLUME = words(
    """awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker
    gcePersistentDisk glusterfs hostPath iscsi local nfs photonPersistentDisk portworxVolume
    quobyte rbd scaleIO storageos vsphereVolume"""
)
_FIXED: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "PersistentVolume"): tuple(f".spec.{source}" for source in _VOLUME),
    ("", "PersistentVolumeClaim"): (
        ".spec.accessModes",
        ".spec.selector",
        ".spec.storageClassName",
        ".spec.volumeName",
    ),
    ("", "Pod"): (
        *(f".spec.{name}" for name in _POD),
        *(f".spec.containers[*].{name}" for name in _CONTAINER),
        *(f".spec.initContainers[*].{name}" for name in _CONTAINER),
    ),
    ("", "ResourceQuota"): (".spec.scopes",),
    ("", "Secret"): (".type",),
    ("", "Service"): (".spec.clusterIP",),
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "StatefulSet"): (
        ".spec.podManagementPolicy",
        ".spec.revisionHistoryLimit",
        ".spec.selector",
        ".spec.serviceName",
        ".spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        ".spec.completions",
        ".spec.parallelism",
        ".spec.selector",
        ".spec.template",
    ),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (".roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): (".roleRef",),
    ("storage.k8s.io", "StorageClass"): (".parameters", ".provisioner"),
}


def fixed_fields(item: Object, *, secrets_mutable: bool, config_maps_mutable: bool) -> list[str]:
    """Return the fields that cannot change in place, as the official provider has them.

    A Secret or ConfigMap is replaced when its content changes, unless the provider's settings
    let it be changed in place and the object is not `immutable`.
    """
    kind = Kind.of(item)
    fixed = [".metadata.name", ".metadata.namespace"]
    frozen = item.get("immutable") is True
    if is_secret(item) and (frozen or not secrets_mutable):
        return [*fixed, ".type", ".stringData", ".data"]
    if (kind.group, kind.name) == ("", "ConfigMap") and (frozen or not config_maps_mutable):
        return [*fixed, ".binaryData", ".data"]
    return [*fixed, *_FIXED.get((kind.group, kind.name), ())]
