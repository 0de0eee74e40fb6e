"""A pool: nodes that join with one token, and the gate that lets them in."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi

import node_files
from components import bootstrap_token, commands, serving_approver
from components.bootstrap_token import BootstrapToken, BootstrapTokenArgs
from components.credentials import Credentials
from components.layers import merged, over, without_nulls
from components.node import Node, NodeArgs
from components.settings import ClusterSettings, NodeSettings, Pool, Settings


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
    """Tokens, the nodes that join with them, and the gate, which works while they join."""

    token_id: pulumi.Output[Any]
    """The public half of the pool's token; where each node has its own, by the node's name."""
    nodes: pulumi.Output[Any]
    """For each node that has joined: name, address, kubeletVersion, servingCertificateEnd."""
    user_data: pulumi.Output[str] | None
    """cloud-init user data where the pool asks for it; a secret where it holds the token."""
    settled: list[pulumi.Resource]
    """The resources to depend on: what does comes after all joins, and goes before any drain."""

    def __init__(
        self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:NodePool", name, None, opts)
        tokens = self._tokens(name, args)
        cluster = to_cluster(
            args.settings.cluster, args.credentials.server, args.credentials.ca_certificate
        )
        shared = over(args.settings.ssh, args.pool.ssh)
        nodes = [
            Node(
                node.name,
                NodeArgs(
                    cluster=cluster,
                    node=to_node(args.settings, args.pool, node),
                    access=commands.access(over(shared, node.ssh), args.credentials, node),
                    token=tokens.get(node.name) or tokens[None],
                    leave=leave_arguments(args.credentials),
                    force=node.force,
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for node in args.pool.nodes
        ]
        serving_approver.inventory(
            f"{name}-inventory",
            pool=name,
            namespace=args.settings.approver.namespace,
            nodes=inventory_nodes(args.pool),
            denied=denied(args.settings),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Beside the joins, not after them: each waits on its machine for what the gate approves.
        gate = commands.python_module(
            f"{name}-gate",
            create="admission gate",
            stdin=pulumi.Output.json_dumps(gate_input(name, args, tokens)),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[token.live for token in tokens.values()]
            ),
        )
        self.settled = [gate, *(node.member for node in nodes)]
        ids = {node: token.id for node, token in tokens.items()}
        self.token_id = ids[None] if None in ids else pulumi.Output.from_input(ids)
        self.user_data = user_data(cluster, args, tokens.get(None))
        self.nodes = gate.stdout.apply(lambda text: json.loads(text)["nodes"])
        self.register_outputs({})

    def _tokens(self, name: str, args: NodePoolArgs) -> dict[str | None, BootstrapToken]:
        """Declare a token for each node, by its name, or else one for all, by None."""
        generations = {node.name: node.generation for node in args.pool.nodes}
        scopes: dict[str | None, dict[str, int]] = {None: generations}
        if args.settings.token.scope == "node":
            scopes = {node: {node: generation} for node, generation in generations.items()}
        return {
            node: BootstrapToken(
                f"{node or name}-token",
                BootstrapTokenArgs(
                    pool=name,
                    node=node,
                    members=members,
                    ttl_minutes=args.settings.token.ttl_minutes,
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[args.rbac]),
            )
            for node, members in scopes.items()
        }


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
        flags=without_nulls({**preset.flags, **layer.flags}),
        labels=without_nulls(layer.labels),
        taints=tuple(dict.fromkeys(layer.taints or ())),
        runtime=runtime,
        runtime_endpoint=layer.runtime_endpoint or node_files.RUNTIME_ENDPOINTS[runtime],
        paths=replace(preset.paths, **without_nulls(dict(layer.paths))),
        skip_checks=layer.skip_checks or (),
        unit_drop_in=layer.unit == "drop-in",
        embed_ca=bool(layer.embed_ca),
        work_in_root=preset.work_in_root,
        watchdog_s=layer.watchdog_seconds or 0,
    )


def user_data(
    cluster: node_files.Cluster, args: NodePoolArgs, token: BootstrapToken | None
) -> pulumi.Output[str] | None:
    """Return the user data of machines that create themselves, if the pool has such."""
    asked = args.pool.cloud_init
    if asked is None:
        return None
    # Its own name and address take their place at the first boot.
    some = NodeSettings(name="some", address="127.0.0.1")
    node = to_node(args.settings, args.pool, some)
    if token is None or not asked.with_token:
        return pulumi.Output.from_input(node_files.user_data(cluster, node))
    whole = pulumi.Output.all(token.id, token.secret).apply(
        lambda token: node_files.user_data(cluster, node, ".".join(token))
    )
    return pulumi.Output.secret(whole)


def leave_arguments(credentials: Credentials) -> str:
    """Return where `admission leave` finds a kubeconfig that no node's resource holds, quoted."""
    if credentials.kubeconfig_path:
        return f"--kubeconfig {shlex.quote(credentials.kubeconfig_path)}"
    return f"--stack-config {pulumi.get_stack()}"


def inventory_nodes(pool: Pool) -> list[dict[str, Any]]:
    """Return what each node's serving certificate may hold."""
    return [
        {
            "name": node.name,
            "addresses": list(node.all_addresses),
            "dnsNames": list(node.all_names),
        }
        for node in pool.nodes
    ]


def denied(settings: Settings) -> dict[str, list[str]]:
    """Return what no node's serving certificate may hold."""
    return {
        "addresses": [host.address for host in settings.control_plane.hosts],
        "cidrs": [settings.cluster.service_cidr],
    }


def gate_input(
    name: str, args: NodePoolArgs, tokens: Mapping[str | None, BootstrapToken]
) -> dict[str, Any]:
    """Return all that the gate is told: it runs again exactly when this changes."""
    credentials = args.credentials
    return {
        "kubeconfig": {"path": credentials.kubeconfig_path}
        if credentials.kubeconfig_path
        else {"content": credentials.kubeconfig},
        "pool": name,
        "nodes": [
            {
                **entry,
                "generation": node.generation,
                "kubeletVersion": merged(args.settings, args.pool, node).version,
            }
            for entry, node in zip(inventory_nodes(args.pool), args.pool.nodes, strict=True)
        ],
        "tokens": [
            {
                "id": token.id,
                "secretUid": token.secret_uid,
                "node": node,
                "group": bootstrap_token.groups(name, node)[-1],
            }
            for node, token in tokens.items()
        ],
        "afterJoin": args.settings.token.after_join,
        "approval": args.settings.approval.model_dump(),
        "skipClusterChecks": list(args.settings.skip_cluster_checks),
        "denied": denied(args.settings),
        "stallSeconds": args.settings.stall_seconds,
    }
