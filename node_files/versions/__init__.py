"""What kubelets of each version accept, and whether settings are right for them.

The facts are in a table that `generate` makes from Kubernetes' published Go types, and in the short
lists of `rules`, `protection` and `extra_flags`, which name their sources.
"""

from node_files.versions.defaults import without_defaults
from node_files.versions.extra_flags import flag_conflicts, flag_problems, flag_warnings
from node_files.versions.override_problems import problems
from node_files.versions.override_warnings import warnings
from node_files.versions.protection import FIXED, PROTECTED, without_own
from node_files.versions.table import SUPPORTED_VERSIONS, fields, flags, gate_is_on, gates

__all__ = [
    "FIXED",
    "PROTECTED",
    "SUPPORTED_VERSIONS",
    "fields",
    "flag_conflicts",
    "flag_problems",
    "flag_warnings",
    "flags",
    "gate_is_on",
    "gates",
    "problems",
    "warnings",
    "without_defaults",
    "without_own",
]
