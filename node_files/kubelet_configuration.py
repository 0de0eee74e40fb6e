"""The KubeletConfiguration of a node: our defaults, and the user's overrides merged over them.

Field names and meanings: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from node_files.model import Cluster, Node

API_VERSION = "kubelet.config.k8s.io/v1beta1"
KIND = "KubeletConfiguration"

# Fields without which a join fails or lets somebody in, and why each is kept.
PROTECTED = {
    "apiVersion": "the program writes it",
    "kind": "the program writes it",
    "authentication": "anonymous requests to the kubelet would be let in, or the API server's not",
    "authorization": "the kubelet would obey requests that the API server does not allow",
    "containerRuntimeEndpoint": "it is the setting runtimeEndpoint",
    "port": "the join is proven on port 10250",
    "readOnlyPort": "it serves the node's pods without authentication",
    "registerNode": "a node that does not register itself never joins",
    "registerWithTaints": "it is the setting taints",
    "rotateCertificates": "without it the node drops out when its first certificate ends",
    "serverTLSBootstrap": "the kubelet would serve a certificate that nobody can verify",
    "staticPodPath": "it is one of the paths that the program makes and removes",
    "tlsCertFile": "the serving certificate comes from the cluster",
    "tlsPrivateKeyFile": "the serving certificate comes from the cluster",
}


def kubelet_configuration(cluster: Cluster, node: Node) -> dict[str, Any]:
    """Return the whole configuration of the node's kubelet, overrides merged in.

    Raises:
        ValueError: an override is of a protected field; the message names it and says why.
    """
    for path, problem in problems(node.kubelet):
        raise ValueError(f"{path} {problem}")
    return merge(defaults(cluster, node), node.kubelet)


def defaults(cluster: Cluster, node: Node) -> dict[str, Any]:
    """Return what is configured where the user says nothing.

    Values that equal the kubelet's own defaults are left out, but for those that the CIS
    Kubernetes Benchmark (4.2.1 to 4.2.4) wants to see in the file.
    """
    fields: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": node.paths.ca},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDomain": cluster.dns_domain,
        "containerRuntimeEndpoint": node.runtime_endpoint,
        "readOnlyPort": 0,
        "rotateCertificates": True,
        "seccompDefault": True,
        "serverTLSBootstrap": True,
        "staticPodPath": node.paths.manifests,
    }
    if cluster.dns_addresses:
        fields["clusterDNS"] = list(cluster.dns_addresses)
    if node.taints:
        fields["registerWithTaints"] = [_taint(text) for text in node.taints]
    return fields


def problems(overrides: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path and the fault of each override that must not be."""
    for name in overrides:
        if name in PROTECTED:
            yield name, f"can't be overridden: {PROTECTED[name]}"


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as a JSON merge patch does: maps merge, lists and scalars replace, null removes.

    Source: RFC 7396, which the kubelet follows for its own drop-in directory.
    """
    merged = dict(base)
    for key, value in override.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return the document as block YAML with sorted keys, so that a diff shows changes alone.

    In ASCII: of some characters beyond it, YAML's readers differ on whether they end a line.
    """
    return yaml.safe_dump(dict(document), sort_keys=True, allow_unicode=False, width=1_000_000)


def _taint(text: str) -> dict[str, str]:
    key_and_value, _, effect = text.rpartition(":")
    key, _, value = key_and_value.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})
