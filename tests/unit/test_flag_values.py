"""A flag's value is told before a kubelet ends with it: what Go takes, and nothing else."""

from typing import Any

import pytest

from node_files import Node, versions
from node_files.systemd import arguments
from node_files.versions import flag_values
from settings import checks
from settings.parsing import parse

# Flag, the values that it takes, and those with which a kubelet ends. The contract tests give each
# of them to the kubelet's own flags.
VALUES: dict[str, tuple[list[str], list[str]]] = {
    "seccomp-default": (
        ["1", "t", "T", "true", "True", "TRUE", "0", "f", "F", "false", "False", "FALSE"],
        ["", "yes", "no", "on", "tRue", "2", "y", "+1", "01"],
    ),
    "fail-cgroupv1": (["true", "F"], ["", "x"]),
    "exit-on-lock-contention": (["false"], ["never"]),
    "experimental-allocatable-ignore-eviction": (["T"], ["YES"]),
    "minimum-container-ttl-duration": (
        ["0", "0s", "1h30m", "1.5h", ".5s", "+1m", "300ms", "1us", "1h0m0s", "00s"],
        ["", "1", "1d", "1h 30m", "h", "1H", "-", "1e3s", "9999999h", "s", "1_0s", "0x1s"],
    ),
    "housekeeping-interval": (["10s", "0", "-1s"], ["10", "", "ten"]),
    "log-flush-frequency": (["5s", "1ns"], ["5", "", "now"]),
    "maximum-dead-containers": (
        ["-1", "0", "+5", "2147483647", "-2147483648", "0x10", "0X1f", "0b11", "0o17", "017",
         "1_000", "0x_f", "0_7", "0b_1", "00", "0xb0"],
        ["", "2147483648", "-2147483649", "1.0", "1e3", "ten", "0x", "0b2", "08", "1__0", "_1",
         "1_", "--1", "+", "1k", "0_", "9" * 5000],
    ),
    "maximum-dead-containers-per-container": (["2"], ["two", "4294967296"]),
    "v": (
        ["0", "4", "10", "007", "2147483647", "0" * 20 + "1"],
        ["", "-1", "+1", "2147483648", "4.0", "0x4", "1_0", "true", "INFO", "9" * 5000],
    ),
    "vmodule": (
        ["", "a=4", "a=4,b=2", "kubelet*=4", "a=1,", ",,", "pkg/kubelet/*=2", "[a-z]?=0", "@=1"],
        ["a", "a=", "=4", "a=x", "a=-1", "a=1=2", "a=4 ,b", "a=0x4", "a=2147483648", "a:4"],
    ),
    "cloud-provider": (["", "external"], []),
    "lock-file": (["", "/run/kubelet.lock"], []),
    "experimental-mounter-path": (["", "anything"], []),
    "runtime-cgroups": (["", "/system.slice/containerd.service"], []),
    "image-credential-provider-config": (["", "/a"], []),
}  # fmt: skip
# cAdvisor's, which kubelets had until 1.36.
CADVISOR: dict[str, tuple[list[str], list[str]]] = {
    "application-metrics-count-limit": (
        ["100", "-1", "0x7f", "9223372036854775807"], ["", "many", "9223372036854775808"],
    ),
    "enable-load-reader": (["true"], ["maybe"]),
    "global-housekeeping-interval": (["1m"], ["1", ""]),
    "log-cadvisor-usage": (["f"], ["nil"]),
    "storage-driver-buffer-duration": (["0", "1m0s", "-1s"], ["60"]),
    "storage-driver-secure": (["0"], ["off"]),
    "storage-driver-db": (["", "x"], []),
    "event-storage-age-limit": (["", "default=x"], []),
    "machine-id-file": (["/a,/b"], []),
}  # fmt: skip
# klog's, which kubelets had until 1.25.
KLOG: dict[str, tuple[list[str], list[str]]] = {
    "add-dir-header": (["true"], ["1.0"]),
    "alsologtostderr": (["true"], ["stderr"]),
    "logtostderr": (["false"], [""]),
    "one-output": (["T"], ["one"]),
    "skip-headers": (["true"], ["-"]),
    "skip-log-headers": (["1"], ["2"]),
    "log-file-max-size": (
        ["0", "1800", "0x10", "18446744073709551615"],
        ["", "-1", "+1", "1G", "18446744073709551616"],
    ),
    "stderrthreshold": (
        ["INFO", "warning", "Error", "FATAL", "2", "-1", "+3", "02", "2147483647"],
        ["", "DEBUG", "1.0", "0x2", "2147483648"],
    ),
    "log-backtrace-at": (
        ["", "kubelet.go:123", ".:1", "a.b.c:+7", "a.go:007"],
        ["kubelet.go", "kubelet:1", "a.go:0", "a.go:-1", "a.go:x", "a.go:1:2", ":1", ":"],
    ),
    "log-dir": (["", "/var/log"], []),
    "log-file": (["", "/var/log/kubelet"], []),
}  # fmt: skip
# Parsed, but a kubelet does not live with it: time.NewTicker and NewContainerGC.
LATER = [
    ("minimum-container-ttl-duration", "-1s", '"-1s" is negative'),
    ("log-flush-frequency", "0", '"0" is not more than 0s'),
    ("log-flush-frequency", "-5s", '"-5s" is not more than 0s'),
    ("global-housekeeping-interval", "0s", '"0s" is not more than 0s'),
]

