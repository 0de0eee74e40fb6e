"""What every module of unit tests starts with."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def event_loop() -> Iterator[None]:
    """An event loop, which Pulumi's Outputs ask for and which `asyncio.run` takes away."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
