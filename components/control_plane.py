"""The flags that TLS bootstrapping needs on each machine of the control plane.

Flags: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
`bootstrapsigner` and `tokencleaner` are off by default in kube-controller-manager.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components import commands
from components.access import Access
from components.dependencies import Dependencies, unless_failed
from node_files import command, script

API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
LIMIT_S = 400
SCRIPTS = ("control_plane_flags.sh", "control_plane_unit.sh", "control_plane.sh")


@dataclass(frozen=True, kw_only=True)
class ControlPlaneArgs:
    """The machines of the control plane, and what may be done to them."""

    hosts: Mapping[str, Access]
    """How to reach each machine, by its name, in the order in which they may restart."""
    manage: bool
    """Whether to add missing flags; otherwise they are only reported."""
    signing_certificate: str
    """The path, on those machines, of the CA that kube-controller-manager signs with."""
    signing_key: str
    """The path of its key."""
    kube_api_qps: int | None = None
    """How many requests a second kube-controller-manager may make; None: what it has."""


class ControlPlane(pulumi.ComponentResource):
    """One command for each host, one after the other, so that one API server always answers.

    If flags are missing and may not be added, the command fails and names them.
    """

    ready: Dependencies
    """What to depend on: the hosts that have what is needed, if there is one."""

    def __init__(
        self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kubelet-tls-bootstrap:index:ControlPlane", name, None, opts)
        hosts: list[pulumi.Resource] = []
        for host, access in args.hosts.items():
            flags = commands.on_host(
                f"{host}-flags",
                access,
                create=command(LIMIT_S, "install"),
                delete=command(LIMIT_S, "remove") if args.manage else None,
                stdin=control_plane_input(
                    host,
                    manage=args.manage,
                    signing_certificate=args.signing_certificate,
                    signing_key=args.signing_key,
                    kube_api_qps=args.kube_api_qps,
                ),
                # A failed host must not stop the next one. A program that does not come up with new
                # flags gets its previous ones back, so one API server still answers.
                opts=pulumi.ResourceOptions(parent=self, depends_on=unless_failed(hosts[-1:])),
            )
            hosts.append(flags)
        self.ready = unless_failed(hosts)
        self._hosts = tuple(args.hosts)
        self.register_outputs({"hosts": list(args.hosts)})

    async def require_a_host(self) -> None:
        """Return once the hosts are looked at: one that is down must not keep nodes out.

        The resources of a provider can't depend on a failed one: the SDK would end the program with
        a traceback.

        Raises:
            RunError: all hosts have failed.
        """
        if self._hosts and await self.ready.future() == []:
            raise pulumi.RunError(
                f"the control plane ({', '.join(self._hosts)}) is not ready for nodes, for the"
                " reasons above; nothing else was changed"
            )


def control_plane_input(
    host: str,
    *,
    manage: bool,
    signing_certificate: str,
    signing_key: str,
    kube_api_qps: int | None = None,
) -> str:
    """Return the command's stdin: the script, and the flags that a host's programs need."""
    flags = [
        (API_SERVER, "--enable-bootstrap-token-auth=true"),
        (CONTROLLER_MANAGER, f"--cluster-signing-cert-file={signing_certificate}"),
        (CONTROLLER_MANAGER, f"--cluster-signing-key-file={signing_key}"),
        (CONTROLLER_MANAGER, "--controllers=*,bootstrapsigner,tokencleaner"),
    ]
    if kube_api_qps is not None:
        # The burst as the defaults have it, 20 and 30.
        rates = {"qps": kube_api_qps, "burst": kube_api_qps * 3 // 2}
        flags += [(CONTROLLER_MANAGER, f"--kube-api-{key}={rate}") for key, rate in rates.items()]
    lines = [
        f"host {host}",
        f"manage {str(manage).lower()}",
        *(f"flag {program} {flag}" for program, flag in flags),
        "end\n",
    ]
    return script("components", *SCRIPTS) + "\n".join(lines)
