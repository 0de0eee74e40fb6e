"""All packages are pinned with their hashes, and alike wherever they are installed."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.unit.test_layers import ALLOWED

ROOT = Path(__file__).parents[2]
LOCKED = ("requirements", "requirements-dev", "admission/requirements", "tests/bench/requirements")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:==(\S+))?$", re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    """The versions by package."""
    return {normal(package): v for package, v in PIN.findall(read(f"{name}.txt"))}


def read(name: str) -> str:
    return (ROOT / name).read_text()


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@pytest.mark.parametrize("name", LOCKED)
def test_each_package_has_a_version_and_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z])", read(f"{name}.txt"))
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert len(packages) >= 10
    for package in packages:
        assert PIN.match(package), package
        assert "--hash=sha256:" in package, package


def test_a_program_of_others_gets_the_versions_that_are_tested_or_later() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lowest = dict(entry.split(",")[0].split(">=") for entry in project["dependencies"])
    assert lowest == dict(REQUIREMENT.findall(read("requirements.in")))


def test_all_that_a_program_of_others_imports_is_installed() -> None:
    packages = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]
    needed, new = set[str](), {"kubelet_tls_bootstrap"}
    while new:
        needed |= new
        rooms = {room for name in new for room in ALLOWED[name]}
        new = rooms & ALLOWED.keys() - needed
    assert {name.removesuffix("*") for name in packages["include"]} == needed


def test_the_types_of_settings_count_in_a_program_of_others() -> None:
    # https://typing.python.org/en/latest/spec/distributing.html#packaging-type-information
    data = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["package-data"]
    assert "py.typed" in data["*"]
    assert (ROOT / "kubelet_tls_bootstrap/py.typed").exists()


@pytest.mark.parametrize("name", LOCKED)
def test_what_is_asked_for_is_what_is_locked(name: str) -> None:
    found = locked(name)
    asked = REQUIREMENT.findall(read(f"{name}.in"))
    assert len(asked) > 1
    for package, version in asked:
        assert found[normal(package)] == (version or found[normal(package)])


@pytest.mark.parametrize("name", ["requirements-dev", "admission/requirements"])
def test_the_program_its_image_and_its_tests_have_the_same_versions(name: str) -> None:
    program, other = locked("requirements"), locked(name)
    both = program.keys() & other.keys()
    assert len(both) >= 10
    assert {package: program[package] for package in both} == {p: other[p] for p in both}
    # The tests have all of the program's packages, and the program all of the image's.
    assert both == (program if name == "requirements-dev" else other).keys()
