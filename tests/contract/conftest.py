"""Fixtures of the contract tests: the engine's side, and the providers that need no cluster."""

from collections.abc import Iterator

import pytest

from tests.contract import driver, ssh_server


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
