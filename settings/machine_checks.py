"""Whether each machine can be a node, its user can become root, and there is one at all.

And whether SSH leads to one machine alone.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator

from settings.layer import ROOT
from settings.model import Machine, NodeSettings, Settings
from settings.problem import Problem


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each node with more addresses than a kubelet takes."""
    for machine in settings.machines():
        path, node = machine.path, machine.host
        if not isinstance(node, NodeSettings):
            continue
        families = Counter(ipaddress.ip_address(address).version for address in node.all_addresses)
        for family, count in families.items():
            if count > 1:
                yield Problem(
                    path,
                    f"has {count} IPv{family} addresses; a kubelet takes one IPv4 and one IPv6"
                    " address, so move the others to certificateAddresses, or remove them",
                )


def rollout_problems(settings: Settings) -> Iterator[Problem]:
    """Yield each canary that has more nodes than its pool."""
    for name, pool in settings.pools.items():
        if "canary" in pool.rollout.model_fields_set and 0 < len(pool.nodes) < pool.rollout.canary:
            yield Problem(
                f"pools.{name}.rollout.canary",
                f"{pool.rollout.canary} is more than the pool's nodes ({len(pool.nodes)}); give"
                " fewer",
            )


def destination_problems(settings: Settings) -> Iterator[Problem]:
    """Yield each `sshAddress` that leads to another machine too.

    Several ports of one address may lead to several machines, as several bastions may. Where none
    of two machines has an `sshAddress`, `claims` tells of their addresses.
    """
    first: dict[tuple[str, int, str], Machine] = {}
    for machine in settings.machines():
        if isinstance(machine.host, NodeSettings) and machine.host.force:
            continue
        other = first.setdefault(machine.destination, machine)
        # By one name they are one machine, or `claims` tells of that.
        if other.host.name == machine.host.name:
            continue
        given, taken = (machine, other) if machine.host.ssh_address else (other, machine)
        if given.host.ssh_address:
            yield Problem(
                f"{given.path}.sshAddress",
                f'"{given.host.ssh_address}" with the SSH port {given.ssh.port} is already used by'
                f" {taken.path}; give each machine an address or a port (ssh.port) of its own",
            )


def ssh_problems(settings: Settings) -> Iterator[Problem]:
    """Yield each setting of a user who is not root and has no sudo."""
    layers = dict(settings.ssh_layers())
    found: set[str] = set()
    for machine in settings.machines():
        if machine.ssh.user == ROOT or machine.ssh.sudo:
            continue
        group = machine.path.partition(".nodes")[0].partition(".hosts")[0]
        where = next(
            path
            for path in (f"{machine.path}.ssh", f"{group}.ssh", "ssh")
            if path in layers and "user" in layers[path].model_fields_set
        )
        if where not in found:
            found.add(where)
            yield Problem(
                f"{where}.user",
                f'"{machine.ssh.user}" is not root; set sudo to true beside it, and let the user'
                " run all commands with sudo without a password",
            )


def warnings(settings: Settings) -> Iterator[str]:
    """Yield what has no effect because there is no machine that it is for."""
    given = settings.control_plane
    if given.hosts:
        return
    for key, value in (("manage", given.manage), ("kubeApiQps", given.kube_api_qps)):
        if value:
            yield (
                f"controlPlane.{key} has no effect without controlPlane.hosts; list the machines,"
                " or remove it and set the flags yourself"
            )
