"""Every key that may be set is described, and declared where the engine looks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

import node_files
from settings import model, outputs, parsing
from settings.layer import Bastion, Layer, PathSettings, Ssh

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/settings.md").read_text()
MODELS = (
    *(model.Settings, model.ClusterSettings, model.TokenSettings, model.Host),
    *(model.ControlPlaneSettings, model.NodeSettings, model.Pool, model.CloudInit),
    *(model.DrainSettings, outputs.ClusterFrom),
    *(Layer, Ssh, Bastion, PathSettings),
)
SECRETS = {"kubeconfig", "sshPrivateKey"}


def keys(*models: type[BaseModel]) -> Iterator[str]:
    for each in models:
        yield from (str(field.alias) for field in each.model_fields.values())


@pytest.mark.parametrize("key", sorted({*keys(*MODELS), *SECRETS}))
def test_a_key_is_described(key: str) -> None:
    assert f"`{key}`" in DOCUMENT or f"{{{key}:" in DOCUMENT


def test_each_key_of_a_stack_is_declared_with_its_type_and_meaning() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert declared.keys() == set(keys(model.Settings))
    for key, schema in declared.items():
        assert schema.keys() >= {"type", "description", "default"}, key


def test_each_key_of_a_stack_is_read() -> None:
    read = {*parsing.TEXTS, *parsing.NUMBERS, *parsing.OBJECTS, "embedCa"}
    assert read == set(keys(model.Settings))


def test_the_declared_defaults_are_those_of_the_program() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    said = {key: schema["default"] for key, schema in declared.items() if schema["default"]}
    whole = parsing.parse(said)
    plain = parsing.parse({})
    assert whole.version == plain.version
    assert whole.stall_seconds == plain.stall_seconds
    assert node_files.RUNTIME_ENDPOINTS[str(whole.runtime)] == node_files.DEFAULT_RUNTIME_ENDPOINT


@pytest.mark.parametrize("name", [*node_files.CHECKS, *node_files.PRESETS])
def test_each_check_and_preset_is_described(name: str) -> None:
    assert f"`{name}`" in DOCUMENT


@pytest.mark.parametrize("name", ["default", "classic"])
def test_the_paths_of_presets_are_as_described(name: str) -> None:
    paths = node_files.PRESETS[name].paths
    section = DOCUMENT.partition("### Paths")[2].partition("###")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    column = {"default": 1, "classic": 2}[name]
    written = [row[1] if "the same" in row[column] else row[column] for row in rows]
    for field in PathSettings.model_fields:
        value = getattr(paths, field)
        if isinstance(value, str) and value:
            assert any(f"`{value}`" in cell for cell in written), field
