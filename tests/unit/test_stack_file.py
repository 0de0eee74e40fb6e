"""A stack's settings file, read as the engine reads it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from settings.problem import SettingsError
from stack import file
from stack.file import StackFile

NODES = {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}


@pytest.fixture(autouse=True)
def _leaves_no_keys() -> Iterator[None]:
    """What is read becomes the keys of this process."""
    yield
    pulumi.runtime.set_all_config({})


def read(directory: Path, config: dict[Any, Any]) -> StackFile:
    (directory / "Pulumi.yaml").write_text("name: p\n")
    (directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    return file.read(directory / "Pulumi.dev.yaml")


@pytest.mark.parametrize("prefix", ["p:", "", "p:config:"])
def test_a_key_has_the_prefix_of_the_project_or_none(tmp_path: Path, prefix: str) -> None:
    """As for the engine (stackConfigNamespacedWithProject and ParseKey in its sdk/go)."""
    config = {
        f"{prefix}pools": {"w": NODES},
        f"{prefix}kubernetesVersion": "1.36",
        f"{prefix}kubeconfig": {"secure": "v1:x"},
        "aws:kubernetesVersion": "1.30",
    }
    found = read(tmp_path, config)
    assert [node.machine.host.name for node in found.nodes([])] == ["n1"]
    assert found.settings.version == "1.36"
    assert found.secret_keys == {"kubeconfig"}


def test_an_unknown_key_without_a_prefix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"(?s)7.*pols"):
        read(tmp_path, {"pols": {"w": NODES}, 7: 7})


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """The engine takes either, another one in each run."""
    config = {
        "pools": {"w": NODES}, "p:pools": {"w": NODES}, "repair": 1, "p:config:repair": 2,
        "kubeconfig": {"secure": "v1:x"}, "p:kubeconfig": {"secure": "v1:y"}, "aws:pools": 1,
    }  # fmt: skip
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, config)
    assert [str(problem) for problem in raised.value.problems] == [
        "kubeconfig stands twice, as kubeconfig and as p:kubeconfig; remove one of them",
        "repair stands twice, as p:config:repair and as repair; remove one of them",
        "pools stands twice, as p:pools and as pools; remove one of them",
    ]
