"""What TLS bootstrapping needs of the control plane's programs, on each of their machines.

Flags: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
`bootstrapsigner` and `tokencleaner` are off by default in kube-controller-manager.
"""

from dataclasses import dataclass

import pulumi

from components import commands
from components.credentials import Credentials
from components.layers import Ssh, over
from components.settings import ControlPlaneSettings
from node_files import command, script

API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
LIMIT_S = 400


@dataclass(frozen=True, kw_only=True)
class ControlPlaneArgs:
    """The machines of the control plane, and what may be done to them."""

    settings: ControlPlaneSettings
    """Its hosts; with `manage` their flags are changed, otherwise they are only looked at."""
    ssh: Ssh
    """How all machines are reached; its own settings and those of its hosts go over it."""
    credentials: Credentials
    """The keys and the pinned host keys for it."""


class ControlPlane(pulumi.ComponentResource):
    """One command for each host, one after the other, so that an API server is always there.

    Fails with the host and the flags that it lacks where it may not manage them.
    """

    last: pulumi.Resource | None
    """The resource to depend on; it ends when all hosts are as they should be."""

    def __init__(
        self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:ControlPlane", name, None, opts)
        self.last = None
        ssh = over(args.ssh, args.settings.ssh)
        for host in args.settings.hosts:
            self.last = commands.on_host(
                f"{host.name}-flags",
                commands.access(over(ssh, host.ssh), args.credentials, host),
                create=command(LIMIT_S, "install"),
                delete=command(LIMIT_S, "remove") if args.settings.manage else None,
                stdin=control_plane_input(args.settings, host.name),
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=[self.last] if self.last else None
                ),
            )
        self.register_outputs({})


def control_plane_input(settings: ControlPlaneSettings, host: str) -> str:
    """Return what stdin holds: the script, and the flags with which a host's programs must run."""
    flags = (
        (API_SERVER, "--enable-bootstrap-token-auth=true"),
        (CONTROLLER_MANAGER, f"--cluster-signing-cert-file={settings.signing_certificate}"),
        (CONTROLLER_MANAGER, f"--cluster-signing-key-file={settings.signing_key}"),
        (CONTROLLER_MANAGER, "--controllers=*,bootstrapsigner,tokencleaner"),
    )
    lines = [
        f"host {host}",
        f"manage {str(settings.manage).lower()}",
        f"file {settings.signing_certificate}",
        f"file {settings.signing_key}",
        *(f"flag {program} {flag}" for program, flag in flags),
        "end\n",
    ]
    return script("components", "control_plane.sh") + "\n".join(lines)
