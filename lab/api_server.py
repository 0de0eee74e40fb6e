"""The lab's API server, asked whether it is ready."""

import contextlib
import http.client
import ssl
from pathlib import Path

from lab import control_plane, network
from lab.errors import LabError
from lab.waiting import until

READY_LIMIT_S = 90.0


def ready(ca: Path) -> bool:
    """Return whether the API server says that it is ready."""
    return _answer(ca) == "ok"


def wait(ca: Path) -> None:
    """Wait until the API server is ready.

    Raises:
        LabError: it is not within the limit; says what it answers.
    """
    if not until(lambda: ready(ca), READY_LIMIT_S, 0.1):
        raise LabError(
            f"the API server {control_plane.SERVER} is not ready after {READY_LIMIT_S:.0f} s: "
            f"{_answer(ca)}",
            f"look at it: python -m lab logs {control_plane.NAME} kube-apiserver",
        )


def _answer(ca: Path) -> str:
    try:
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection(
            network.CONTROL_PLANE_ADDRESS, 6443, timeout=5, context=context
        )
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().read().decode().strip().splitlines()[0]
    except (OSError, http.client.HTTPException, IndexError) as error:
        return str(error)
