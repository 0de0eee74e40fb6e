"""Everything that a machine gets: rendered files, and the scripts that write, start and remove.

Plain values in, text out: no Pulumi, no network, no clock. `bundle` is what travels to a node.
"""

from node_files.bundle import (
    CHECKS,
    INSTALL,
    JOIN,
    REMOVE,
    bundle,
    command,
    files,
    join_bundle,
    script,
)
from node_files.cloud_init import user_data
from node_files.kubeconfig import bootstrap_kubeconfig
from node_files.kubelet_configuration import merge, problems
from node_files.model import DEFAULT_RUNTIME_ENDPOINT, Cluster, Directory, Effect, File, Node, Paths

__all__ = [
    "CHECKS",
    "DEFAULT_RUNTIME_ENDPOINT",
    "INSTALL",
    "JOIN",
    "REMOVE",
    "Cluster",
    "Directory",
    "Effect",
    "File",
    "Node",
    "Paths",
    "bootstrap_kubeconfig",
    "bundle",
    "command",
    "files",
    "join_bundle",
    "merge",
    "problems",
    "script",
    "user_data",
]
