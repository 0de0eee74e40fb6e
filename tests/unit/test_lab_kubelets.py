"""Which kubelet a node of the lab gets: what is asked for, what is there, and what is refused."""

import json
from pathlib import Path

import pytest

from lab import kubelets, toolchain
from lab.errors import LabError
from lab.layout import Layout
from lab.machine import Machine

OLDER = next(iter(toolchain.KUBELETS))


def machine(directory: Path, **record: str) -> Machine:
    """A node with a disk, of which this is remembered."""
    node = Machine("node-3", "10.98.0.13", Layout(directory, directory / "cache"))
    node.directory.mkdir(parents=True)
    (node.directory / "machine.json").write_text(json.dumps({"layers": [], **record}))
    return node


def test_a_version_is_asked_for_by_node() -> None:
    assert kubelets.asked_for(["node-3=1.35", "node-12=1.37"]) == {3: "1.35", 12: "1.37"}
    assert kubelets.asked_for([]) == {}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("1.35", "does not start with node-1= to node-200="),
        ("cp-1=1.35", "does not start with"),
        ("node-0=1.35", "does not start with"),
        ("node-201=1.35", "does not start with"),
        ("node-3=1.20", "the lab has no kubelet '1.20'"),
        ("node-3=1.35.8", "the lab has no kubelet '1.35.8'"),
        ("node-3=", "the lab has no kubelet ''"),
    ],
)
def test_an_option_of_another_form_is_refused(option: str, said: str) -> None:
    with pytest.raises(LabError) as refused:
        kubelets.asked_for(["node-1=1.37", option])
    assert said in str(refused.value)


def test_a_machine_with_that_kubelet_is_fine(tmp_path: Path) -> None:
    kubelets.check(machine(tmp_path, kubelet=OLDER), OLDER)


def test_a_machine_that_is_not_there_is_fine(tmp_path: Path) -> None:
    missing = Machine("node-4", "10.98.0.14", Layout(tmp_path, tmp_path / "cache"))
    kubelets.check(missing, OLDER)


@pytest.mark.parametrize("record", [{"kubelet": kubelets.DEFAULT}, {}])
def test_a_machine_with_another_kubelet_is_refused(tmp_path: Path, record: dict[str, str]) -> None:
    with pytest.raises(LabError) as refused:
        kubelets.check(machine(tmp_path, **record), OLDER)
    assert f"node-3 already exists with kubelet {kubelets.DEFAULT}" in str(refused.value)


def test_a_kubelet_that_is_not_built_is_not_found(tmp_path: Path) -> None:
    assert [kubelets.find(tmp_path, version) for version in kubelets.VERSIONS] == [None] * len(
        kubelets.VERSIONS
    )


def test_a_built_kubelet_is_found_for_its_version_alone(tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "node/usr/bin").mkdir(parents=True)
        (directory / "node/usr/bin/kubelet").write_text("a program\n")

    path = toolchain.KUBELETS[OLDER].entry(tmp_path).ensure(build, thorough=True)
    assert kubelets.find(tmp_path, OLDER) == (path / "node",)
    assert kubelets.find(tmp_path, kubelets.DEFAULT) is None


@pytest.mark.parametrize("version", toolchain.OLDER_KUBELETS)
def test_a_module_pins_the_version_that_its_kubelet_reports(version: str) -> None:
    module = toolchain.MODULES / f"kubelet-{toolchain.minor_version(version)}/go.mod"
    staging = version.replace("1.", "0.", 1)
    lines = [line.strip() for line in module.read_text().splitlines()]
    assert f"k8s.io/kubernetes v{version}" in lines
    replaced = [line for line in lines if " => " in line]
    assert len(replaced) > 25
    assert all(line.endswith(f" v{staging}") for line in replaced)
