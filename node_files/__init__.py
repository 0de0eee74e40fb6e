"""Everything that a machine gets: rendered files, and the scripts that write, start and remove.

Plain values in, text out: no Pulumi, no network, no clock. `bundle` is what travels to a node.
"""

from node_files.bundle import INSTALL, JOIN, REMOVE, bundle, files, join_bundle
from node_files.kubeconfig import bootstrap_kubeconfig
from node_files.kubelet_configuration import problems
from node_files.model import Cluster, Directory, Effect, File, Node, Paths

__all__ = [
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
    "files",
    "join_bundle",
    "problems",
]
