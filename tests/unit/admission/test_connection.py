"""What a machine can do to those who look at it through the API server: over a real connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import yaml
from aiohttp import web

from admission.api_server.api import NODES, ApiError, Watched
from admission.api_server.connection import Connection

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def connected(answer: Answer) -> AsyncIterator[Connection]:
    """A connection to a server that answers whatever is asked."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    cluster = await Connection.open(
        None,
        yaml.safe_dump(
            {
                "current-context": "one",
                "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "admin"}}],
            }
        ),
    )
    try:
        yield cluster
    finally:
        await cluster.close()
        await runner.cleanup()


def test_a_kubelet_sends_nobody_elsewhere_with_our_rights() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/api/v1/namespaces/x/services/y"})

    async def work() -> None:
        async with connected(answer) as cluster:
            with pytest.raises(ApiError, match=r"302 .*is not followed"):
                await cluster.reach(f"{NODES}/node-1/proxy/healthz")

    asyncio.run(work())
    assert asked == [f"{NODES}/node-1/proxy/healthz"]


def test_a_node_that_writes_too_long_a_status_is_left_out_and_nothing_is_listed_again() -> None:
    def event(name: str, version: str, status: str = "") -> bytes:
        # As Kubernetes writes it; 1.4 MB of "<" fit into a Node, each in six characters.
        metadata = f'"metadata":{{"name":"{name}","uid":"u","resourceVersion":"{version}"}}'
        node = f'{{"kind":"Node","apiVersion":"v1",{metadata},"status":"{status}"}}'
        return f'{{"type":"MODIFIED","object":{node}}}\n'.encode()

    lists = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            lists.append(request.path)
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("n", "2", "\\u003c" * 1_400_000))
        await response.write(event("m", "3"))
        await asyncio.sleep(1)
        return response

    async def work() -> tuple[list[str], list[str]]:
        seen: list[str] = []
        said: list[str] = []
        enough = asyncio.Event()

        def see(kind: str, item: dict[str, Any]) -> None:
            seen.append(f"{kind} {item.get('metadata', {}).get('name')}")
            if kind == "MODIFIED":
                enough.set()

        async with connected(answer) as cluster:
            all_nodes = Watched(NODES, lambda node: node)
            watch = asyncio.create_task(cluster.watch(all_nodes, see, said.append))
            told = asyncio.create_task(enough.wait())
            done, _ = await asyncio.wait(
                {watch, told}, timeout=20, return_when=asyncio.FIRST_COMPLETED
            )
            for task in (watch, told):
                task.cancel()
            results = await asyncio.gather(watch, told, return_exceptions=True)
            assert told in done, results
        return seen, said

    seen, (line,) = asyncio.run(work())
    assert seen == ["SYNC None", "DELETED n", "MODIFIED m"]
    assert line.startswith("n is refused: it has more than 4 MiB; ")
    assert len(lists) == 1
