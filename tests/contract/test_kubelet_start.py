"""The settings are as strict as the kubelet at its start, and no stricter, except as listed here.

Thousands of configurations with one odd value each, and the real files and the flags of the unit
tests go through the kubelet's own code: decoder, validation, and what can end it after that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from node_files import Cluster, Node, versions
from node_files.kubelet_configuration import defaults, merge, to_yaml
from node_files.versions import extra_flags, rules
from settings import checks
from settings.parsing import parse
from tests.contract import judges, kubelet_modules, odd_values
from tests.unit import test_flag_values as flag_tables
from tests.unit import test_real_kubelet_files as real_files

pytestmark = pytest.mark.contract

# What depends on the machine that the judge runs on, or on the one that it makes up.
MACHINE = re.compile("cgroup v1|NUMA node 2 that does not exist|kubelet user assigned IDs length")
# What a kubelet takes and a user would not want, so the settings refuse it.
OURS = re.compile(
    "can't be overridden"  # a join relies on it, or it is another setting
    "|is not a field of"  # a kubelet only logs that it does not know it
    "|does not exist in"
    r"|\] is null; give"  # an empty value in a list
    r'|"-1n?s" is out of range'  # a negative time, which means none
    '|cpuCFSQuotaPeriod "(1|999)us" is out of range'  # no kernel takes less than 1ms
    r"|featureGates\[CSIMigrationvSphere\] is locked"  # in 1.26.0, but not later
    "|is not an IP address"  # clusterDNS is only logged, healthzBindAddress tried for ever
    "|qosReserved needs the feature gate"  # without it nothing is reserved
    r'|"(5%%|1_0%|NaN%|[iI]nf%)" is'  # read as a number by strconv.ParseFloat
)
# Gates that a later patch release than the table's added. The settings refuse them, because the
# releases before do not start with them.
_HTTP2, _WATCH = "UnauthenticatedHTTP2DOSMitigation", "WatchFromStorageWithoutResourceVersion"
ADDED = {
    "1.25": {_HTTP2},
    "1.26": {_HTTP2},
    "1.27": {_HTTP2, _WATCH},
    "1.28": {_HTTP2, _WATCH, "SeparateCacheWatchRPC"},
    "1.29": {_WATCH, "SeparateCacheWatchRPC"},
    "1.30": {
        *("OrderedNamespaceDeletion", "StrictCostEnforcementForVAP"),
        "StrictCostEnforcementForWebhooks",
    },
    "1.31": {"OrderedNamespaceDeletion"},
    "1.32": {"OrderedNamespaceDeletion"},
    "1.34": {"StatefulSetSemanticRevisionComparison"},
}
# Those that one switched off.
PATCHED = {
    *("MaxUnavailableStatefulSet", "SchedulerAsyncAPICalls", "SchedulerQueueingHints"),
    *("NewVolumeManagerReconstruction", "SELinuxMountReadWriteOncePod"),
    *("ServiceAccountNodeAudienceRestriction", "DisableNodeKubeProxyVersion"),
    *("APIServingWithRoutine", "CSIMigrationvSphere"),
    "LocalStorageCapacityIsolationFSQuotaMonitoring",
}
CLUSTER = Cluster(name="c", server="https://10.0.0.1:6443", ca_certificate="")


@dataclass(frozen=True)
class Verdicts:
    """What the kubelet and what the settings say, by the case's name."""

    version: str
    kubelet: Mapping[str, Any]
    settings: Mapping[str, list[str]]

    def refusals(self) -> dict[str, str]:
        """Return why the kubelet refuses each configuration, or nothing where it takes it."""
        said, started = self.kubelet["said"], self.kubelet["started"]
        return {name: said[name] or started[name] for name in said}


# Those that the lab does not build take minutes.
JUDGED = [
    pytest.param(version, marks=() if version in judges.KUBELETS else pytest.mark.long)
    for version in (*judges.KUBELETS, *kubelet_modules.RELEASES)
]


