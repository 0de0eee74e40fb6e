"""The resident approver as a process, and its HTTP endpoints: health and metrics."""

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from admission.api_server.connection import Connection
from admission.approver.approver import Approver
from admission.approver.journal import Journal
from admission.approver.metrics import CONTENT_TYPE


async def serve(
    api: Connection,
    namespace: str,
    identity: str,
    port: int,
    pools: Collection[str] | None = None,
) -> None:
    """Run a replica and answer on its port until it is cancelled.

    Raises:
        ApiError, UNTRUSTED: the rights are insufficient, or the CA is the wrong one.
        OSError: the port is taken.
    """
    journal = Journal(partial(print, flush=True), clock=time.monotonic)
    approver = Approver(
        api,
        namespace=namespace,
        identity=identity,
        host=api.host,
        journal=journal,
        clock=time.monotonic,
        pools=pools,
        # By which it stamps requests; a wrong clock here would have each request refused.
        now=lambda: datetime.now(UTC) + api.ahead,
    )
    endpoints = await open_endpoints(approver, port)
    try:
        journal.tell("info", "started", identity=identity, server=api.server)
        await approver.run()
    except asyncio.CancelledError:
        journal.tell("info", "stopping", identity=identity)
    finally:
        await endpoints.cleanup()


async def open_endpoints(approver: Approver, port: int) -> web.AppRunner:
    """Answer on a port of every address until the runner is cleaned up.

    Raises:
        OSError: the port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")  # that the loop runs; `run` ends with whatever breaks

    async def readyz(_: web.Request) -> web.Response:
        if approver.ready:
            return web.Response(text="ok\n")
        return web.Response(
            status=503, text="requests, Nodes and inventories are not all listed yet\n"
        )

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=approver.exposition().encode(), headers={"Content-Type": CONTENT_TYPE}
        )

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
