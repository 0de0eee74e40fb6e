"""What a kubelet gives its Node only when it registers: labels and taints.

Later ones reach the Node over the API server. So a kubelet does not restart for them, but the next
one that registers has them: files.sh leaves the same lines out.
"""

import re
from collections.abc import Mapping

NODE_LABELS = "--node-labels="
TAINTS = "registerWithTaints"
# Labels in Kubernetes' own namespaces that a kubelet may set on its Node; with any other one it
# does not start (ValidateKubeletFlags in cmd/kubelet/app/options, IsKubeletLabel in
# staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go).
KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
    }
)  # fmt: skip
KUBELET_NAMESPACES = re.compile(r"\A([a-z0-9.-]+\.)?(kubelet|node)\.kubernetes\.io\Z")
OTHERS_NAMESPACES = re.compile(r"\A([a-z0-9.-]+\.)?(kubernetes|k8s)\.io\Z")
# A top-level field of YAML, as `to_yaml` writes it.
FIELD = re.compile(r"[^ -]")


def labels_of_kubelet(labels: Mapping[str, str]) -> dict[str, str]:
    """Return those that a kubelet may set on its own Node."""
    return {name: value for name, value in labels.items() if _may_set(name)}


def without_registration(content: str, quote: str = "") -> list[str]:
    """Return the lines of the arguments or the configuration that a running kubelet depends on.

    In a bundle, all lines of files begin with `quote`.
    """
    kept, skip = [], False
    for line in content.split("\n"):
        text = line.removeprefix(quote)
        if FIELD.match(text):
            skip = text.startswith(f"{TAINTS}:")
        if not skip and not text.startswith(NODE_LABELS):
            kept.append(line)
    return kept


def key_and_effect(taint: str) -> str:
    """Return what identifies a taint (key=value:effect) on its Node, as key:effect."""
    key, _, effect = taint.rpartition(":")
    return f"{key.partition('=')[0]}:{effect}"


def _may_set(label: str) -> bool:
    namespace = label.rpartition("/")[0]
    own = label in KUBELET_LABELS or KUBELET_NAMESPACES.match(namespace)
    return bool(own or not OTHERS_NAMESPACES.match(namespace))
