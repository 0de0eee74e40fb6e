"""Fixtures of the kubernetes provider's contract tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract import driver
from tests.contract.kubernetes_provider.cluster import Cluster, running

Start = Callable[..., driver.Provider]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One control plane for all tests; each uses names of its own."""
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def start(cluster: Cluster, engine: driver.Engine) -> Iterator[Start]:
    """Start providers; they have the program's settings, and the cluster's kubeconfig, but for
    what is given."""
    started: list[driver.Provider] = []

    def begin(**settings: Any) -> driver.Provider:
        provider = driver.start("kubernetes", engine, driver.environment(KUBECONFIG=None))
        started.append(provider)
        usual = {"kubeconfig": str(cluster.kubeconfig), "enableConfigMapMutable": True}
        provider.configure(usual | settings)
        return provider

    yield begin
    for provider in started:
        provider.close()


@pytest.fixture(scope="session")
def provider(start: Start) -> driver.Provider:
    """A provider with the program's settings."""
    return start()
