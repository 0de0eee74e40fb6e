"""Fields that a join relies on: which may change if the user allows it, and which never may."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_files.versions import table


@dataclass(frozen=True)
class Protection:
    """Why a field is protected, and the values that change nothing and so are always allowed."""

    reason: str
    harmless: tuple[Any, ...] = ()


# Another value breaks a join or opens the kubelet to others. Whoever has a reason for it can allow
# it by listing the path in `unsafe`.
PROTECTED: Mapping[str, Protection] = {
    "address": Protection(
        "the gate proves the join on the node's address",
        ("0.0.0.0", "::"),  # noqa: S104 - all interfaces
    ),
    "authentication.anonymous.enabled": Protection(
        "anybody who can reach the node could run commands in its pods", (False,)
    ),
    "authentication.webhook.enabled": Protection(
        "the kubelet would refuse service account tokens, such as those of metrics", (True,)
    ),
    "authentication.x509.clientCAFile": Protection(
        "it is the setting paths.ca; with another file the kubelet would refuse the API server, or"
        " accept others"
    ),
    "authorization.mode": Protection(
        "the kubelet would accept requests that the API server does not authorize", ("Webhook",)
    ),
    "enableDebuggingHandlers": Protection("kubectl logs and exec would fail on the node", (True,)),
    "readOnlyPort": Protection("it serves the node's pods without authentication", (0,)),
    "rotateCertificates": Protection(
        "without it the node drops out when its first certificate expires", (True,)
    ),
    "serverTLSBootstrap": Protection(
        "the kubelet would serve a certificate that nobody can verify", (True,)
    ),
    "tlsCertFile": Protection("the serving certificate comes from the cluster", ("",)),
    "tlsPrivateKeyFile": Protection("the serving certificate comes from the cluster", ("",)),
}

# With another value the node can't join, or two settings would say the same thing.
FIXED: Mapping[str, Protection] = {
    "apiVersion": Protection("the program writes it", ("kubelet.config.k8s.io/v1beta1",)),
    "containerRuntimeEndpoint": Protection("it is the setting runtimeEndpoint"),
    "enableServer": Protection("the gate proves the join on the kubelet's server", (True,)),
    "kind": Protection("the program writes it", ("KubeletConfiguration",)),
    "port": Protection("the gate proves the join on port 10250", (10250,)),
    "registerNode": Protection("a node that does not register itself never joins", (True,)),
    "registerWithTaints": Protection("it is the setting taints"),
    "runOnce": Protection("the kubelet would exit instead of serving", (False,)),
    "staticPodPath": Protection("it is the setting paths.manifests"),
}


# As kubeadm and Go write what is not set. An empty staticPodPath would mean that there are none.
ENDPOINT, MANIFESTS = "containerRuntimeEndpoint", "staticPodPath"
UNSET: Mapping[str, tuple[Any, ...]] = {ENDPOINT: ("", None)}


def without_own(
    overrides: Mapping[str, Any], own: Mapping[str, Any], parent: str = ""
) -> dict[str, Any]:
    """Return overrides without the values that change nothing.

    `own` has, by path, what the program writes for a node.
    """
    left = {}
    for name, value in overrides.items():
        path = f"{parent}{name}"
        if path in own and _is_own(path, value, own[path]):
            continue
        if isinstance(value, Mapping) and value:
            below = without_own(value, own, f"{path}.")
            if below:
                left[name] = below
        else:
            left[name] = value
    return left


def _is_own(path: str, value: Any, own: Any) -> bool:
    if path == ENDPOINT and isinstance(value, str) and value:
        return _socket(value) == _socket(str(own))
    if path == MANIFESTS and isinstance(value, str):
        return value.removesuffix("/") == str(own)
    empty = value is None and own == []  # Go reads both as none
    same = value is not None and _without_unset(value) == own
    return empty or same or value in UNSET.get(path, ())


def _without_unset(value: Any) -> Any:
    """Return taints without what Go reads as not set; anything else as it is."""
    if not isinstance(value, list) or not all(isinstance(taint, Mapping) for taint in value):
        return value
    return [{key: v for key, v in taint.items() if v not in (None, "")} for taint in value]


def _socket(endpoint: str) -> str:
    """Return a socket's path: /var/run is a link to /run (file-hierarchy(7)), unix the default."""
    path = endpoint.removeprefix("unix://")
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def refusal(path: str, value: Any, unsafe: frozenset[str], version: str) -> str | None:
    """Return why a path must not have this value, or None if it may.

    A null removes everything below its path, so it is refused if anything there is protected and
    the version's own default would do harm.
    """
    for name, protection in FIXED.items():
        if _touches(path, value, name) and not _harmless(name, value, protection, version):
            return f"can't be overridden: {protection.reason}"
    for name, protection in PROTECTED.items():
        if not _touches(path, value, name) or _harmless(name, value, protection, version):
            continue
        if name not in unsafe and path not in unsafe:
            return (
                f"can't be overridden: {protection.reason}; leave it out, or, if you must, list"
                f" {name} in unsafe"
            )
    return None


def unsafe_problem(path: str) -> str | None:
    """Return why a path of `unsafe` makes no sense, or None if it does."""
    if path in FIXED:
        return f"can't be listed in unsafe: {FIXED[path].reason}"
    if path not in PROTECTED:
        return f"is not a protected field; those are {', '.join(PROTECTED)}"
    return None


def _touches(path: str, value: Any, name: str) -> bool:
    return path == name or (value is None and name.startswith(f"{path}."))


def _harmless(name: str, value: Any, protection: Protection, version: str) -> bool:
    if value is None:
        field = table.fields(version).get(name)
        value = field.default if field else None
    return any(type(value) is type(other) and value == other for other in protection.harmless)
