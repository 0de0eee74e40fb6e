"""The fixture of all tests on the lab."""

from collections.abc import Iterator

import pytest

from tests.lab.project import Project, running_project


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """One project and one lab for the whole run."""
    with running_project() as project:
        yield project
