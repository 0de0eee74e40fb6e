"""Fields that need feature gates, beside gates that are switched one by one and all at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from node_files import versions

# What is right where its gates are on, with those gates.
FIELDS: tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...] = (
    ({}, ("RotateKubeletServerCertificate", "SeccompDefault", "GracefulNodeShutdown")),
    ({"cpuCFSQuotaPeriod": "10ms"}, ("CustomCPUCFSQuotaPeriod",)),
    ({"crashLoopBackOff": {"maxContainerRestartPeriod": "9s"}}, ("KubeletCrashLoopBackOffMax",)),
    ({"defaultPodSysctls": {"net.core.x": "1"}}, ("DefaultPodSysctls",)),
    ({"enableSystemLogQuery": True}, ("NodeLogQuery",)),
    ({"imageMaximumGCAge": "1h"}, ("ImageMaximumGCAge",)),
    (
        {"imagePullCredentialsVerificationPolicy": "AlwaysVerify"},
        ("KubeletEnsureSecretPulledImages",),
    ),
    ({"logging": {"format": "json"}}, ("LoggingBetaOptions", "LoggingAlphaOptions")),
    (
        {"logging": {"format": "json", "options": {"json": {"splitStream": True}}}},
        ("LoggingBetaOptions", "LoggingAlphaOptions"),
    ),
    ({"logging": {"options": {"text": {"splitStream": True}}}}, ("LoggingAlphaOptions",)),
    ({"logging": {"options": {"json": {"infoBufferSize": 1.5}}}}, ("LoggingAlphaOptions",)),
    ({"memoryReservationPolicy": "TieredReservation"}, ("MemoryQoS",)),
    ({"memoryThrottlingFactor": 0.5}, ("MemoryQoS",)),
    ({"memorySwap": {"swapBehavior": "LimitedSwap"}}, ("NodeSwap",)),
    ({"qosReserved": {"memory": "50%"}}, ("QOSReserved",)),
    ({"shutdownGracePeriod": "30s"}, ("GracefulNodeShutdown",)),
    (
        {"shutdownGracePeriodByPodPriority": [{"priority": 0, "shutdownGracePeriodSeconds": 9}]},
        ("GracefulNodeShutdownBasedOnPodPriority",),
    ),
    ({"tracing": {"samplingRatePerMillion": 1}}, ("KubeletTracing",)),
    ({"userNamespaces": {"idsPerPod": 131072}}, ("UserNamespacesSupport",)),
    ({"cpuManagerPolicy": "static"}, ("CPUManager",)),
    (
        {
            "cpuManagerPolicy": "static",
            "kubeReserved": {"cpu": "1"},
            "cpuManagerPolicyOptions": {"full-pcpus-only": "true"},
        },
        ("CPUManager", "CPUManagerPolicyOptions", "CPUManagerPolicyBetaOptions"),
    ),
    (
        {
            "cpuManagerPolicy": "static",
            "kubeReserved": {"cpu": "1"},
            "cpuManagerPolicyOptions": {"distribute-cpus-across-cores": "true"},
        },
        ("CPUManagerPolicyAlphaOptions",),
    ),
    ({"cpuManagerPolicyOptions": {}}, ("CPUManager", "CPUManagerPolicyOptions")),
    ({"memoryManagerPolicy": "Static"}, ("MemoryManager",)),
    ({"topologyManagerPolicy": "restricted"}, ("TopologyManager",)),
    ({"topologyManagerScope": "pod"}, ("TopologyManager",)),
    (
        {
            "topologyManagerPolicy": "restricted",
            "topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": "true"},
        },
        (
            *("TopologyManager", "TopologyManagerPolicyOptions"),
            *("TopologyManagerPolicyAlphaOptions", "TopologyManagerPolicyBetaOptions"),
        ),
    ),
    ({"topologyManagerPolicyOptions": {}}, ("TopologyManagerPolicyOptions",)),
)
# What the program needs, where all others of their stage are off.
OURS = ("RotateKubeletServerCertificate", "SeccompDefault")


def cases(version: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield configurations by name."""
    known = versions.gates(version)
    ours = {name: True for name in OURS if name in known}
    for kubelet, names in FIELDS:
        if not kubelet.keys() <= versions.fields(version).keys():
            continue
        gates = [name for name in names if name in known]
        switched = [
            *({all_of: on} for all_of in ("AllAlpha", "AllBeta") for on in (True, False)),
            ours | {"AllBeta": False},
            ours | {"AllBeta": False} | dict.fromkeys(gates, True),
            dict.fromkeys(gates, True),
            {"AllAlpha": True, "AllBeta": True},
            *({name: False} for name in gates),
            *({"AllAlpha": True, "AllBeta": True, name: False} for name in gates),
        ]
        for each in switched:
            yield f"{dict(kubelet)} with {each}", {**kubelet, "featureGates": each}
