"""What the gate of a pool reads on stdin."""

from collections.abc import Mapping
from typing import Any

from components import bootstrap_token
from components.bootstrap_token import BootstrapToken
from components.node_attributes import node_attributes, registered_taints
from components.pool_arguments import NodePoolArgs


def gate_orders(
    name: str, args: NodePoolArgs, tokens: Mapping[str | None, BootstrapToken]
) -> dict[str, Any]:
    """Return everything that the gate reads on stdin."""
    present = [entry for entry in args.nodes if not entry.gone]
    return {
        "kubeconfig": {"stack": args.stack, "server": args.api_server},
        "ca": args.cluster.ca_certificate,
        "pool": name,
        "nodes": [
            {
                **entry.inventory().document(),
                "join": entry.join,
                "kubeletVersion": entry.node.version,
            }
            for entry in sorted(present, key=lambda entry: entry.node.name)
        ],
        "attributes": node_attributes(present),
        "registered": registered_taints(present),
        "tokens": [
            {
                "id": token.id,
                "secretUid": token.secret_uid,
                "node": node,
                "group": bootstrap_token.groups(name, node)[-1],
            }
            for node, token in sorted(tokens.items(), key=lambda item: item[0] or "")
        ],
        "joining": sum(entry.recorded is None for entry in present),
        "afterJoin": args.token.after_join,
        "approval": {"client": args.approval.client, "serving": args.approval.serving},
        "skipClusterChecks": list(args.skip_cluster_checks),
        "denied": args.denied.document(),
        "stallSeconds": args.stall_seconds,
    }
