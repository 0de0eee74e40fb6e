"""The KubeletConfiguration of a node: our defaults with the user's overrides merged over them.

Field names and meanings: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import yaml

from node_files import versions
from node_files.model import Cluster, Node
from node_files.registration import TAINTS

API_VERSION = "kubelet.config.k8s.io/v1beta1"
KIND = "KubeletConfiguration"


def kubelet_configuration(cluster: Cluster, node: Node) -> dict[str, Any]:
    """Return the whole configuration of the node's kubelet, with the overrides.

    Values that equal the version's default are left out, except for those in `KEPT`
    (versions/defaults.py).

    Raises:
        ValueError: overrides are not allowed; the message names each one and says why.
    """
    own = own_values(node.paths.ca, node.paths.manifests, node.runtime_endpoint, node.taints)
    overrides = versions.without_own(node.kubelet, own)
    found = list(versions.problems(overrides, node.version, node.unsafe))
    if found:
        raise ValueError("\n".join(f"{path} {problem}" for path, problem in found))
    merged = merge(defaults(cluster, node), overrides)
    return versions.without_defaults(merged, node.version)


def own_values(
    ca: str, manifests: str, runtime_endpoint: str, taints: Sequence[str]
) -> dict[str, Any]:
    """Return what the program writes into fields that other settings are for, by path."""
    return {
        "authentication.x509.clientCAFile": ca,
        "containerRuntimeEndpoint": runtime_endpoint,
        TAINTS: [_taint(text) for text in taints],
        "staticPodPath": manifests,
    }


def health_urls(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return where a kubelet answers on its own machine: that it is healthy, or at all.

    The second is its main server, which is the only one where the healthz server is off. `fields`
    are its whole configuration.
    """
    main = _url("https", fields.get("address"), 10250)  # `port` is protected
    port = fields.get("healthzPort", 10248)
    return (_url("http", fields.get("healthzBindAddress"), port) if port else main), main


def _url(scheme: str, host: str | None, port: int) -> str:
    address = ip_address(host or "127.0.0.1")
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"{scheme}://{f'[{address}]' if address.version == 6 else address}:{port}"


def defaults(cluster: Cluster, node: Node) -> dict[str, Any]:
    """Return the configuration without overrides, in fields that the version knows.

    A kubelet treats a signal that evictionHard does not list as 0. So the user's evictionHard is
    merged over the version's own, and null removes a signal, unless the user sets
    mergeDefaultEvictionSettings.
    """
    known = versions.fields(node.version)
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
        "serverTLSBootstrap": True,
        "staticPodPath": node.paths.manifests,
    }
    if versions.gate_is_on("SeccompDefault", node.version):
        fields["seccompDefault"] = True
    if cluster.dns_addresses:
        fields["clusterDNS"] = list(cluster.dns_addresses)
    if node.taints:
        fields[TAINTS] = [_taint(text) for text in node.taints]
    if node.kubelet.get("evictionHard") and not node.kubelet.get("mergeDefaultEvictionSettings"):
        fields["evictionHard"] = known["evictionHard"].default
    return {name: value for name, value in fields.items() if name in known}


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


def merge_patches(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return one override that does what two do, one after the other; it keeps their nulls.

    `merge(merge(x, lower), upper) == merge(x, merge_patches(lower, upper))`, except where `upper`
    has a map and `lower` a null or a plain value: RFC 7396 can't express "this map and nothing
    else", so the map then merges into that of x.
    """
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = merge_patches(below, value)
        else:
            merged[key] = value
    return merged


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return the document as block YAML with sorted keys, so that a diff shows only changes.

    It is ASCII, because YAML parsers disagree on which other characters end a line.
    """
    return _yaml_of(json.dumps(document))


@functools.lru_cache(maxsize=1024)  # nodes of a pool have the same, and it takes milliseconds
def _yaml_of(text: str) -> str:
    return yaml.dump(
        json.loads(text), Dumper=_Dumper, sort_keys=True, allow_unicode=False, width=1_000_000
    )


class _Dumper(yaml.SafeDumper):
    """Quotes text that Kubernetes' YAML parser, unlike Python's, reads as another type."""


# sigs.k8s.io/yaml goyaml.v2 resolve.go: y and n are booleans, 1e9 is a number, 0o7 may be one.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|0[oO][0-7_]+|0[bB][01_]+)$"),
    list("-+.0123456789"),
)


def _taint(text: str) -> dict[str, str]:
    key_and_value, _, effect = text.rpartition(":")
    key, _, value = key_and_value.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})
