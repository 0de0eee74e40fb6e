"""What admission asks of an API server, and how that can fail."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SERVING_CSRS = f"{CSRS}?fieldSelector=spec.signerName=kubernetes.io/kubelet-serving"
CLIENT_CSRS = f"{CSRS}?fieldSelector=spec.signerName=kubernetes.io/kube-apiserver-client-kubelet"
NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
MERGE_PATCH = "application/merge-patch+json"

REQUEST_TIMEOUT_S = 15
LARGEST_OBJECT_BYTES = 4 * 1024 * 1024  # etcd takes 1.5 MB of one; JSON escapes some of that
# Rights and tokens may take effect some moments after an API server's start, or their creation.
RIGHTS_LIMIT_S = 5
# Between two readings of credentials: an exec plugin may ask a cloud, or a person.
READ_PAUSE_S = 10
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

See = Callable[[str, dict[str, Any]], None]
Say = Callable[[str], None]
# Returns the content of a kubeconfig anew.
Renew = Callable[[], Awaitable[str]]
# Returns what is kept of an object, None if nothing is, and raises if it lacks what we read.
Keep = Callable[[dict[str, Any]], dict[str, Any] | None]
# Is given each object that is kept of a list, and may shorten those that it was given before, or
# empty them: then they are dropped.
Bound = Callable[[dict[str, Any]], None]
NewBound = Callable[[], Bound]  # for each list


def no_bound() -> Bound:
    """Return what shortens nothing: for objects that nobody makes many of."""
    return lambda _: None


class ApiError(Exception):
    """The API server refused; holds its status code and its reason, no content."""

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Unreadable(ValueError):
    """An answer or an object that can't be read; says why, and holds how it begins."""

    def __init__(self, why: str, beginning: bytes = b"") -> None:
        super().__init__(why)
        self.beginning = beginning


@dataclass(frozen=True)
class Watched:
    """What a watch is of, and what is kept of each object."""

    path: str
    keep: Keep
    bound: NewBound = no_bound


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
        """Make one request and return the object that is the answer."""

    async def reach(self, path: str) -> None:
        """Make a GET request that leads to a kubelet, and return if it succeeds."""

    async def watch(self, watched: Watched, see: See, say: Say) -> None:
        """Pass on every object and each change, forever."""

    async def may_serve_itself(self, requester: Mapping[str, Any]) -> bool:
        """Return whether a requester may get serving certificates."""

    async def may_approve(self, signer: str) -> bool:
        """Return whether we may approve the requests of a signer."""
