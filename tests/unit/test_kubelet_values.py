"""Values that only the kubelet's own code knows to be right or wrong: each with its neighbour.

The contract tests ask that code about thousands more.
"""

from typing import Any

import pytest

from node_files import versions
from node_files.kubelet_configuration import to_yaml

LATEST = "1.37"
VERIFY = {"imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages"}
QOS = {"featureGates": {"QOSReserved": True}}
SYSCTLS = {"featureGates": {"DefaultPodSysctls": True}}
STATIC = {"memoryManagerPolicy": "Static", "kubeReserved": {"memory": "1Gi"}}


def reserved(*limits: dict[str, str]) -> dict[str, Any]:
    return {"reservedMemory": [{"numaNode": 0, "limits": each} for each in limits]}


# A configuration, the version, and what is said of it; nothing if it is right.
VALUES: list[tuple[dict[str, Any], str, str]] = [
    # Ranges of CPUs
    ({"reservedSystemCPUs": "0-3,8,5-5"}, LATEST, ""),
    ({"reservedSystemCPUs": "0,3-1"}, LATEST, 'reservedSystemCPUs "0,3-1" has "3-1", which ends'),
    ({"reservedSystemCPUs": "0, 1"}, LATEST, 'reservedSystemCPUs "0, 1" is not a list of CPUs'),
    # Metrics of the version before
    ({"showHiddenMetricsForVersion": "1.36"}, "1.37", ""),
    ({"showHiddenMetricsForVersion": "1.23"}, "1.24", ""),
    ({"showHiddenMetricsForVersion": ""}, "1.37", ""),
    (
        {"showHiddenMetricsForVersion": "1.36"},
        "1.36",
        'showHiddenMetricsForVersion "1.36" is not 1.35, the only one that 1.36 takes',
    ),
    # Numbers that are negative on purpose, and one that must not be
    ({"evictionMaxPodGracePeriod": -1, "podPidsLimit": -2}, LATEST, ""),
    ({"volumeStatsAggPeriod": "-1s"}, LATEST, ""),
    ({"volumeStatsAggPeriod": "-x"}, LATEST, 'volumeStatsAggPeriod "-x" is not a duration'),
    ({"logging": {"flushFrequency": 0}}, LATEST, ""),
    ({"logging": {"flushFrequency": -1}}, LATEST, "logging.flushFrequency -1 is out of range"),
    # A whole number with a point
    ({"maxPods": 110.0, "podPidsLimit": 1e3}, LATEST, ""),
    ({"maxPods": 110.5}, LATEST, "maxPods 110.5 is a number; give a whole number"),
    ({"maxPods": 2.0**31}, LATEST, "maxPods 2147483648 is out of range"),
    ({"userNamespaces": {"idsPerPod": 65536}}, LATEST, ""),
    ({"userNamespaces": {"idsPerPod": 2**32}}, LATEST, "userNamespaces.idsPerPod 4294967296 is"),
    # Shares
    ({"evictionHard": {"nodefs.available": "+1%", "memory.available": "1e1%"}}, LATEST, ""),
    ({"evictionHard": {"nodefs.available": "100.00000001%"}}, LATEST, ""),
    ({"evictionHard": {"nodefs.available": "100.1%"}}, LATEST, "evictionHard[nodefs.available]"),
    ({"evictionHard": {"nodefs.available": "1e99%"}}, LATEST, "evictionHard[nodefs.available]"),
    ({"evictionMinimumReclaim": {"nodefs.available": "101%"}}, LATEST, ""),
    (
        {"evictionMinimumReclaim": {"nodefs.available": "1e-50%"}},
        LATEST,
        'evictionMinimumReclaim[nodefs.available] "1e-50%" is not a positive percentage',
    ),
    (QOS | {"qosReserved": {"memory": "50%"}}, LATEST, ""),
    *(
        (QOS | {"qosReserved": {"memory": text}}, LATEST, f'qosReserved[memory] "{text}" is not a')
        for text in ("50", "101%", "1.5%", "-1%", "")
    ),
    (QOS | {"qosReserved": {"cpu": "50%"}}, LATEST, "qosReserved[cpu] can't be reserved; only"),
    # Sysctls of all pods
    (SYSCTLS | {"defaultPodSysctls": {"net.core.somaxconn": "1"}}, LATEST, ""),
    *(
        (
            SYSCTLS | {"defaultPodSysctls": {name: "1"}},
            LATEST,
            f'defaultPodSysctls[{name}] "{name}" is',
        )
        for name in ("net.*", "NET", "", "vm.swappiness")
    ),
    (
        SYSCTLS | {"defaultPodSysctls": {"net.core.x": "1", "net/core/x": "2"}},
        LATEST,
        "defaultPodSysctls[net/core/x] is the same as net.core.x; remove one of them",
    ),
    # Images and endpoints
    *(
        (VERIFY | {"preloadedImagesVerificationAllowlist": [image]}, version, "")
        for image, version in (
            ("nginx", LATEST), ("nginx", "1.36"), ("docker.io/library/nginx", "1.35"),
            ("a/*", "1.35"), ("registry.example:5000/a/b", LATEST),
        )
    ),
    *(
        (
            VERIFY | {"preloadedImagesVerificationAllowlist": [image]},
            version,
            f'preloadedImagesVerificationAllowlist[0] "{image}" {said}',
        )
        for image, version, said in (
            ("nginx:1", LATEST, "is neither"), ("*", LATEST, "is neither"), ("", LATEST, "is"),
            ("a*", LATEST, "is neither"), ("http://a", LATEST, "is neither"), ("/*", LATEST, "is"),
            ("nginx", "1.35", "has no registry, which 1.35 asks for"),
        )
    ),
    *(
        ({"tracing": {"endpoint": text}}, LATEST, "")
        for text in ("localhost:4317", "unix:///a", "dns://[::1]:1", "a,b", "")
    ),
    *(
        ({"tracing": {"endpoint": text}}, LATEST, f'tracing.endpoint "{text}" is not an endpoint')
        for text in ("a:b", "http://a", "a b", "dn%2s://a")
    ),
    ({"podLogsDir": "/"}, LATEST, ""),
    ({"podLogsDir": "/a/"}, LATEST, "podLogsDir"),
    # Marks of packets, which kubelets read until 1.27
    ({"iptablesMasqueradeBit": 15}, "1.27", "iptablesMasqueradeBit is 15, as is iptablesDropBit"),
    ({"iptablesDropBit": 14}, "1.27", "iptablesDropBit is 14, as is iptablesMasqueradeBit"),
    ({"iptablesMasqueradeBit": 15}, "1.28", ""),
    ({"iptablesMasqueradeBit": 15, "makeIPTablesUtilChains": False}, "1.27", ""),
    ({"iptablesMasqueradeBit": 15, "iptablesDropBit": 16}, "1.24", ""),
    # A block of IDs for each pod's user namespace
    ({"maxPods": 65536}, "1.29", ""),
    ({"maxPods": 65535}, "1.30", ""),
    ({"maxPods": 65536}, "1.30", "maxPods 65536 is too many: there are IDs for 65535 pods"),
    (
        {"maxPods": 40000, "userNamespaces": {"idsPerPod": 131072}},
        "1.35",
        "maxPods 40000 is too many: there are IDs for 32767 pods with 131072 for each",
    ),
    ({"maxPods": 40000, "userNamespaces": {"idsPerPod": 131072}}, "1.34", ""),
    (
        {"userNamespaces": {"idsPerPod": 65536 * 1024}},
        LATEST,
        "userNamespaces.idsPerPod makes IDs for 63 pods with 67108864 for each, but maxPods is 110",
    ),
    (
        {
            "maxPods": 65536,
            "featureGates": {"UserNamespacesSupport": False, "ProcMountType": False},
        },
        "1.35",
        "",
    ),
    ({"maxPods": 65536, "featureGates": {"UserNamespacesSupport": False}}, "1.34", "maxPods 65536"),
    # What is enforced
    ({"enforceNodeAllocatable": ["none"]}, "1.30", ""),
    ({"enforceNodeAllocatable": ["none"]}, "1.31", ""),
    ({"enforceNodeAllocatable": ["none", "pods"]}, "1.30", "enforceNodeAllocatable lists none"),
    ({"enforceNodeAllocatable": ["pods", "pods"]}, "1.30", ""),
    ({"enforceNodeAllocatable": ["pods", "pods"]}, "1.31", "enforceNodeAllocatable lists pods"),
    # Reserved memory
    (STATIC | reserved({"memory": "1124Mi"}), LATEST, ""),
    (
        STATIC | reserved({"memory": "562Mi"}, {"memory": "562Mi"}),
        LATEST,
        "reservedMemory[1].limits[memory] is a second one for NUMA node 0; give one",
    ),
    (
        STATIC | reserved({"memory": "1124Mi", "hugepages-2Mi": "4Mi"}),
        LATEST,
        "reservedMemory has hugepages-2Mi, which nothing else can reserve",
    ),
    (reserved({"hugepages-2Mi": "4Mi"}), LATEST, ""),  # nobody reads it
]  # fmt: skip


@pytest.mark.parametrize(("kubelet", "version", "expected"), VALUES)
def test_a_value_is_taken_or_refused_as_the_kubelet_does(
    kubelet: dict[str, Any], version: str, expected: str
) -> None:
    found = [f"{path} {problem}" for path, problem in versions.problems(kubelet, version)]
    assert len(found) == bool(expected), found
    assert all(text.startswith(expected) for text in found), found


def test_a_whole_number_with_a_point_is_written_so_that_go_reads_it() -> None:
    assert to_yaml({"maxPods": 110.0}) == "maxPods: 110.0\n"
