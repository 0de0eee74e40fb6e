"""Feature gates that end a kubelet, and what ends it because a gate is off."""

from typing import Any

import pytest

from node_files import versions

LATEST = "1.37"
NO_BETA = {"AllBeta": False, "RotateKubeletServerCertificate": True}
STATIC = {"cpuManagerPolicy": "static", "kubeReserved": {"cpu": "500m"}}
FULL_CORES = STATIC | {"cpuManagerPolicyOptions": {"full-pcpus-only": "true"}}
NO_BETA_OPTIONS = {"featureGates": {"CPUManagerPolicyBetaOptions": False}}

# A configuration, the version, and what is said of it; nothing if it is right.
GATES: list[tuple[dict[str, Any], str, str]] = [
    # Gates that need others, since 1.35
    ({"featureGates": {"GracefulNodeShutdown": False}}, "1.34", ""),
    (
        {"featureGates": {"ClusterTrustBundle": False}},
        LATEST,
        "featureGates[ClusterTrustBundle] is needed by ClusterTrustBundleProjection, which is on;"
        " set ClusterTrustBundleProjection to false too",
    ),
    (
        {"featureGates": {"ClusterTrustBundle": False, "ClusterTrustBundleProjection": False}},
        LATEST,
        "",
    ),
    (
        {"featureGates": {"WorkloadWithJob": True}},
        LATEST,
        "featureGates[WorkloadWithJob] needs GenericWorkload, which is off; set GenericWorkload to"
        " true too",
    ),
    # Gates of libraries, by version
    ({"featureGates": {"RetryGenerateName": True}}, "1.36", ""),
    ({"featureGates": {"RetryGenerateName": True}}, LATEST, "featureGates[RetryGenerateName] was"),
    ({"featureGates": {"APISelfSubjectReview": True}}, "1.30", "featureGates[APISelf"),
    ({"featureGates": {"ContextualLogging": False}}, "1.24", ""),
    (
        {"featureGates": {"DeclarativeValidation": False}},
        LATEST,
        "featureGates[DeclarativeValidation] is locked to on in 1.37",
    ),
    ({"featureGates": {"MutatingAdmissionPolicy": True}}, "1.30", ""),
    (
        {"featureGates": {"MutatingAdmissionPolicy": True}},
        "1.29",
        "featureGates[MutatingAdmissionPolicy] was added in 1.30",
    ),
    ({"featureGates": {"CloudControllerManagerWebhook": True}}, "1.27", ""),
    (
        {"featureGates": {"CloudControllerManagerWebhook": True}},
        "1.26",
        "featureGates[CloudControllerManagerWebhook] was added in 1.27",
    ),
    # Fields of gates
    ({"enableSystemLogQuery": False}, "1.35", ""),
    ({"enableSystemLogQuery": True}, "1.35", "enableSystemLogQuery needs the feature gate"),
    ({"memoryThrottlingFactor": 0.5, "featureGates": {"MemoryQoS": True}}, LATEST, ""),
    ({"memoryThrottlingFactor": 0.9, "featureGates": {"MemoryQoS": False}}, LATEST, ""),
    ({"memoryThrottlingFactor": 0.5, "featureGates": {"MemoryQoS": False}}, "1.36", ""),
    (
        {"memoryThrottlingFactor": 0.5, "featureGates": {"MemoryQoS": False}},
        LATEST,
        "memoryThrottlingFactor needs the feature gate MemoryQoS, which is off",
    ),
    ({"featureGates": {"DynamicKubeletConfig": False}}, "1.25", ""),
    (
        {"featureGates": {"DynamicKubeletConfig": True}},
        "1.25",
        "featureGates[DynamicKubeletConfig] is locked to off in 1.25",
    ),
    ({"logging": {"options": {"json": {"splitStream": True}}}}, "1.24", ""),
    ({"logging": {"format": "json"}}, "1.24", ""),
    ({"logging": {"options": {"json": {"infoBufferSize": 1.5}}}}, "1.24", ""),
    (
        {
            "logging": {"options": {"text": {"infoBufferSize": 0.5}}},
            "featureGates": {"LoggingAlphaOptions": True},
        },
        LATEST,
        "",
    ),
    (
        {"logging": {"options": {"json": {"infoBufferSize": float("inf")}}}},
        "1.24",
        "logging.options.json.infoBufferSize inf is a number; give a string, in quotes",
    ),
    (
        {"logging": {"options": {"json": {"infoBufferSize": True}}}},
        "1.24",
        "logging.options.json.infoBufferSize true is a boolean; give a string, in quotes",
    ),
    ({"tracing": {}}, "1.26", "tracing needs the feature gate KubeletTracing, which is off"),
    ({"tracing": {}}, "1.27", ""),
    ({"defaultPodSysctls": {}}, LATEST, ""),
    # All gates of a stage at once
    (
        {"featureGates": {"AllBeta": False}},
        LATEST,
        "featureGates[AllBeta] switches RotateKubeletServerCertificate off, but"
        " serverTLSBootstrap, which the program sets, needs it",
    ),
    (
        {"featureGates": NO_BETA | {"SeccompDefault": False}},
        "1.26",
        "featureGates[SeccompDefault] is off, but seccompDefault, which",
    ),
    ({"featureGates": NO_BETA | {"SeccompDefault": True}}, "1.26", ""),
    ({"featureGates": NO_BETA}, LATEST, ""),
    (
        {"featureGates": NO_BETA, "shutdownGracePeriod": "30s"},
        LATEST,
        "shutdownGracePeriod needs the feature gate GracefulNodeShutdown, which is off in 1.37",
    ),
    ({"featureGates": NO_BETA, "logging": {"format": "text"}}, LATEST, ""),
    (
        {"featureGates": NO_BETA, "logging": {"format": "json"}},
        LATEST,
        "logging.format json needs the feature gate LoggingBetaOptions, which is off",
    ),
    (
        {"featureGates": {"AllBeta": True, "LoggingBetaOptions": True}}
        | {"logging": {"format": "json"}},
        LATEST,
        "",
    ),
    ({"featureGates": {"AllAlpha": True}, "qosReserved": {"memory": "50%"}}, "1.36", ""),
    (
        {"featureGates": {"AllAlpha": True, "QOSReserved": False}, "qosReserved": {"memory": "1%"}},
        "1.36",
        "qosReserved needs the feature gate QOSReserved, which is off in 1.36",
    ),
    (
        {"featureGates": {"AllAlpha": True}},
        LATEST,
        "featureGates[AllAlpha] switches CompositePodGroup on, which needs GenericWorkload, which"
        " is off; set GenericWorkload to true too",
    ),
    ({"featureGates": {"AllAlpha": True, "GenericWorkload": True}}, LATEST, ""),
    ({"featureGates": {"AllBeta": True}, "qosReserved": {"memory": "1%"}}, LATEST, "qosReserved"),
    (
        {
            "featureGates": {"AllBeta": True},
            "crashLoopBackOff": {"maxContainerRestartPeriod": "9s"},
        },
        "1.35",
        "",
    ),
    ({"memoryReservationPolicy": ""}, "1.36", ""),
    # Of the managers of CPUs, memory and topology, and of their options
    (
        {"topologyManagerPolicyOptions": {}},
        "1.27",
        "topologyManagerPolicyOptions needs the feature gate TopologyManagerPolicyOptions, which",
    ),
    ({"topologyManagerPolicyOptions": {}}, "1.28", ""),
    (
        {"cpuManagerPolicyOptions": {}, "featureGates": {"CPUManagerPolicyOptions": False}},
        "1.32",
        "cpuManagerPolicyOptions needs the feature gate CPUManagerPolicyOptions, which is off",
    ),
    (
        FULL_CORES | NO_BETA_OPTIONS,
        "1.32",
        "cpuManagerPolicyOptions[full-pcpus-only] needs the feature gate CPUManagerPolicyBetaOp",
    ),
    (FULL_CORES | NO_BETA_OPTIONS, "1.33", ""),
    (
        {"topologyManagerPolicy": "restricted", "featureGates": {"TopologyManager": False}},
        "1.26",
        "topologyManagerPolicy needs the feature gate TopologyManager, which is off in 1.26",
    ),
    ({"cpuManagerPolicy": "static", "featureGates": {"CPUManager": False}}, "1.25", ""),
    ({"memoryManagerPolicy": "Static", "featureGates": {"MemoryManager": False}}, "1.31", ""),
]


@pytest.mark.parametrize(("kubelet", "version", "expected"), GATES)
def test_a_gate_ends_a_kubelet_or_keeps_it_from_ending(
    kubelet: dict[str, Any], version: str, expected: str
) -> None:
    found = [f"{path} {problem}" for path, problem in versions.problems(kubelet, version)]
    assert len(found) == bool(expected), found
    assert all(text.startswith(expected) for text in found), found


def test_a_gates_default_may_be_a_constant_of_its_package() -> None:
    assert not versions.gates("1.29")["ContextualLogging"].default
    assert versions.gates("1.30")["ContextualLogging"].default
