"""The cluster and the nodes of the settings, as `node_files` renders them."""

from dataclasses import replace

import node_files
from settings.layer import merge_layers, without_nulls
from settings.model import ClusterSettings, NodeSettings, Pool, Settings


def to_cluster(cluster: ClusterSettings, server: str, ca_certificate: str) -> node_files.Cluster:
    """Return what all nodes of the cluster share."""
    return node_files.Cluster(
        name=cluster.name,
        server=server,
        ca_certificate=ca_certificate,
        dns_addresses=cluster.dns_addresses,
        dns_domain=cluster.dns_domain,
    )


def to_node(settings: Settings, pool: Pool, node: NodeSettings) -> node_files.Node:
    """Return the node with its preset and all layers of settings merged."""
    layer = merge_layers(settings, pool, node)
    name = layer.preset or "default"
    preset = node_files.PRESETS[name]
    runtime = layer.runtime or "containerd"
    fields = node_files.preset_fields(name, layer.version)
    return node_files.Node(
        name=node.name,
        addresses=node.all_addresses,
        version=layer.version,
        generation=node.generation,
        # The sum, so that raising any of them changes it.
        repair=settings.repair + pool.repair + node.repair,
        kubelet=node_files.merge_patches(fields, layer.kubelet),
        unsafe=frozenset(layer.unsafe or ()),
        flags=without_nulls({**preset.flags, **layer.flags}),
        labels=without_nulls(layer.labels),
        annotations=without_nulls(layer.annotations),
        taints=tuple(dict.fromkeys(layer.taints or ())),
        runtime=runtime,
        runtime_endpoint=layer.runtime_endpoint or node_files.RUNTIME_ENDPOINTS[runtime],
        paths=replace(preset.paths, **without_nulls(dict(layer.paths))),
        skip_checks=layer.skip_checks or (),
        unit_drop_in=layer.unit == "drop-in",
        embed_ca=bool(layer.embed_ca),
        work_in_root=preset.work_in_root,
        health_limit_s=settings.rollout_of(pool).health_seconds,
        watchdog_s=layer.watchdog_seconds or 0,
    )