@pytest.fixture(scope="module", params=JUDGED)
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What is said of every case."""
    version = request.param
    documents = {name: written(given, version) for name, given in cases(version).items()}
    program = judges.build(version, tmp_path_factory.mktemp("kubelet_judge"))
    kubelet = judges.ask(program, documents, flags(version))
    return Verdicts(
        version, kubelet, {name: told(given, version) for name, given in cases(version).items()}
    )


def cases(version: str) -> dict[str, dict[str, Any]]:
    real = {f"file {name}": real_files.pasted(name) for name in real_files.REAL}
    return odd_values.cases(version) | real


def written(kubelet: Mapping[str, Any], version: str) -> str:
    """Return the file that the program would write if it refused nothing."""
    node = Node(name="n", addresses=("10.0.0.2",), version=version, kubelet=kubelet)
    host = {"failCgroupV1": False}  # whatever host the test runs on
    return to_yaml(merge(defaults(CLUSTER, node) | host, {**kubelet}))


def told(kubelet: Mapping[str, Any], version: str) -> list[str]:
    pools = {"w": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}}
    raw = {"kubernetesVersion": version, "kubelet": kubelet, "pools": pools}
    return [str(problem) for problem in checks.problems(parse(raw))]


def flags(version: str) -> dict[str, list[str]]:
    return {f"{name}={value}": [f"--{name}={value}"] for name, value, _ in values(version)}


def values(version: str) -> list[tuple[str, str, bool]]:
    tables = [flag_tables.VALUES, flag_tables.KLOG]
    if versions.SUPPORTED_VERSIONS.index(version) < versions.SUPPORTED_VERSIONS.index("1.37"):
        tables.append(flag_tables.CADVISOR)
    known = {*versions.flags(version), *extra_flags.LOGGING, *extra_flags.KLOG}
    return [
        (name, value, value in good)
        for table in tables
        for name, (good, bad) in table.items()
        for value in (*good, *bad)
        if name in known
    ]


def test_every_supported_version_is_judged() -> None:
    judged = {*judges.KUBELETS, *kubelet_modules.RELEASES}
    assert judged == {*versions.SUPPORTED_VERSIONS}


def test_what_ends_the_kubelet_the_settings_refuse(verdicts: Verdicts) -> None:
    missed = {
        name: why
        for name, why in verdicts.refusals().items()
        if why and not verdicts.settings[name] and not MACHINE.search(why)
    }
    assert missed == {}


def test_what_the_settings_refuse_ends_the_kubelet_or_is_listed(verdicts: Verdicts) -> None:
    too_strict = {
        name: problems
        for name, problems in verdicts.settings.items()
        if problems and not verdicts.refusals()[name]
        if not all(OURS.search(problem) for problem in problems)
    }
    assert too_strict == {}


def test_the_judge_refuses_and_takes_many(verdicts: Verdicts) -> None:
    refused = [name for name, why in verdicts.refusals().items() if why]
    started = [name for name, why in verdicts.kubelet["started"].items() if why]
    assert len(refused) > 1000
    assert len(started) > 200
    assert len(verdicts.refusals()) - len(refused) > 1000


def test_the_kubelet_has_the_gates_of_the_table(verdicts: Verdicts) -> None:
    real, table = verdicts.kubelet["gates"], versions.gates(verdicts.version)
    since = {name: versions.SUPPORTED_VERSIONS.index(at) for name, at in rules.OTHER_GATES.items()}
    at = versions.SUPPORTED_VERSIONS.index(verdicts.version)
    others = {name for name, first in since.items() if first <= at} - table.keys()
    assert real.keys() - table.keys() == others | ADDED.get(verdicts.version, set())
    assert table.keys() <= real.keys()
    for name in table.keys() - PATCHED:
        assert real[name] == {"default": table[name].default, "locked": table[name].locked}, name


def test_the_kubelet_takes_a_flags_values_as_the_table_says(verdicts: Verdicts) -> None:
    said = verdicts.kubelet["flags"]
    taken = {f"{name}={value}": right for name, value, right in values(verdicts.version)}
    assert {name: not said[name] for name in taken} == taken
