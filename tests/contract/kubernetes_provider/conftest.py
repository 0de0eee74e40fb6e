"""Fixtures of the kubernetes provider's contract tests."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract import driver
from tests.contract.kubernetes_provider.cluster import Cluster, running

Start = Callable[..., driver.Provider]


def environment() -> dict[str, str]:
    """Return an environment that names no cluster."""
    return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One control plane for all tests; each uses names of its own."""
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def engine() -> Iterator[driver.Engine]:
    """What plugins log to."""
    started = driver.Engine()
    yield started
    started.close()


@pytest.fixture(scope="session")
def provider(cluster: Cluster, engine: driver.Engine) -> Iterator[Any]:
    """A provider with the cluster's kubeconfig and nothing else set."""
    started = driver.start("kubernetes", engine, environment())
    started.configure({"kubeconfig": str(cluster.kubeconfig)})
    yield started
    started.close()


@pytest.fixture
def start(cluster: Cluster, engine: driver.Engine) -> Iterator[Start]:
    """Start providers with other settings; the kubeconfig is the cluster's unless given."""
    started: list[driver.Provider] = []

    def begin(**settings: Any) -> driver.Provider:
        provider = driver.start("kubernetes", engine, environment())
        started.append(provider)
        provider.configure({"kubeconfig": str(cluster.kubeconfig)} | settings)
        return provider

    yield begin
    for provider in started:
        provider.close()
