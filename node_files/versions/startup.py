"""What passes a kubelet's validation and still ends it at its start.

Sources: NewManager in pkg/kubelet/cm/cpumanager, memorymanager and topologymanager with their
policy_options.go. What depends on the machine, such as the
number of its CPUs, is not checked.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from node_files.versions import quantities, table
from node_files.versions.consistency import Configuration
from node_files.versions.nearest import hint

Problem = tuple[str, str]

# The versions that they are new in. Alpha ones are off without their gate.
CPU_OPTIONS = {
    "full-pcpus-only": "1.22",
    "distribute-cpus-across-numa": "1.23",
    "align-by-socket": "1.25",
    "distribute-cpus-across-cores": "1.31",
    "strict-cpu-reservation": "1.32",
    "prefer-align-cpus-by-uncorecache": "1.32",
}
ALPHA_CPU_OPTIONS = ("align-by-socket", "distribute-cpus-across-cores")
CPU_GATE = "CPUManagerPolicyAlphaOptions"
TOPOLOGY_OPTIONS = {"prefer-closest-numa-nodes": "1.26", "max-allowable-numa-nodes": "1.31"}
LEAST_NUMA_NODES = 8  # defaultMaxAllowableNUMANodes
BOOLEANS = [
    "1",
    "t",
    "T",
    "TRUE",
    "true",
    "True",
    "0",
    "f",
    "F",
    "FALSE",
    "false",
    "False",
]  # strconv.ParseBool


def problems(c: Configuration) -> Iterator[Problem]:
    """Yield the path and the problem of what ends a kubelet with this configuration."""
    for rule in (_cpu_manager, _topology_manager, _memory_manager):
        yield from rule(c)


def _cpu_manager(c: Configuration) -> Iterator[Problem]:
    path = "cpuManagerPolicyOptions"
    options = c[path] or {}
    if c["cpuManagerPolicy"] == "static":
        reserved = _reserved(c, "cpu")
        if not reserved and not c["reservedSystemCPUs"]:
            yield (
                "cpuManagerPolicy",
                "static needs CPUs that no pod gets for itself; set cpu in kubeReserved or"
                " systemReserved, or reservedSystemCPUs",
            )
    elif options:
        yield path, "are options of the static policy; set cpuManagerPolicy to static"
        return
    gates = c.given("featureGates") or {}
    for name, value in options.items():
        problem = _option_problem(name, CPU_OPTIONS, c.version)
        if problem is None and value not in BOOLEANS:
            problem = f'"{value}" is neither true nor false'
        if problem is None and name in ALPHA_CPU_OPTIONS:
            on = gates.get(CPU_GATE, gates.get("AllAlpha"))
            problem = None if on else f"needs the feature gate {CPU_GATE}; set it to true"
        if problem:
            yield f"{path}[{name}]", problem


def _topology_manager(c: Configuration) -> Iterator[Problem]:
    path = "topologyManagerPolicyOptions"
    if c["topologyManagerPolicy"] in (None, "", "none"):
        return  # which reads no options
    for name, value in (c[path] or {}).items():
        problem = _option_problem(name, TOPOLOGY_OPTIONS, c.version)
        if problem is None and name == "max-allowable-numa-nodes":
            if not (value.isascii() and value.isdigit() and int(value) >= LEAST_NUMA_NODES):
                problem = f'"{value}" is not a number of at least {LEAST_NUMA_NODES}'
        elif problem is None and value not in BOOLEANS:
            problem = f'"{value}" is neither true nor false'
        if problem:
            yield f"{path}[{name}]", problem


def _memory_manager(c: Configuration) -> Iterator[Problem]:
    if c["memoryManagerPolicy"] != "Static":
        return
    path = "reservedMemory"
    limits = [entry.get("limits") or {} for entry in c[path] or ()]
    given = sum(
        (
            quantities.quantity(str(each["memory"])) or Fraction()
            for each in limits
            if "memory" in each
        ),
        Fraction(),
    )
    if not given:
        yield (
            path,
            "is empty, but memoryManagerPolicy Static needs it; give memory of a NUMA node",
        )
        return
    evicted = _hard_eviction_of_memory(c)
    if evicted is None:
        return  # a share of the machine's memory
    wanted = _reserved(c, "memory") + evicted
    if given != wanted:
        yield (
            path,
            f"has {_mebibytes(given)} of memory in all, but kubeReserved, systemReserved and"
            f" evictionHard reserve {_mebibytes(wanted)} together; for memoryManagerPolicy Static"
            " both must be the same",
        )


def _hard_eviction_of_memory(c: Configuration) -> Fraction | None:
    hard = c["evictionHard"] or {}
    text = hard.get("memory.available")
    if text is None and c["mergeDefaultEvictionSettings"]:
        default = table.fields(c.version)["evictionHard"].default
        text = (default or {}).get("memory.available")
    if text is None:
        return Fraction()
    return None if str(text).endswith("%") else quantities.quantity(str(text))


def _reserved(c: Configuration, resource: str) -> Fraction:
    """Return how much of a resource is reserved; a null has removed what was."""
    maps = (c["kubeReserved"] or {}, c["systemReserved"] or {})
    amounts = (quantities.quantity(str(each.get(resource) or 0)) for each in maps)
    return sum((amount or Fraction() for amount in amounts), Fraction())


def _mebibytes(amount: Fraction) -> str:
    return f"{float(amount / 2**20):g}Mi"


def _option_problem(name: str, known: Mapping[str, str], version: str) -> str | None:
    since = known.get(name)
    if since is None:
        near = hint(name, known) or f"; those are {', '.join(known)}"
        return f"is not one of its options{near}"
    if table.number(version) < table.number(since):
        return f"is not one of its options in {version}; it was added in {since}"
    return None
