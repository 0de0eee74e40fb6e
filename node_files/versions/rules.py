"""What the kubelet requires of values beyond their types: ranges, enumerations, feature gates.

The source, unless another is named: ValidateKubeletConfiguration in k8s.io/kubernetes
pkg/kubelet/apis/config/validation/validation.go, read in 1.24 to 1.37.
"""

from collections.abc import Mapping
from typing import Any

SECOND = 10**9

# The least and the greatest value; None is no limit.
INTEGERS: Mapping[str, tuple[int, int | None]] = {
    "containerLogMaxFiles": (2, None),
    "containerLogMaxWorkers": (1, None),
    "eventBurst": (0, None),
    "eventRecordQPS": (0, None),
    "healthzPort": (0, 65535),
    "imageGCHighThresholdPercent": (0, 100),
    "imageGCLowThresholdPercent": (0, 100),
    "iptablesDropBit": (0, 31),
    "iptablesMasqueradeBit": (0, 31),
    "kubeAPIBurst": (0, None),
    "kubeAPIQPS": (0, None),
    "logging.flushFrequency": (0, None),  # 0 counts as not set
    "logging.verbosity": (0, 2**31 - 1),  # component-base logs/api/v1/options.go
    "logging.vmodule[].verbosity": (0, 2**31 - 1),
    "maxOpenFiles": (0, None),
    "maxParallelImagePulls": (1, None),
    "maxPods": (1, None),  # 0 counts as not set, so 110 is used
    "nodeLeaseDurationSeconds": (1, None),
    "nodeStatusMaxImages": (-1, None),
    "oomScoreAdj": (-1000, 1000),
    "podsPerCore": (0, None),
    "port": (1, 65535),
    "readOnlyPort": (0, 65535),
    "registryBurst": (0, None),
    "registryPullQPS": (0, None),
    "reservedMemory[].numaNode": (0, None),
    "shutdownGracePeriodByPodPriority[].shutdownGracePeriodSeconds": (0, None),
    "userNamespaces.idsPerPod": (65536, 2**32 - 1),
    "tracing.samplingRatePerMillion": (0, 1_000_000),  # component-base tracing/api/v1/config.go
}

# In nanoseconds; no other duration may be negative.
DURATIONS: Mapping[str, tuple[int, int | None]] = {
    "containerLogMonitorInterval": (3 * SECOND, None),
    "cpuCFSQuotaPeriod": (10**6, SECOND),
    "crashLoopBackOff.maxContainerRestartPeriod": (SECOND, 300 * SECOND),
    "volumeStatsAggPeriod": (-(2**63), None),  # a negative one switches it off
}
ZERO_OR_A_SECOND = ("shutdownGracePeriod", "shutdownGracePeriodCriticalPods")

# Enumerations whose Go type is a plain string; an empty string means not set.
ENUMERATIONS: Mapping[str, tuple[str, ...]] = {
    "cgroupDriver": ("cgroupfs", "systemd"),  # pkg/kubelet/cm/container_manager_linux.go
    "cpuManagerPolicy": ("none", "static"),  # pkg/kubelet/cm/cpumanager/cpu_manager.go
    "enforceNodeAllocatable[]": (
        "pods", "system-reserved", "kube-reserved", "none",
        "system-reserved-compressible", "kube-reserved-compressible",
    ),
    "hairpinMode": ("promiscuous-bridge", "hairpin-veth", "none"),
    "logging.format": ("text", "json"),  # component-base logs/api/v1
    "memoryManagerPolicy": ("None", "Static"),  # pkg/kubelet/cm/memorymanager
    "memorySwap.swapBehavior": ("NoSwap", "LimitedSwap", "UnlimitedSwap"),
    "tlsCipherSuites[]": (
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_RC4_128_SHA",
    ),  # the same file, and https://pkg.go.dev/crypto/tls#pkg-constants
    "tlsMinVersion": (  # component-base cli/flag/ciphersuites_flag.go
        "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13",
    ),
    "topologyManagerPolicy": ("none", "best-effort", "restricted", "single-numa-node"),
    "topologyManagerScope": ("container", "pod"),
}  # fmt: skip

