"""Whether the kubelets' settings fit the kubelets' versions and one another.

Each layer is checked on its own for the versions of the nodes that it applies to, and then merged
for each node. A problem is reported once, at the layer that causes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import node_files
from settings.layer import Layer, Model, PathSettings, merge_layers, without_nulls
from settings.model import NodeSettings, Settings
from settings.problem import Problem, one_line

FILES = ("config", "kubeconfig", "bootstrap_kubeconfig", "ca", "arguments", "unit")
# TotalAnnotationSizeLimitB, less what the gate notes there.
LARGEST_ANNOTATIONS = 200_000
# What a kubelet without a label of this name in --node-labels fills with its node's name
# (initialNode in pkg/kubelet/kubelet_node_status.go).
HOSTNAME, LONGEST_LABEL = "kubernetes.io/hostname", 63
# A kubelet with an external cloud provider sets it itself (initialNode).
UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized:NoSchedule"
OF_KUBELET = "the key and the effect of a taint that a kubelet with cloud-provider: external sets"
# Directories get the mode and the owner that a kubelet needs: 0700, and 0755 for those of files.
PRIVATE_DIRECTORIES = ("certificates", "manifests", "root")
SHARED_DIRECTORIES = ("kubeconfig", "bootstrap_kubeconfig", "ca", "config", "arguments", "unit")
NEVER_SHARED = frozenset({"", "/dev/shm", "/home", "/root", "/tmp", "/var/tmp"})  # noqa: S108
NEVER_PRIVATE = NEVER_SHARED | {
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/mnt", "/opt", "/proc", "/run", "/sbin"),
    *("/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share"),
    *("/var", "/var/lib", "/var/log", "/var/run", "/etc/default", "/etc/pki", "/etc/ssl"),
    *("/etc/ssl/certs", "/etc/ssl/private", "/etc/systemd", "/etc/systemd/system"),
}


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each problem with its path, each once."""
    found = (problem for chain in _chains(settings) for problem in _chain_problems(chain))
    yield from dict.fromkeys(found)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield, once each, warnings of settings without effect, or with another one than expected."""
    found = (warning for chain in _chains(settings) for warning in _chain_warnings(chain))
    yield from dict.fromkeys(found)


@dataclass(frozen=True)
class Chain:
    """The layers of a node, or of a pool without nodes, each with its path; the lowest first."""

    layers: tuple[tuple[str, Layer], ...]
    merged: Layer

    def path(self, name: str, key: str | None = None) -> str:
        """Return the path of a setting, or of a key in it, in the highest layer that has it."""
        for path, layer in reversed(self.layers):
            if name not in layer.model_fields_set:
                continue
            if key is None or key in getattr(layer, name):
                return _path(path, _key(name))
        return _path(self.layers[-1][0], _key(name))


def _chains(settings: Settings) -> Iterator[Chain]:
    if not settings.pools:
        yield Chain((("", settings),), merge_layers(settings))
    for pool_name, pool in settings.pools.items():
        below = (("", settings), (f"pools.{pool_name}", pool))
        shared = merge_layers(settings, pool)
        if not pool.nodes or pool.cloud_init:
            yield Chain(below, shared)
        for index, node in enumerate(pool.nodes):
            own = (f"pools.{pool_name}.nodes[{index}]", node)
            yield Chain((*below, own), merge_layers(shared, node))


def _chain_warnings(chain: Chain) -> Iterator[str]:
    version = chain.merged.version
    for path, layer in chain.layers:
        for field, why in node_files.warnings(layer.kubelet, version, defaults=False):
            yield f"{_path(path, f'kubelet.{field}')} {why}"
        for flag, why in node_files.flag_warnings(without_nulls(layer.flags), version):
            yield f"{_path(path, f'flags.{flag}')} {why}"
    if chain.merged.preset == "cis" and chain.merged.unit == "drop-in":
        yield (
            f"{chain.path('unit')} drop-in leaves the package's kubelet.service as it is; CIS 4.1.1"
            " asks for mode 0600, so run chmod 600 on it and on its drop-ins, or set unit to own"
        )


def _chain_problems(chain: Chain) -> Iterator[Problem]:
    merged = chain.merged
    kubelet = list(_kubelet_problems(chain))
    yield from kubelet or _merged_problems(chain)
    for path, layer in chain.layers:
        for name, problem in node_files.flag_problems(without_nulls(layer.flags), merged.version):
            yield _problem(_path(path, f"flags.{name}"), problem)
    flags = without_nulls(merged.flags)
    for name, problem in node_files.flag_conflicts(flags, merged.kubelet, merged.version):
        yield _problem(f"{chain.path('flags', name)}.{name}", problem)
    yield from _cloud_address_problems(chain, flags)
    since = node_files.WATCHDOG_SINCE
    if merged.watchdog_seconds and _minor(merged.version) < _minor(since):
        yield Problem(
            chain.path("watchdog_seconds"),
            f"is for kubelets of {since} and later, but this one is {merged.version}; set it to 0",
        )
    yield from _path_problems(chain)
    yield from _node_problems(chain)


def _cloud_address_problems(chain: Chain, flags: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what a kubelet with two addresses says of a cloud provider (ParseNodeIPArgument)."""
    node, gate, version = chain.layers[-1][1], "CloudDualStackNodeIPs", chain.merged.version
    if (
        not isinstance(node, NodeSettings)
        or len(node.all_addresses) < 2
        or not flags.get("cloud-provider")
    ):
        return
    on = node_files.versions.gate_is_on(gate, version, chain.merged.kubelet.get("featureGates"))
    if _minor(version) < _minor("1.27"):
        problem = f"but a kubelet of {version} takes one with a cloud provider; remove the other"
    elif _minor(version) < _minor("1.30") and not on:
        problem = f"which needs the feature gate {gate} in {version} with a cloud provider"
    else:
        return
    yield Problem(f"{chain.layers[-1][0]}.addresses", f"gives the node two addresses, {problem}")


