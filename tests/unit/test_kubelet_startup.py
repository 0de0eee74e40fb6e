"""What passes a kubelet's validation and ends it at its start is told before it is written."""

from typing import Any

import pytest

from node_files import versions
from settings import checks
from settings.parsing import parse

LATEST = "1.37"
CPU = {"kubeReserved": {"cpu": "500m"}}
STATIC = {"cpuManagerPolicy": "static", **CPU}
RESERVED = {"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1124Mi"}}]}
MEMORY = {"memoryManagerPolicy": "Static", "kubeReserved": {"memory": "1Gi"}}
TOPOLOGY_GATE = {"featureGates": {"TopologyManagerPolicyOptions": True}}
FIELDS: list[tuple[dict[str, Any], str, str]] = [
    (STATIC, LATEST, ""),
    ({"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}, LATEST, ""),
    ({"cpuManagerPolicy": "static", "systemReserved": {"cpu": "1"}}, "1.24", ""),
    ({"cpuManagerPolicy": "static"}, LATEST, "cpuManagerPolicy static needs CPUs"),
    (
        {"cpuManagerPolicy": "static", "kubeReserved": {"cpu": "0"}},
        LATEST,
        "cpuManagerPolicy static needs CPUs",
    ),
    (
        {"cpuManagerPolicy": "static", "kubeReserved": {"memory": "1Gi"}},
        LATEST,
        "cpuManagerPolicy static needs CPUs",
    ),
    ({"cpuManagerPolicyOptions": {}}, LATEST, ""),
    (
        {"cpuManagerPolicyOptions": {"full-pcpus-only": "true"}},
        LATEST,
        "cpuManagerPolicyOptions are options of the static policy",
    ),
    (STATIC | {"cpuManagerPolicyOptions": {"full-pcpus-only": "True"}}, LATEST, ""),
    (
        STATIC | {"cpuManagerPolicyOptions": {"full-pcpus-only": "yes"}},
        LATEST,
        'cpuManagerPolicyOptions[full-pcpus-only] "yes" is neither true nor false',
    ),
    (
        STATIC | {"cpuManagerPolicyOptions": {"full-pcpu-only": "true"}},
        LATEST,
        "cpuManagerPolicyOptions[full-pcpu-only] is not one of its options; did you mean",
    ),
    (
        STATIC | {"cpuManagerPolicyOptions": {"strict-cpu-reservation": "true"}},
        "1.31",
        "cpuManagerPolicyOptions[strict-cpu-reservation] is not one of its options in 1.31; it was"
        " added in 1.32",
    ),
    (
        STATIC | {"cpuManagerPolicyOptions": {"align-by-socket": "true"}},
        LATEST,
        "cpuManagerPolicyOptions[align-by-socket] needs the feature gate CPUManagerPolicyAlpha",
    ),
    (
        STATIC
        | {
            "cpuManagerPolicyOptions": {"align-by-socket": "true"},
            "featureGates": {"CPUManagerPolicyAlphaOptions": True},
        },
        LATEST,
        "",
    ),
    (
        STATIC | {"cpuManagerPolicyOptions": {"distribute-cpus-across-numa": "true"}},
        "1.32",
        "cpuManagerPolicyOptions[distribute-cpus-across-numa] needs the feature gate CPUManager",
    ),
    (STATIC | {"cpuManagerPolicyOptions": {"distribute-cpus-across-numa": "true"}}, "1.33", ""),
    # With the policy none it reads no options, since 1.28.
    ({"topologyManagerPolicyOptions": {"x": "y"}}, "1.28", ""),
    (
        {"topologyManagerPolicyOptions": {"x": "y"}} | TOPOLOGY_GATE,
        "1.27",
        "topologyManagerPolicyOptions[x] is not one of its options",
    ),
    (
        {
            "topologyManagerPolicy": "restricted",
            "topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": "true"},
            **TOPOLOGY_GATE,
        },
        "1.27",
        "topologyManagerPolicyOptions[prefer-closest-numa-nodes] needs the feature gate Topology",
    ),
    (
        {
            "topologyManagerPolicy": "restricted",
            "topologyManagerPolicyOptions": {"prefer-closest-numa": "true"},
        },
        LATEST,
        "topologyManagerPolicyOptions[prefer-closest-numa] is not one of its options; did you mean",
    ),
    (
        {
            "topologyManagerPolicy": "restricted",
            "topologyManagerPolicyOptions": {"max-allowable-numa-nodes": "4"},
        },
        LATEST,
        'topologyManagerPolicyOptions[max-allowable-numa-nodes] "4" is not a number of at least 8',
    ),
    (
        {
            "topologyManagerPolicy": "restricted",
            "topologyManagerPolicyOptions": {"max-allowable-numa-nodes": "16"},
        },
        LATEST,
        "",
    ),
    (MEMORY, LATEST, "reservedMemory is empty, but memoryManagerPolicy Static needs it"),
    # 1 GiB, and 100 MiB that evictionHard has by default.
    (MEMORY | RESERVED, LATEST, ""),
    (
        MEMORY | RESERVED | {"evictionHard": {"memory.available": "200Mi"}},
        LATEST,
        "reservedMemory has 1124Mi of memory in all, but kubeReserved, systemReserved and"
        " evictionHard reserve 1224Mi together",
    ),
    (MEMORY | RESERVED | {"evictionHard": {"memory.available": "5%"}}, LATEST, ""),
    (
        MEMORY | RESERVED | {"evictionHard": {"nodefs.available": "5%"}},
        LATEST,
        "reservedMemory has 1124Mi of memory in all, but kubeReserved, systemReserved and"
        " evictionHard reserve 1024Mi together",
    ),
    (
        MEMORY
        | RESERVED
        | {"evictionHard": {"nodefs.available": "5%"}, "mergeDefaultEvictionSettings": True},
        LATEST,
        "",
    ),
    *(
        ({"allowedUnsafeSysctls": [name]}, version, "")
        for name in ("net.core.somaxconn", "net/ipv4/ip_forward", "net.ipv4.*", "kernel.msg*")
        for version in ("1.24", "1.28", "1.29", LATEST)
    ),
    ({"allowedUnsafeSysctls": ["fs.mqueue.*"]}, LATEST, ""),
    ({"allowedUnsafeSysctls": ["user.max_user_namespaces"]}, LATEST, ""),
    ({"allowedUnsafeSysctls": ["kernel.msg_next_id"]}, "1.28", ""),
    *(
        ({"allowedUnsafeSysctls": [name]}, version, f'allowedUnsafeSysctls[0] "{name}" is of')
        for name, version in (
            ("vm.max_map_count", LATEST), ("kernel.*", LATEST), ("net*", "1.24"),
            ("kernel.msg_next_id", "1.29"), ("user.max_user_namespaces", "1.36"), ("*", LATEST),
        )
    ),
    ({"allowedUnsafeSysctls": ["net core"]}, LATEST, "allowedUnsafeSysctls[0] \"net core\" is not"),
    *(
        ({"containerLogMaxSize": size}, LATEST, "")
        for size in ("10Mi", "1e7", "1.5k", "1048576", "0", "-1", ".5k", "1Ti")
    ),
    *(
        ({"containerLogMaxSize": size}, LATEST, f'containerLogMaxSize "{size}" is not a whole')
        for size in ("10m", "1.5Mi", "0.5", "1000m", "1.0", "10e-1", "1Pi", "9223372036854775807")
    ),
    *(
        ({"evictionMinimumReclaim": {"nodefs.available": amount}}, LATEST, "")
        for amount in ("0", "0Mi", "500Mi", "1%")
    ),
    *(
        (
            {"evictionMinimumReclaim": {"nodefs.available": amount}},
            LATEST,
            f'evictionMinimumReclaim[nodefs.available] "{amount}" is',
        )
        for amount in ("0%", "-1Mi", "x")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kubelet", "version", "expected"), FIELDS)
def test_a_field_that_ends_a_kubelet_is_told(
    kubelet: dict[str, Any], version: str, expected: str
) -> None:
    found = [f"{path} {problem}" for path, problem in versions.problems(kubelet, version)]
    assert len(found) == bool(expected), found
    assert all(text.startswith(expected) for text in found), found


def told(version: str = LATEST, **layer: Any) -> list[str]:
    node = {"name": "n1", "address": "10.0.0.1"} | layer.pop("node", {})
    raw = {"kubernetesVersion": version, "pools": {"w": {"nodes": [node]}}} | layer
    return [str(problem) for problem in checks.problems(parse(raw))]


CONFIG = {"image-credential-provider-config": "/etc/kubernetes/credentials.yaml"}
DIRECTORY = {"image-credential-provider-bin-dir": "/usr/libexec/kubernetes/credentials"}
TWO = {"node": {"addresses": ["10.0.0.1", "fd00::1"]}}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"flags": {"cloud-provider": "external"}}, []),
        (
            {"flags": {"cloud-provider": "aws"}},
            ['flags.cloud-provider "aws" was removed from the kubelet in 1.31; set it to external'],
        ),
        ({"flags": {"cloud-provider": "gce"}, "version": "1.26"}, []),
        ({"flags": CONFIG | DIRECTORY}, []),
        ({"flags": CONFIG, "node": {"flags": DIRECTORY}}, []),
        (
            {"flags": CONFIG},
            ["flags.image-credential-provider-config needs image-credential-provider-bin-dir too"],
        ),
        (
            {"node": {"flags": DIRECTORY}},
            [
                "pools.w.nodes[0].flags.image-credential-provider-bin-dir needs"
                " image-credential-provider-config too"
            ],
        ),
        (TWO | {"flags": {"cloud-provider": "external"}}, []),
        (TWO | {"version": "1.26"}, []),
        (
            TWO | {"flags": {"cloud-provider": "external"}, "version": "1.26"},
            [
                "pools.w.nodes[0].addresses gives the node two addresses, but a kubelet of 1.26"
                " takes one with a cloud provider; remove the other"
            ],
        ),
        (
            TWO | {"flags": {"cloud-provider": "external"}, "version": "1.28"},
            [
                "pools.w.nodes[0].addresses gives the node two addresses, which needs the feature"
                " gate CloudDualStackNodeIPs in 1.28 with a cloud provider"
            ],
        ),
        (
            TWO
            | {"flags": {"cloud-provider": "external"}, "version": "1.28"}
            | {"kubelet": {"featureGates": {"CloudDualStackNodeIPs": True}}},
            [],
        ),
    ],
)
def test_a_flag_that_ends_a_kubelet_is_told(layer: dict[str, Any], expected: list[str]) -> None:
    assert told(**layer) == expected


def test_what_is_wrong_in_its_form_is_told_by_that_check_alone() -> None:
    layer = TWO | {"flags": {"cloud-provider": "external"}, "version": "1.28"}
    assert told(**layer, kubelet={"featureGates": ["x"]})[0].startswith("kubelet.featureGates is a")
    assert told(**layer, kubelet={"featureGates": {"AllAlpha": True}}) == []
    options = {"max-allowable-numa-nodes": "9" * 5000}
    kubelet = {"topologyManagerPolicy": "restricted", "topologyManagerPolicyOptions": options}
    assert "is not a number of at least 8" in told(kubelet=kubelet)[0]
