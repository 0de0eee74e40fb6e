"""The fixtures of all tests on the lab."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.project import Project, running_project


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """One project and one lab for the whole run."""
    with running_project() as project:
        yield project


@pytest.fixture
def settings(project: Project) -> Iterator[dict[str, Any]]:
    """A copy of the settings to change; the original is back after the test."""
    original = project.settings()
    yield copy.deepcopy(original)
    project.write_settings(original)


@pytest.fixture(scope="module")
def joined_nodes(project: Project) -> Iterator[None]:
    """Two nodes, joined; afterwards nothing is, and the settings are what they were."""
    original = project.settings()
    project.up()
    yield
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")
