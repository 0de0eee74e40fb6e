"""What the settings name but don't hold: the kubeconfig, the CA, the SSH keys, the hosts' keys.

Each module reads and checks one of them, before the first resource. Secrets become secret Outputs
as soon as they are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach the cluster and its machines."""

    kubeconfig_path: str | None  # or else the content of the secret key `kubeconfig`
    kubeconfig: pulumi.Output[str] | None = field(repr=False)
    server: str  # for kubelets
    api_server: str  # the kubeconfig's
    ca_certificate: str  # PEM
    private_key: pulumi.Output[str] | None = field(repr=False)  # the secret key sshPrivateKey
    host_keys: Mapping[str, str]  # by the host's name: "TYPE KEY"
    bastion_keys: Mapping[str, str] = field(default_factory=dict)  # by ADDRESS:PORT
    key_files: Mapping[str, pulumi.Output[str]] = field(default_factory=dict, repr=False)

    def key(self, path: str | None) -> pulumi.Output[str] | None:
        """Return the private key in that file, or else the stack's; None: the SSH agent has it."""
        return self.key_files[path] if path else self.private_key
