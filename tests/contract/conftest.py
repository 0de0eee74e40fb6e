"""Fixtures of the contract tests: the engine's side, providers that need no cluster, a judge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import driver, judges, ssh_server


@pytest.fixture(scope="session")
def engine() -> Iterator[driver.Engine]:
    """What plugins log to."""
    started = driver.Engine()
    yield started
    started.close()


@pytest.fixture(scope="session")
def random_provider(engine: driver.Engine) -> Iterator[driver.Provider]:
    """The random provider."""
    started = driver.start("random", engine)
    started.configure({})
    yield started
    started.close()


@pytest.fixture(scope="session")
def command_provider(engine: driver.Engine) -> Iterator[driver.Provider]:
    """The command provider, with no SSH agent."""
    started = driver.start("command", engine, driver.environment(SSH_AUTH_SOCK=None))
    started.configure({})
    yield started
    started.close()


@pytest.fixture(scope="session")
def machine() -> Iterator[ssh_server.SshServer]:
    """A machine that can be reached over SSH."""
    with ssh_server.running() as started:
        yield started


@pytest.fixture(scope="session")
def credentials_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What judges kubeconfigs, keys and proxies as Go's programs do."""
    return judges.build_credentials(tmp_path_factory.mktemp("credentials_judge"))
