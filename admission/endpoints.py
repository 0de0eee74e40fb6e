"""What the resident approver answers over HTTP: whether it lives, whether it is ready, numbers."""

from aiohttp import web

from admission.metrics import CONTENT_TYPE
from admission.serve import Approver


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
        return web.Response(status=503, text="not all of requests, Nodes and inventories seen\n")

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
