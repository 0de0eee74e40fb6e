"""Who claims a name or an address: one node only, over all pools.

A serving certificate may hold a node's names and addresses, so the gate and the resident approver
give one that two nodes claim to neither. What a value may be is `formats`'s to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from settings.model import Machine, NodeSettings, Settings
from settings.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A name or an address of a node, and the path of the setting that gives it."""

    path: str
    value: str


def claims(path: str, node: NodeSettings) -> Iterator[Claim]:
    """Yield each name and address that the serving certificate of the node at `path` may hold.

    A machine that is gone asks for no certificate, so its node claims its name alone.
    """
    yield Claim(path=f"{path}.name", value=node.name)
    if node.force:
        return
    yield Claim(path=f"{path}.address", value=node.address)
    for index, address in enumerate(node.addresses):
        yield Claim(path=f"{path}.addresses[{index}]", value=address)
    for index, name in enumerate(node.dns_names):
        yield Claim(path=f"{path}.dnsNames[{index}]", value=name)


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each name and address that two machines claim, or a node and the approver's API server.

    A node with the name, the address and the SSH port of a control-plane host is that host.
    """
    hosts: list[Machine] = []
    taken: dict[str, str] = {}  # a node's name or address -> the path of the node
    for machine in settings.machines():
        if not isinstance(machine.host, NodeSettings):
            yield from _host_problems(machine, hosts)
            hosts.append(machine)
            continue
        twin = next((host for host in hosts if _is_same(host, machine)), None)
        for claim in claims(machine.path, machine.host):
            others = [
                host
                for host in hosts
                if host is not twin and claim.value in (host.host.name, host.host.address)
            ]
            first = taken.setdefault(claim.value, machine.path)
            if first != machine.path:
                yield Problem(claim.path, f'"{claim.value}" is already used by {first}')
            elif others:
                yield Problem(claim.path, _used_by_host(claim, others[0], machine))
    if settings.approver.enabled:
        yield from server_problems(settings, settings.approver.server or "")


def control_plane_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the addresses of the control plane's machines that are no nodes.

    No serving certificate may hold them. A machine that is a node claims its own address in the
    inventory, which keeps it from every other node.
    """
    claimed = {
        claim.value
        for machine in settings.machines()
        if isinstance(machine.host, NodeSettings)
        for claim in claims(machine.path, machine.host)
    }
    found = {host.address for host in settings.control_plane.hosts} - claimed
    # The order of the hosts says only how they restart.
    return tuple(sorted(found, key=lambda address: ip_address(address).packed))


def server_problems(settings: Settings, server: str) -> Iterator[Problem]:
    """Yield each claim of the API server's own name or address, given by its URL.

    Whoever has such a certificate can answer in the API server's place, so the gate and the
    resident approver refuse it. By hand (`approval.serving: manual`) it can be approved.
    """
    if settings.approval.serving == "manual":
        return
    host = _host(server)
    for machine in settings.machines():
        if isinstance(machine.host, NodeSettings):
            for claim in claims(machine.path, machine.host):
                if claim.value == host:
                    yield Problem(
                        claim.path,
                        f'"{claim.value}" is the API server\'s ({server}), and a certificate for'
                        " it would let a kubelet answer in its place; give the API server a name"
                        " or an address of its own (kubeadm's controlPlaneEndpoint), or leave"
                        " this out",
                    )


def _host(url: str) -> str:
    """Return a URL's host in the form that the settings have, or "" if it is not a URL."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.rstrip(".")


def _host_problems(machine: Machine, hosts: list[Machine]) -> Iterator[Problem]:
    # Several ports of one address may lead to several machines, so only names are compared.
    for other in hosts:
        if other.host.name == machine.host.name:
            yield Problem(
                f"{machine.path}.name", f'"{machine.host.name}" is already used by {other.path}'
            )
            return


def _is_same(host: Machine, node: Machine) -> bool:
    return (host.host.name, host.host.address, host.ssh.port) == (
        node.host.name,
        node.host.address,
        node.ssh.port,
    )


def _used_by_host(claim: Claim, host: Machine, node: Machine) -> str:
    used = f'"{claim.value}" is already used by {host.path}'
    if host.host.name == node.host.name or host.host.address == node.host.address:
        used += (
            f" ({host.host.name}, {host.host.address}, port {host.ssh.port}); a node that is this"
            " machine has its name, its address and its SSH port"
        )
    return used
