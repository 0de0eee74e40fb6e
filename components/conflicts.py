"""What is wrong with settings that are right each by itself.

What is said of kubelets is looked at layer by layer, each for the versions of the nodes that it
reaches, and then as it is merged for a node. A fault is told once, at the layer that brings it.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import node_files
from components.approval_conflicts import approval_conflicts
from components.layers import ROOT, Layer, merged, without_nulls
from components.problems import Problem

if TYPE_CHECKING:
    from components.settings import Settings

FILES = ("config", "kubeconfig", "bootstrap_kubeconfig", "ca", "arguments", "unit")
# Directories get the mode and the owner that a kubelet needs: 0700, and 0755 for those of files.
PRIVATE_DIRECTORIES = ("certificates", "manifests", "root")
SHARED_DIRECTORIES = ("kubeconfig", "bootstrap_kubeconfig", "ca", "arguments")
NEVER_SHARED = frozenset({"", "/dev/shm", "/home", "/root", "/tmp", "/var/tmp"})  # noqa: S108
NEVER_PRIVATE = NEVER_SHARED | {
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/mnt", "/opt", "/proc", "/run", "/sbin"),
    *("/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share"),
    *("/var", "/var/lib", "/var/log", "/var/run", "/etc/default", "/etc/pki", "/etc/ssl"),
    *("/etc/ssl/certs", "/etc/ssl/private", "/etc/systemd", "/etc/systemd/system"),
}


def conflicts(settings: "Settings") -> Iterator[Problem]:
    """Yield each fault with its path, each once."""
    yield from _machine_problems(settings)
    yield from approval_conflicts(settings)
    for pool_name, pool in settings.pools.items():
        if pool.cloud_init and pool.cloud_init.with_token and settings.token.after_join == "revoke":
            yield Problem(
                f"pools.{pool_name}.cloudInit.withToken",
                "can't be with token.afterJoin revoke, which ends the token before a machine could"
                " use it; set that to expire, or leave withToken out and bring the token yourself",
            )
    found = (problem for chain in _chains(settings) for problem in _chain_problems(chain))
    yield from dict.fromkeys(found)
    yield from dict.fromkeys(_ssh_problems(settings))


def advice(settings: "Settings") -> Iterator[Problem]:
    """Yield what is accepted, but has no effect or is said in vain; each once."""
    found = (problem for chain in _chains(settings) for problem in _chain_advice(chain))
    yield from dict.fromkeys(found)


def _chain_advice(chain: "Chain") -> Iterator[Problem]:
    for place, layer in chain.layers:
        for path, why in node_files.warnings(layer.kubelet, chain.together.version, defaults=False):
            yield Problem(_path(place, f"kubelet.{path}"), why)
        for name, why in node_files.flag_warnings(
            without_nulls(layer.flags), chain.together.version
        ):
            yield Problem(_path(place, f"flags.{name}"), why)


def _machine_problems(settings: "Settings") -> Iterator[Problem]:
    nodes = [
        (f"pools.{pool_name}.nodes[{index}]", node)
        for pool_name, pool in settings.pools.items()
        for index, node in enumerate(pool.nodes)
    ]
    hosts = [(place, host) for place, host, _ in settings.hosts()]
    control_plane = {host.address for host in settings.control_plane.hosts}
    names = Counter(host.name for _, host in hosts)
    addresses = Counter([*control_plane, *(a for _, node in nodes for a in node.all_addresses)])
    service_network = ipaddress.ip_network(settings.cluster.service_cidr)
    for path, node in nodes:
        for address in node.all_addresses:
            if ipaddress.ip_address(address) in service_network:
                yield Problem(path, f'address "{address}" is one of cluster.serviceCidr')
        families = Counter(ipaddress.ip_address(a).version for a in node.all_addresses)
        if max(families.values()) > 1:
            yield Problem(path, "has two addresses of one family; a kubelet takes one of each")
    for path, host in hosts:
        if names[host.name] > 1:
            yield Problem(f"{path}.name", f'"{host.name}" is there twice; names are unique')
        if addresses[host.address] > 1:
            yield Problem(f"{path}.address", f'"{host.address}" is there twice')


@dataclass(frozen=True)
class Chain:
    """The layers of a node, or of a pool without any, each with its place; the lowest first."""

    layers: tuple[tuple[str, Layer], ...]
    together: Layer

    def place(self, name: str, key: str | None = None) -> str:
        """Return the path of a setting, or of a key in it, in the highest layer that has it."""
        for place, layer in reversed(self.layers):
            if name not in layer.model_fields_set:
                continue
            if key is None or key in getattr(layer, name):
                return _path(place, _key(name))
        return _path(self.layers[-1][0], _key(name))


def _chains(settings: "Settings") -> Iterator[Chain]:
    if not settings.pools:
        yield Chain((("", settings),), merged(settings))
    for pool_name, pool in settings.pools.items():
        below = (("", settings), (f"pools.{pool_name}", pool))
        shared = merged(settings, pool)
        if not pool.nodes or pool.cloud_init:
            yield Chain(below, shared)
        for index, node in enumerate(pool.nodes):
            own = (f"pools.{pool_name}.nodes[{index}]", node)
            yield Chain((*below, own), merged(shared, node))


def _chain_problems(chain: Chain) -> Iterator[Problem]:
    together = chain.together
    kubelet = list(_kubelet_problems(chain))
    yield from kubelet or _merged_problems(chain)
    for place, layer in chain.layers:
        for name, fault in node_files.flag_problems(without_nulls(layer.flags), together.version):
            yield Problem(_path(place, f"flags.{name}"), fault)
    since = node_files.WATCHDOG_SINCE
    if together.watchdog_seconds and _minor(together.version) < _minor(since):
        yield Problem(
            chain.place("watchdog_seconds"),
            f"is for kubelets since {since}, and here one is {together.version}; set it to 0",
        )
    yield from _path_problems(chain)


def _path_problems(chain: Chain) -> Iterator[Problem]:
    said, preset = (
        chain.together.paths,
        node_files.PRESETS[chain.together.preset or "default"].paths,
    )
    listed = {
        name: str(getattr(said, name) or getattr(preset, name))
        for name in (*FILES, *PRIVATE_DIRECTORIES)
    }
    for path, count in Counter(listed[name] for name in FILES).items():
        if count > 1:
            yield Problem(chain.place("paths"), f'"{path}" is there for {count} files')
    for name in PRIVATE_DIRECTORIES:
        if listed[name] in (listed[file] for file in FILES):
            yield Problem(chain.place("paths"), f'"{listed[name]}" is there for a file and {name}')
    parents = {name: listed[name].rpartition("/")[0] for name in SHARED_DIRECTORIES}
    system = [name for name, directory in parents.items() if directory in NEVER_SHARED]
    system += [name for name in PRIVATE_DIRECTORIES if listed[name] in NEVER_PRIVATE]
    for name in system:
        yield Problem(
            chain.place("paths"),
            f'"{listed[name]}" would give a directory of the system another mode and owner; give a'
            " path in a directory of the kubelet's own",
        )


def _kubelet_problems(chain: Chain) -> Iterator[Problem]:
    unsafe = chain.together.unsafe or ()
    for place, layer in chain.layers:
        if layer.kubelet:
            found = node_files.problems(layer.kubelet, chain.together.version, unsafe, partial=True)
            for path, fault in found:
                yield Problem(_path(place, f"kubelet.{path}"), fault)


def _merged_problems(chain: Chain) -> Iterator[Problem]:
    together = chain.together
    fields = node_files.preset_fields(together.preset or "default", together.version)
    whole = node_files.combine(fields, together.kubelet)
    for path, fault in node_files.problems(whole, together.version, together.unsafe or ()):
        name = path.partition(".")[0].partition("[")[0]
        yield Problem(f"{chain.place('kubelet', name)}.{path}", fault)


def _ssh_problems(settings: "Settings") -> Iterator[Problem]:
    said = dict(settings.ssh_layers())
    for place, _, ssh in settings.hosts():
        if ssh.user == ROOT or ssh.sudo:
            continue
        pool = place.partition(".nodes")[0].partition(".hosts")[0]
        layers = [f"{place}.ssh", f"{pool}.ssh", "ssh"]
        where = next(
            layer for layer in layers if layer in said and "user" in said[layer].model_fields_set
        )
        yield Problem(
            f"{where}.user",
            f'"{ssh.user}" is not root; set sudo to true beside it, for which the user must be'
            " allowed to run all commands by sudo without a password",
        )


def _key(name: str) -> str:
    return str(Layer.model_fields[name].alias)


def _path(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