# Values of enumerations that do not exist in every version, with the first and the last one.
ENUMERATION_SPANS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("enforceNodeAllocatable[]", "system-reserved-compressible"): ("1.32", "1.37"),
    ("enforceNodeAllocatable[]", "kube-reserved-compressible"): ("1.32", "1.37"),
    ("memorySwap.swapBehavior", "NoSwap"): ("1.30", "1.37"),
    ("memorySwap.swapBehavior", "UnlimitedSwap"): ("1.24", "1.29"),
}

# pkg/kubelet/eviction/api/types.go and helpers.go
EVICTION_SIGNALS: Mapping[str, str] = {
    "memory.available": "1.24",
    "nodefs.available": "1.24",
    "nodefs.inodesFree": "1.24",
    "imagefs.available": "1.24",
    "imagefs.inodesFree": "1.24",
    "containerfs.available": "1.29",
    "containerfs.inodesFree": "1.29",
    "allocatableMemory.available": "1.24",
    "pid.available": "1.24",
}
RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")  # cmd/kubelet/app/server.go

# Gates of the kubelet that the table does not have: component-base featuregate/feature_gate.go, and
# those of k8s.io/controller-manager, which a library registers. With the first version that has it.
OTHER_GATES: Mapping[str, str] = {
    "AllAlpha": "1.24",
    "AllBeta": "1.24",
    "CloudControllerManagerWatchBasedRoutesReconciliation": "1.35",
    "CloudControllerManagerWebhook": "1.27",
    "ControllerManagerReleaseLeaderElectionLockOnExit": "1.36",
}

# Gates that are locked without the table's saying so: cmd/kubelet/app/server.go.
LOCKED_GATES = ("DynamicKubeletConfig",)

# Fields for which a value other than the default needs a gate.
GATED: Mapping[str, str] = {
    "cpuCFSQuotaPeriod": "CustomCPUCFSQuotaPeriod",
    "crashLoopBackOff.maxContainerRestartPeriod": "KubeletCrashLoopBackOffMax",
    "defaultPodSysctls": "DefaultPodSysctls",
    "enableSystemLogQuery": "NodeLogQuery",
    "imageMaximumGCAge": "ImageMaximumGCAge",
    "imagePullCredentialsVerificationPolicy": "KubeletEnsureSecretPulledImages",
    "memoryReservationPolicy": "MemoryQoS",
    "memorySwap.swapBehavior": "NodeSwap",
    "preloadedImagesVerificationAllowlist": "KubeletEnsureSecretPulledImages",
    "qosReserved": "QOSReserved",
    "seccompDefault": "SeccompDefault",  # cmd/kubelet/app/server.go
    "serverTLSBootstrap": "RotateKubeletServerCertificate",
    "shutdownGracePeriod": "GracefulNodeShutdown",
    "shutdownGracePeriodByPodPriority": "GracefulNodeShutdownBasedOnPodPriority",
    "shutdownGracePeriodCriticalPods": "GracefulNodeShutdown",
    "topologyManagerPolicy": "TopologyManager",
    "topologyManagerScope": "TopologyManager",
    "tracing": "KubeletTracing",
}

# Fields that no code reads beyond validation (git grep HairpinMode pkg/kubelet cmd/kubelet), or
# that nothing reads on a node of a cluster (the API's description of podCIDR).
WITHOUT_EFFECT: Mapping[str, str] = {
    "hairpinMode": "no kubelet since 1.24 reads it",
    "podCIDR": "only a kubelet without a cluster reads it",
}

# Values with an unexpected meaning: path, value, first and last version, meaning.
SURPRISES: tuple[tuple[str, Any, str, str, str], ...] = (
    (
        "eventRecordQPS", 0, "1.24", "1.36",
        "means the client library's limit before 1.37, not no limit (cmd/kubelet/app/server.go)",
    ),
    (
        "cgroupDriver", None, "1.31", "1.37",
        "applies only if the runtime does not report its own (KubeletCgroupDriverFromCRI)",
    ),
)  # fmt: skip