def _node_problems(chain: Chain) -> Iterator[Problem]:
    """Yield what the API server takes of no Node (apimachinery's and core's validation)."""
    node, labels = chain.layers[-1][1], without_nulls(chain.merged.labels)
    if isinstance(node, NodeSettings) and len(node.name) > LONGEST_LABEL and HOSTNAME not in labels:
        yield Problem(
            f"{chain.layers[-1][0]}.name",
            f"has {len(node.name)} characters, but its kubelet gives it to the Node as the label"
            f" {HOSTNAME}, which takes {LONGEST_LABEL}; shorten it, or set that label in labels",
        )
    size = sum(len(f"{k}{v}".encode()) for k, v in without_nulls(chain.merged.annotations).items())
    if size > LARGEST_ANNOTATIONS:
        yield Problem(
            chain.path("annotations"),
            f"have {size} bytes together, but a Node takes {LARGEST_ANNOTATIONS}; shorten them",
        )
    yield from _taint_problems(chain)


def _taint_problems(chain: Chain) -> Iterator[Problem]:
    """Yield each taint whose key and effect another one has, as the API server takes only one."""
    is_external = without_nulls(chain.merged.flags).get("cloud-provider") == "external"
    seen = {UNINITIALIZED: f"{OF_KUBELET}; remove it"} if is_external else {}
    taints = list(chain.merged.taints or ())
    for index, taint in enumerate(taints):
        identity = node_files.key_and_effect(taint)
        if identity in seen and taint not in taints[:index]:  # the same twice is written once
            yield Problem(f"{chain.path('taints')}[{index}]", f'"{taint}" has {seen[identity]}')
        seen.setdefault(identity, f'the key and the effect of "{taint}"; remove one of them')


def _path_problems(chain: Chain) -> Iterator[Problem]:
    given = chain.merged.paths
    preset = node_files.PRESETS[chain.merged.preset or "default"].paths
    paths = {
        name: str(getattr(given, name) or getattr(preset, name))
        for name in (*FILES, *PRIVATE_DIRECTORIES)
    }
    for path, names in _shared(paths).items():
        yield Problem(
            chain.path("paths"),
            f'"{path}" is used for {" and ".join(names)}; give each a path of its own',
        )
    parents = {name: paths[name].rpartition("/")[0] for name in SHARED_DIRECTORIES}
    system = [name for name, directory in parents.items() if directory in NEVER_SHARED]
    system += [name for name in PRIVATE_DIRECTORIES if paths[name] in NEVER_PRIVATE]
    for name in system:
        yield Problem(
            chain.path("paths"),
            f'"{paths[name]}" would change the mode and the owner of a system directory; give a'
            " path in a directory that only the kubelet uses",
        )


def _shared(paths: dict[str, str]) -> dict[str, list[str]]:
    """Return each path that is used for two files, or a file and a directory, with its uses."""
    found: dict[str, list[str]] = {}
    for name, path in paths.items():
        found.setdefault(path, []).append(_key(name, PathSettings))
    files = {paths[name] for name in FILES}
    return {path: names for path, names in found.items() if len(names) > 1 and path in files}


def _kubelet_problems(chain: Chain) -> Iterator[Problem]:
    unsafe, own = chain.merged.unsafe or (), _own_values(chain.merged)
    for path, layer in chain.layers:
        if layer.kubelet:
            given = node_files.without_own(layer.kubelet, own)
            found = node_files.problems(given, chain.merged.version, unsafe, partial=True)
            for field, problem in found:
                yield _problem(_path(path, f"kubelet.{field}"), problem)


def _merged_problems(chain: Chain) -> Iterator[Problem]:
    merged = chain.merged
    fields = node_files.preset_fields(merged.preset or "default", merged.version)
    given = node_files.without_own(merged.kubelet, _own_values(merged))
    whole = node_files.merge_patches(fields, given)
    for field, problem in node_files.problems(whole, merged.version, merged.unsafe or ()):
        name = field.partition(".")[0].partition("[")[0]
        yield _problem(f"{chain.path('kubelet', name)}.{field}", problem)


def _problem(path: str, problem: str) -> Problem:
    return Problem(one_line(path), one_line(problem))


def _own_values(merged: Layer) -> dict[str, Any]:
    preset = node_files.PRESETS[merged.preset or "default"].paths
    endpoint = node_files.RUNTIME_ENDPOINTS[merged.runtime or "containerd"]
    return node_files.own_values(
        merged.paths.ca or preset.ca,
        merged.paths.manifests or preset.manifests,
        merged.runtime_endpoint or endpoint,
        merged.taints or (),
    )


def _key(name: str, model: type[Model] = Layer) -> str:
    return str(model.model_fields[name].alias)


def _path(parent: str, key: str) -> str:
    return f"{parent}.{key}" if parent else key


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
