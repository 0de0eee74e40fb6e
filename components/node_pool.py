"""A pool: nodes that join with one token, and the gate that lets them in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pulumi

import node_files
from components import commands
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.credentials import Credentials
from components.layers import merged, over
from components.node import Node, NodeArgs
from components.settings import ClusterSettings, NodeSettings, Pool, Settings

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NodePoolArgs:
    """A pool of the settings, and what all pools share."""

    pool: Pool
    """The pool's own settings."""
    settings: Settings
    """The stack's settings."""
    credentials: Credentials
    """How the cluster and the machines are reached."""
    rbac: pulumi.Resource
    """What lets a token ask for a certificate; it is there before the token."""


class NodePool(pulumi.ComponentResource):
    """A token, the nodes that join with it, and the gate, which works while they join."""

    token_id: pulumi.Output[str]
    nodes: pulumi.Output[Any]
    """For each node that has joined: name, address, kubeletVersion, servingCertificateEnd."""
    user_data: pulumi.Output[str] | None
    """cloud-init user data where the pool asks for it; a secret where it holds the token."""

    def __init__(
        self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:NodePool", name, None, opts)
        token = BootstrapToken(
            f"{name}-token",
            BootstrapTokenArgs(
                pool=name,
                members={node.name: node.generation for node in args.pool.nodes},
                ttl_minutes=args.settings.token.ttl_minutes,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.rbac]),
        )
        cluster = to_cluster(
            args.settings.cluster, args.credentials.server, args.credentials.ca_certificate
        )
        shared = over(args.settings.ssh, args.pool.ssh)
        for node in args.pool.nodes:
            Node(
                node.name,
                NodeArgs(
                    cluster=cluster,
                    node=to_node(args.settings, args.pool, node),
                    access=commands.access(over(shared, node.ssh), args.credentials, node),
                    token=token,
                    leave=leave_arguments(args.credentials),
                    force=node.force,
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        # Beside the joins, not after them: each waits on its machine for what the gate approves.
        gate = commands.python_module(
            f"{name}-gate",
            create="admission gate",
            stdin=pulumi.Output.json_dumps(gate_input(name, args, token)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[token.live]),
        )
        self.token_id = token.id
        self.user_data = user_data(cluster, args, token)
        self.nodes = gate.stdout.apply(lambda text: json.loads(text)["nodes"])
        self.register_outputs({})


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
    """Return the node as the preset and the layers of settings make it."""
    layer = merged(settings, pool, node)
    name = layer.preset or "default"
    preset = node_files.PRESETS[name]
    runtime = layer.runtime or "containerd"
    return node_files.Node(
        name=node.name,
        addresses=node.all_addresses,
        version=layer.version,
        generation=node.generation,
        # The sum: whichever of them is raised, it differs from the last one.
        repair=settings.repair + pool.repair + node.repair,
        kubelet=node_files.combine(node_files.preset_fields(name, layer.version), layer.kubelet),
        unsafe=frozenset(layer.unsafe or ()),
        flags=_said({**preset.flags, **layer.flags}),
        labels=_said(layer.labels),
        taints=tuple(dict.fromkeys(layer.taints or ())),
        runtime=runtime,
        runtime_endpoint=layer.runtime_endpoint or node_files.RUNTIME_ENDPOINTS[runtime],
        paths=replace(preset.paths, **_said(dict(layer.paths))),
        skip_checks=layer.skip_checks or (),
        unit_drop_in=layer.unit == "drop-in",
        embed_ca=bool(layer.embed_ca),
        work_in_root=preset.work_in_root,
        watchdog_s=layer.watchdog_seconds or 0,
    )


def _said(values: Mapping[str, T | None]) -> dict[str, T]:
    """The values without those that a null took away."""
    return {name: value for name, value in values.items() if value is not None}


def user_data(
    cluster: node_files.Cluster, args: NodePoolArgs, token: BootstrapToken
) -> pulumi.Output[str] | None:
    """Return the user data of machines that create themselves, if the pool has such."""
    asked = args.pool.cloud_init
    if asked is None:
        return None
    # Its own name and address take their place at the first boot.
    some = NodeSettings(name="some", address="127.0.0.1")
    node = to_node(args.settings, args.pool, some)
    if not asked.with_token:
        return pulumi.Output.from_input(node_files.user_data(cluster, node))
    whole = pulumi.Output.all(token.id, token.secret).apply(
        lambda token: node_files.user_data(cluster, node, ".".join(token))
    )
    return pulumi.Output.secret(whole)


def leave_arguments(credentials: Credentials) -> str:
    """Return where `admission leave` finds a kubeconfig that no node's resource holds."""
    if credentials.kubeconfig_path:
        return f"--kubeconfig {credentials.kubeconfig_path}"
    return f"--stack-config {pulumi.get_stack()}"


def gate_input(name: str, args: NodePoolArgs, token: BootstrapToken) -> dict[str, Any]:
    """Return all that the gate is told: it runs again exactly when this changes."""
    credentials = args.credentials
    hosts = args.settings.control_plane.hosts
    return {
        "kubeconfig": {"path": credentials.kubeconfig_path}
        if credentials.kubeconfig_path
        else {"content": credentials.kubeconfig},
        "pool": name,
        "nodes": [
            {
                "name": node.name,
                "addresses": list(node.all_addresses),
                "dnsNames": list(node.all_names),
                "generation": node.generation,
            }
            for node in args.pool.nodes
        ],
        "token": {
            "id": token.id,
            "secretUid": token.secret_uid,
            "afterJoin": args.settings.token.after_join,
        },
        "approval": {"serving": "gate", "client": "controller-manager"},
        "denied": {
            "addresses": [host.address for host in hosts],
            "cidrs": [args.settings.cluster.service_cidr],
        },
        "stallSeconds": args.settings.stall_seconds,
    }
