"""What other Pulumi programs use: machines that they make join a cluster in the same run.

docs/components.md describes it. Everything else in this distribution may change with any release.
"""

from kubelet_tls_bootstrap.fleet import fleet
from kubelet_tls_bootstrap.resources import Fleet
from kubelet_tls_bootstrap.settings import NodeArgs, PoolArgs, SettingsArgs

__all__ = ["Fleet", "NodeArgs", "PoolArgs", "SettingsArgs", "fleet"]
