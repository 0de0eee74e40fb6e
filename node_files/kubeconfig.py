"""The kubeconfig with which a kubelet requests its first certificate."""

import base64

from node_files.kubelet_configuration import to_yaml
from node_files.model import Cluster, Effect, File, Node

USER = "kubelet-bootstrap"
CONTEXT = "default"


def bootstrap_kubeconfig(cluster: Cluster, node: Node, token_id: str, token_secret: str) -> File:
    """Return the bootstrap kubeconfig; it holds the token, so its content is a secret.

    It names the CA by its path, and the kubelet copies that into its own kubeconfig. So a new CA
    file is enough for both. An embedded CA stays what it was when the machine joined. The kubelet
    verifies the API server against the CA from the first connection on.
    """
    return _kubeconfig(cluster, node, {"token": f"{token_id}.{token_secret}"})


def token_file_kubeconfig(cluster: Cluster, node: Node, token_path: str) -> File:
    """Return the bootstrap kubeconfig that names a file with the token; it holds no secret."""
    return _kubeconfig(cluster, node, {"tokenFile": token_path})


def _kubeconfig(cluster: Cluster, node: Node, user: dict[str, str]) -> File:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster.name,
                "cluster": {**_certificate_authority(cluster, node), "server": cluster.server},
            }
        ],
        "users": [{"name": USER, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": cluster.name, "user": USER}}],
        "current-context": CONTEXT,
    }
    return File(
        path=node.paths.bootstrap_kubeconfig,
        mode="0600",
        content=to_yaml(document),
        effect=Effect.NONE,
    )


def _certificate_authority(cluster: Cluster, node: Node) -> dict[str, str]:
    if not node.embed_ca:
        return {"certificate-authority": node.paths.ca}
    encoded = base64.b64encode(cluster.ca_certificate.encode()).decode()
    return {"certificate-authority-data": encoded}
