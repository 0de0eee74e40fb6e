"""What passes a kubelet's validation and still ends it at its start.

Sources: NewManager in pkg/kubelet/cm/cpumanager, memorymanager and topologymanager with their
policy_options.go. What depends on the machine, such as the
number of its CPUs, is not checked.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from node_files.versions import quantities, table
from node_files.versions.consistency import Configuration
from node_files.versions.flag_values import BOOLEANS
from node_files.versions.nearest import hint

Problem = tuple[str, str]

# The versions in which each is alpha, beta and stable; the first two need a gate.
NEVER = "1.99"
CPU_OPTIONS = {
    "full-pcpus-only": ("1.22", "1.23", "1.33"),
    "distribute-cpus-across-numa": ("1.23", "1.33", NEVER),
    "align-by-socket": ("1.25", NEVER, NEVER),
    "distribute-cpus-across-cores": ("1.31", NEVER, NEVER),
    "strict-cpu-reservation": ("1.32", "1.33", "1.35"),
    "prefer-align-cpus-by-uncorecache": ("1.32", "1.34", "1.36"),
}
TOPOLOGY_OPTIONS = {
    "prefer-closest-numa-nodes": ("1.26", "1.28", "1.32"),
    "max-allowable-numa-nodes": ("1.31", "1.31", "1.35"),
}
NONE_READS_NO_OPTIONS = "1.28"  # of the topology manager's policies
IPTABLES_LAST = "1.27"  # the last version that reads the bits
ID_BLOCK, ID_LIMIT = 2**16, 2**32  # of user IDs; the first block is the machine's own
LEAST_NUMA_NODES = 8  # defaultMaxAllowableNUMANodes
_NUMBER = re.compile(r"\A[+]?[0-9]{1,9}\Z")


def problems(c: Configuration) -> Iterator[Problem]:
    """Yield the path and the problem of what ends a kubelet with this configuration."""
    managers = (_cpu_manager, _topology_manager, _reserved_twice, _memory_manager)
    for rule in (*managers, _iptables, _user_namespaces):
        yield from rule(c)


def _cpu_manager(c: Configuration) -> Iterator[Problem]:
    path = "cpuManagerPolicyOptions"
    options = c[path] or {}
    if not c.gate_is_on("CPUManager"):
        return
    yield from _options_gate(c, path, "CPUManagerPolicyOptions")
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
    for name, value in options.items():
        problem = _option_problem(c, name, CPU_OPTIONS, "CPUManagerPolicy")
        if problem is None and value not in BOOLEANS:
            problem = f'"{value}" is neither true nor false'
        if problem:
            yield f"{path}[{name}]", problem


def _topology_manager(c: Configuration) -> Iterator[Problem]:
    path = "topologyManagerPolicyOptions"
    if not c.gate_is_on("TopologyManager"):
        return
    yield from _options_gate(c, path, "TopologyManagerPolicyOptions")
    is_new = table.number(c.version) >= table.number(NONE_READS_NO_OPTIONS)
    if c["topologyManagerPolicy"] in (None, "", "none") and is_new:
        return
    for name, value in (c[path] or {}).items():
        problem = _option_problem(c, name, TOPOLOGY_OPTIONS, "TopologyManagerPolicy")
        if problem is None and name == "max-allowable-numa-nodes":
            if not _NUMBER.match(value) or int(value) < LEAST_NUMA_NODES:
                problem = f'"{value}" is not a number of at least {LEAST_NUMA_NODES}'
        elif problem is None and value not in BOOLEANS:
            problem = f'"{value}" is neither true nor false'
        if problem:
            yield f"{path}[{name}]", problem


def _reserved_twice(c: Configuration) -> Iterator[Problem]:
    # validation_reserved_memory.go
    seen = set()
    for index, entry in enumerate(c["reservedMemory"] or ()):
        for kind in entry.get("limits") or {}:
            where = (entry.get("numaNode") or 0, kind)
            if where in seen:
                path = f"reservedMemory[{index}].limits[{kind}]"
                yield path, f"is a second one for NUMA node {where[0]}; give one"
            seen.add(where)


def _memory_manager(c: Configuration) -> Iterator[Problem]:
    if c["memoryManagerPolicy"] != "Static" or not c.gate_is_on("MemoryManager"):
        return
    path = "reservedMemory"
    limits = [entry.get("limits") or {} for entry in c[path] or ()]
    for kind in sorted({kind for each in limits for kind in each if kind != "memory"}):
        yield path, f"has {kind}, which nothing else can reserve; with Static a kubelet refuses it"
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


def _iptables(c: Configuration) -> Iterator[Problem]:
    # NewMainKubelet in pkg/kubelet/kubelet.go
    fields = ["iptablesDropBit", "iptablesMasqueradeBit"]
    bits = {c[path] for path in fields}
    if table.number(c.version) > table.number(IPTABLES_LAST) or not c["makeIPTablesUtilChains"]:
        return
    if len(bits) == 1:
        path, other = fields if c.given(fields[0]) is not None else fields[::-1]
        yield path, f"is {c[path]}, as is {other}; give another one"


def _user_namespaces(c: Configuration) -> Iterator[Problem]:
    # MakeUserNsManager in pkg/kubelet/userns, which reads idsPerPod and the gate since 1.35
    path, at, gate = "userNamespaces.idsPerPod", table.number(c.version), "UserNamespacesSupport"
    newer = at >= table.number("1.35")
    if at < table.number("1.30") or (newer and not c.gate_is_on(gate)):
        return
    ids = (newer and c[path]) or ID_BLOCK
    pods = c.given("maxPods") or table.fields(c.version)["maxPods"].default
    most = ID_LIMIT // ids - 1
    if pods <= most:
        return
    each = f"{most} pods with {ids} for each"
    if c.given("maxPods"):
        yield "maxPods", f"{pods} is too many: there are IDs for {each} user namespace"
    else:
        yield path, f"makes IDs for {each}, but maxPods is {pods}"


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


def _options_gate(c: Configuration, path: str, gate: str) -> Iterator[Problem]:
    # cmd/kubelet/app/server.go; no options at all are some here
    if c.given(path) is not None and not c.gate_is_on(gate):
        yield path, f"needs the feature gate {gate}, which is off; set it to true or leave it out"


def _option_problem(
    c: Configuration, name: str, known: Mapping[str, tuple[str, str, str]], policy: str
) -> str | None:
    if name not in known:
        near = hint(name, known) or f"; those are {', '.join(known)}"
        return f"is not one of its options{near}"
    at, (alpha, beta, stable) = table.number(c.version), map(table.number, known[name])
    if at < alpha:
        return f"is not one of its options in {c.version}; it was added in {known[name][0]}"
    gate = f"{policy}{'Alpha' if at < beta else 'Beta'}Options"
    if at >= stable or c.gate_is_on(gate):
        return None
    return f"needs the feature gate {gate} in {c.version}; set it to true"
