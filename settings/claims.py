"""Who claims a name or an address: one node only, over all pools, and none the cluster's own.

A serving certificate may hold a node's names and addresses, so the gate and the resident approver
give one that two nodes claim to neither. Both ask the same table, `admission.claims`. What a value
may be is `formats`'s to say.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from admission.claims import Claims, claim, nobodys
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
    for index, address in enumerate(node.certificate_addresses):
        yield Claim(path=f"{path}.certificateAddresses[{index}]", value=address)
    for index, name in enumerate(node.dns_names):
        yield Claim(path=f"{path}.dnsNames[{index}]", value=name)


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each name and address that two machines claim, or that no node may have.

    A node with the name of a control-plane host, and its address, for SSH too, and its SSH port is
    that host.
    """
    hosts: list[Machine] = []
    taken: Claims[str] = Claims()  # by the path of the node
    for machine in settings.machines():
        if not isinstance(machine.host, NodeSettings):
            yield from _host_problems(machine, hosts)
            hosts.append(machine)
            continue
        twin = next((host for host in hosts if _is_same(host, machine)), None)
        own = [*claims(machine.path, machine.host)]
        for each in own:
            others = [
                host
                for host in hosts
                if host is not twin and each.value in (host.host.name, host.host.address)
            ]
            first = taken.first(each.value)
            if first is not None:
                yield Problem(each.path, f'"{each.value}" is already used by {first}')
            elif others:
                yield Problem(each.path, _used_by_host(each, others[0], machine))
            elif not machine.host.force:
                yield from _nobodys(each, settings)
        taken.add(machine.path, (each.value for each in own))
    for server in _servers(settings).values():
        yield from _server_problems(settings, server)


def control_plane_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the addresses of the control plane's machines that are no nodes.

    No serving certificate may hold them. A machine that is a node claims its own address in the
    inventory, which keeps it from every other node.
    """
    claimed = {
        claim(each.value)
        for machine in settings.machines()
        if isinstance(machine.host, NodeSettings)
        for each in claims(machine.path, machine.host)
    }
    found = {ipaddress.ip_address(host.address) for host in settings.control_plane.hosts} - claimed
    # The order of the hosts says only how they restart.
    return tuple(map(str, sorted(found, key=lambda address: address.packed)))


def server_hosts(settings: Settings, *servers: str) -> tuple[set[str], set[str]]:
    """Return the API server's names and its addresses: those of the settings' URLs and of these.

    No serving certificate may hold them, whoever approves it.
    """
    hosts = {*_servers(settings), *map(_host, servers)} - {""}
    names = {host for host in hosts if isinstance(claim(host), str)}
    return names, hosts - names


def server_problems(settings: Settings, server: str) -> Iterator[Problem]:
    """Yield each claim of the API server's own name or address, given by a URL.

    Those of the settings' own URLs are among `problems`.
    """
    if _host(server) not in _servers(settings):
        yield from _server_problems(settings, server)


def _servers(settings: Settings) -> dict[str, str]:
    """Return the URLs of the API server in the settings, by their hosts."""
    approver = settings.approver.server if settings.approver.enabled else None
    return {_host(url): url for url in (approver, settings.cluster.server) if url}


def _server_problems(settings: Settings, server: str) -> Iterator[Problem]:
    """Yield each claim of the name or the address in the API server's URL.

    Whoever has such a certificate can answer in the API server's place, so the gate and the
    resident approver refuse it. By hand (`approval.serving: manual`) it can be approved.
    """
    if settings.approval.serving == "manual":
        return
    host = claim(_host(server))
    for machine in settings.machines():
        if isinstance(machine.host, NodeSettings):
            for each in claims(machine.path, machine.host):
                if claim(each.value) == host:
                    yield Problem(
                        each.path,
                        f'"{each.value}" is the API server\'s ({server}), and a certificate for'
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
    return str(claim(host))


def _nobodys(given: Claim, settings: Settings) -> Iterator[Problem]:
    """Yield why no node may have a name or an address."""
    wanted = claim(given.value)
    why = nobodys(wanted)
    if isinstance(wanted, str):
        # Approved by hand, even such a name may be in a certificate.
        if why and settings.approval.serving != "manual":
            yield Problem(
                given.path,
                f'"{given.value}" is {why}, which no certificate of a node may hold; give the'
                " machine another name",
            )
        return
    if why:
        yield Problem(
            given.path,
            f'"{given.value}" is {why}, which no node may have; give the machine\'s own address',
        )
    for network in map(ipaddress.ip_network, settings.cluster.service_cidr):
        if wanted in network:
            yield Problem(
                given.path,
                f'"{given.value}" is in cluster.serviceCidr ({network}), whose addresses are for'
                " Services; give the machine's own address",
            )


def _host_problems(machine: Machine, hosts: list[Machine]) -> Iterator[Problem]:
    # Several ports of one address may lead to several machines, so only names are compared.
    for other in hosts:
        if other.host.name == machine.host.name:
            yield Problem(
                f"{machine.path}.name", f'"{machine.host.name}" is already used by {other.path}'
            )
            return


def _is_same(host: Machine, node: Machine) -> bool:
    one, other = (
        (machine.host.name, machine.host.address, machine.host.reached_at, machine.ssh.port)
        for machine in (host, node)
    )
    return one == other


def _used_by_host(given: Claim, host: Machine, node: Machine) -> str:
    used = f'"{given.value}" is already used by {host.path}'
    if host.host.name == node.host.name or host.host.address == node.host.address:
        at, all_of_it = f"port {host.ssh.port}", "its name, its address and its SSH port"
        if host.host.ssh_address or node.host.ssh_address:
            at = f"SSH at {host.host.reached_at}, {at}"
            all_of_it = "its name, its address, its sshAddress and its SSH port"
        used += (
            f" ({host.host.name}, {host.host.address}, {at}); a node that is this machine has"
            f" {all_of_it}"
        )
    return used
