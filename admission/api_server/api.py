"""What admission asks of an API server, and how that can fail."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
MERGE_PATCH = "application/merge-patch+json"

REQUEST_TIMEOUT_S = 15
# Rights and tokens may take effect some moments after an API server's start, or their creation.
RIGHTS_LIMIT_S = 5
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

See = Callable[[str, dict[str, Any]], None]
Say = Callable[[str], None]


class ApiError(Exception):
    """The API server refused; holds its status code and its reason, no content."""

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Api(Protocol):
    """An API server, as the judges use it; `connection.Connection` is a real one."""

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Make one request and return the JSON of the answer, or its text if it is not JSON."""

    async def watch(self, path: str, see: See, say: Say) -> None:
        """Pass on every object and each change, forever."""

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Return whether a requester may get serving certificates."""