ALL = [
    (name, value, version, right)
    for table, version in ((VALUES, "1.37"), (VALUES, "1.31"), (CADVISOR, "1.36"), (KLOG, "1.25"))
    for name, (good, bad) in table.items()
    for value, right in [*((v, True) for v in good), *((v, False) for v in bad)]
]


@pytest.mark.parametrize(("name", "value", "version", "right"), ALL)
def test_a_value_is_taken_as_go_takes_it(name: str, value: str, version: str, right: bool) -> None:
    said = dict(versions.flag_problems({name: value}, version))
    assert (said == {}) == right
    if not right:
        assert (f'"{value}"' in said[name]) or value in said[name] or name == "vmodule"


@pytest.mark.parametrize(("name", "value", "problem"), LATER)
def test_a_value_that_ends_a_kubelet_later_is_told(name: str, value: str, problem: str) -> None:
    assert dict(versions.flag_problems({name: value}, "1.36")) == {name: problem}


def test_each_flag_that_may_be_set_has_its_values_in_the_table() -> None:
    tables = VALUES | CADVISOR | KLOG
    checked = {"register-schedulable", "keep-terminated-pod-volumes"}  # gone before 1.35
    assert set(flag_values._CHECKS) <= tables.keys() | checked
    assert dict(versions.flag_problems(dict.fromkeys(checked, "x"), "1.30")).keys() == checked


NUMBERS = {"0": 0, "-0": 0, "0xb0": 176, "-0x_ff": -255, "010": 8, "0b101": 5, "1_2_3": 123}


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_read_as_go_reads_it(text: str) -> None:
    assert flag_values.integer(text) == NUMBERS[text]


def told(version: str = "1.37", **layer: Any) -> list[str]:
    pools = {"w": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}}
    raw = {"kubernetesVersion": version, "pools": pools} | layer
    return [str(problem) for problem in checks.problems(parse(raw))]


GATE = "flags.seccomp-default needs the feature gate SeccompDefault, which is off in 1.24;"
TOGETHER: list[tuple[dict[str, Any], str, str]] = [
    ({"flags": {"v": 4, "seccomp-default": True, "log-flush-frequency": "5s"}}, "1.37", ""),
    ({"flags": {"v": 4.5}}, "1.37", 'flags.v "4.5" is not a verbosity such as 4'),
    ({"flags": {"fail-cgroupv1": 0}}, "1.37", ""),
    ({"flags": {"vmodule": "kubelet*=4"}}, "1.37", ""),
    ({"flags": {"vmodule": "a=4"}, "kubelet": {"logging": {"format": "text"}}}, "1.37", ""),
    ({"flags": {"vmodule": ""}, "kubelet": {"logging": {"format": "json"}}}, "1.37", ""),
    (
        {"flags": {"vmodule": "a=4"}, "kubelet": {"logging": {"format": "json"}}},
        "1.37",
        "flags.vmodule works only with the text format, but kubelet.logging.format is json",
    ),
    ({"flags": {"exit-on-lock-contention": True, "lock-file": "/run/lock"}}, "1.37", ""),
    ({"flags": {"exit-on-lock-contention": False}}, "1.37", ""),
    (
        {"flags": {"exit-on-lock-contention": "T"}},
        "1.37",
        "flags.exit-on-lock-contention needs lock-file too",
    ),
    ({"flags": {"seccomp-default": True}}, "1.25", ""),
    ({"flags": {"seccomp-default": False}}, "1.24", ""),
    ({"flags": {"seccomp-default": True}}, "1.24", GATE),
    (
        {"flags": {"seccomp-default": 1}, "kubelet": {"featureGates": {"SeccompDefault": True}}},
        "1.24",
        "",
    ),
    (
        {"flags": {"seccomp-default": True}, "kubelet": {"featureGates": {"AllAlpha": True}}},
        "1.24",
        "",
    ),
]


@pytest.mark.parametrize(("layer", "version", "expected"), TOGETHER)
def test_what_flags_need_of_one_another_and_of_fields_is_told(
    layer: dict[str, Any], version: str, expected: str
) -> None:
    found = told(version, **layer)
    assert len(found) == bool(expected), found
    assert all(text.startswith(expected) for text in found)


def test_a_file_pattern_reaches_the_kubelet_as_it_is() -> None:
    node = Node(name="n", addresses=("10.0.0.1",), flags={"vmodule": "kubelet*=4,[a-z]?=2"})
    assert arguments(node)[-1] == "--vmodule=kubelet*=4,[a-z]?=2"
