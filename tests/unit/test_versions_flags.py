"""Flags that a user adds: those that a version does not have or the program sets are refused."""

import pytest

from node_files import Node, versions
from node_files.systemd import arguments

LATEST = versions.SUPPORTED_VERSIONS[-1]

# Flag, version, and the start of the reason; "" where it may be.
FLAGS = [
    ("v", "1.24", ""),
    ("v", LATEST, ""),
    ("vmodule", LATEST, ""),
    ("provider-id", LATEST, ""),
    ("cloud-provider", "1.30", ""),
    ("cloud-provider", LATEST, '"x" was removed from the kubelet in 1.31; set it to external'),
    ("housekeeping-interval", LATEST, ""),
    ("runtime-cgroups", "1.34", ""),
    ("runtime-cgroups", "1.35", ""),
    ("--v", LATEST, "must be written without dashes: v"),
    ("root-dir", LATEST, "is set by the program"),
    ("node-labels", LATEST, "is set by the program; use labels"),
    ("container-runtime-endpoint", "1.24", "is set by the program; use runtimeEndpoint"),
    ("max-pods", LATEST, "is deprecated in favour of a field; set maxPods in kubelet"),
    ("event-qps", "1.24", "is deprecated in favour of a field; set eventRecordQPS in kubelet"),
    ("feature-gates", LATEST, "is deprecated in favour of a field; set featureGates in kubelet"),
    ("logging-format", LATEST, "is deprecated in favour of a field; set logging.format in kubelet"),
    ("cni-bin-dir", "1.24", "was removed in 1.24, so the kubelet does not start with it; set up"),
    ("dynamic-config-dir", "1.24", "was removed in 1.24"),
    ("logtostderr", "1.25", ""),
    ("log-dir", "1.26", "was removed in 1.26, so the kubelet does not start with it; logs go to"),
    ("container-runtime", "1.26", ""),
    ("container-runtime", "1.27", "was removed in 1.27"),
    ("config-dir", "1.27", "is not a flag of the kubelet in 1.27; it was added in 1.28"),
    ("config-dir", "1.28", "would let files on the machine change fields that the program checks"),
    ("fail-cgroupv1", "1.30", "is not a flag of the kubelet in 1.30; it was added in 1.31"),
    ("fail-cgroupv1", "1.31", ""),
    ("register-schedulable", "1.33", ""),
    ("register-schedulable", "1.34", "was removed in 1.34"),
    ("pod-infra-container-image", "1.34", ""),
    ("pod-infra-container-image", "1.35", "was removed in 1.35, so the kubelet does not start"),
    ("azure-container-registry-config", "1.24", ""),
    ("azure-container-registry-config", "1.29", ""),
    ("azure-container-registry-config", "1.30", "was removed in 1.30, so the kubelet does not"),
    ("containerd", "1.36", ""),
    ("global-housekeeping-interval", "1.37", "was removed in 1.37"),
    ("cloud-provder", LATEST, "is not a flag of the kubelet in 1.37; did you mean cloud-provider?"),
]

RIGHT = {
    "v": "4", "vmodule": "a=4", "housekeeping-interval": "10s", "logtostderr": "true",
    "fail-cgroupv1": "false", "register-schedulable": "false",
}  # fmt: skip


@pytest.mark.parametrize(("name", "version", "reason"), FLAGS)
def test_a_flag_is_taken_or_refused_with_what_to_do(name: str, version: str, reason: str) -> None:
    said = dict(versions.flag_problems({name: RIGHT.get(name, "x")}, version))
    assert (name in said) == bool(reason)
    assert said.get(name, "").startswith(reason)


def test_a_flag_at_its_end_is_reported() -> None:
    said = dict(versions.flag_warnings({"pod-infra-container-image": "x", "v": "2"}, "1.34"))
    assert said == {
        "pod-infra-container-image": "is deprecated; 1.34 is the last version that has it;"
        " set the sandbox image in the container runtime"
    }


def test_flags_come_last_and_in_order() -> None:
    node = Node(name="n", addresses=("10.0.0.1",), flags={"vmodule": "a=2", "v": "4"})
    assert arguments(node)[-2:] == ("--v=4", "--vmodule=a=2")


def test_a_wrong_flag_of_a_node_is_an_error() -> None:
    node = Node(name="n", addresses=("10.0.0.1",), flags={"network-plugin": "cni"})
    with pytest.raises(ValueError, match=r"the kubelet flag network-plugin was removed in 1\.24"):
        arguments(node)


def test_a_flags_value_that_needs_quoting_is_an_error() -> None:
    node = Node(name="n", addresses=("10.0.0.1",), flags={"lock-file": "/a b"})
    with pytest.raises(ValueError, match="give a value without them"):
        arguments(node)
