"""Everything that a machine gets: the rendered files, and the scripts that run on it.

Plain values in, text out: no Pulumi, no network, no clock. `bundle` returns what a node is sent.
"""

from node_files.bundle import CHECKS, bundle, files, join_bundle
from node_files.cloud_init import user_data
from node_files.delivery import (
    Delivery,
    bring,
    concerns_running_kubelet,
    deliver,
    install,
    join,
    known,
    remove,
    shared,
)
from node_files.kubeconfig import bootstrap_kubeconfig
from node_files.kubelet_configuration import merge, merge_patches, own_values
from node_files.model import (
    DEFAULT_RUNTIME_ENDPOINT,
    RUNTIME_ENDPOINTS,
    Cluster,
    Directory,
    Effect,
    File,
    Node,
    Paths,
)
from node_files.presets import PRESETS, Preset, preset_fields
from node_files.registration import key_and_effect, labels_of_kubelet, without_registration
from node_files.scripts import SUDO, command, script
from node_files.systemd import WATCHDOG_SINCE
from node_files.versions import (
    SUPPORTED_VERSIONS,
    flag_conflicts,
    flag_problems,
    flag_warnings,
    problems,
    warnings,
    without_own,
)

__all__ = [
    "CHECKS",
    "DEFAULT_RUNTIME_ENDPOINT",
    "PRESETS",
    "RUNTIME_ENDPOINTS",
    "SUDO",
    "SUPPORTED_VERSIONS",
    "WATCHDOG_SINCE",
    "Cluster",
    "Delivery",
    "Directory",
    "Effect",
    "File",
    "Node",
    "Paths",
    "Preset",
    "bootstrap_kubeconfig",
    "bring",
    "bundle",
    "command",
    "concerns_running_kubelet",
    "deliver",
    "files",
    "flag_conflicts",
    "flag_problems",
    "flag_warnings",
    "install",
    "join",
    "join_bundle",
    "key_and_effect",
    "known",
    "labels_of_kubelet",
    "merge",
    "merge_patches",
    "own_values",
    "preset_fields",
    "problems",
    "remove",
    "script",
    "shared",
    "user_data",
    "warnings",
    "without_own",
    "without_registration",
]
