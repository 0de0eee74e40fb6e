"""Kubeconfig files: which API server, and with what identity.

Read as kubectl reads them: given as a path or as text, else $KUBECONFIG, else ~/.kube/config.
Ways to log in that start other programs are refused by name.
"""

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.plugins.kubernetes_values import Object

_UNSUPPORTED_USER = ("exec", "auth-provider", "as", "as-groups", "as-uid", "as-user-extra")


class KubeconfigError(Exception):
    """The kubeconfig does not lead to an API server. The message quotes nothing out of it."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the API server is, and who we are to it."""

    server: str
    namespace: str = "default"
    certificate_authority: str = ""
    """PEM; empty for the machine's own authorities."""
    verify: bool = True
    server_name: str = ""
    client_certificate: str = ""
    client_key: str = ""
    token: Callable[[], str] | None = None
    """Gives the bearer token anew for each use, because a token file may change."""
    basic: str = ""


def load(path_or_content: str) -> Object:
    """Return the kubeconfig that a path names, or that the text itself is.

    Raises:
        KubeconfigError: it is neither a readable file nor a kubeconfig.
    """
    path = Path(path_or_content).expanduser()
    try:
        if path.exists():
            return _anchored(_parse(path.read_text()), path.parent)
    except OSError as error:  # also a text too long for a file name
        if error.filename is not None and path.exists():
            raise KubeconfigError(f"open {path}: {(error.strerror or '').lower()}") from None
    return _parse(path_or_content)


def load_ambient(environment: Mapping[str, str] = os.environ) -> Object:
    """Return what kubectl would use without options; what comes first in $KUBECONFIG wins."""
    named = environment.get("KUBECONFIG", "")
    files = [Path(name) for name in named.split(os.pathsep) if name]
    files = [file for file in files or [Path.home() / ".kube/config"] if file.exists()]
    merged: Object = {}
    for file in files:
        config = load(str(file))
        merged.setdefault("current-context", config.get("current-context") or "")
        merged["current-context"] = merged["current-context"] or config.get("current-context")
        for key in ("clusters", "users", "contexts"):
            merged.setdefault(key, []).extend(config.get(key) or [])
    return merged


def cluster(config: Object, *, context: str = "", name: str = "", namespace: str = "") -> Cluster:
    """Return what a kubeconfig says of one cluster.

    Args:
        config: what `load` returned.
        context: a context's name; empty for the current one.
        name: a cluster's name; empty for the context's.
        namespace: empty for the context's, else `default`.

    Raises:
        KubeconfigError: a name leads nowhere, or the user logs in in a way that is not supported.
    """
    chosen = context or str(config.get("current-context") or "")
    if not config.get("clusters"):
        raise KubeconfigError(
            "invalid configuration: no configuration has been provided, "
            "try setting KUBERNETES_MASTER environment variable"
        )
    at = _named(config, "contexts", chosen)
    if at is None and context:
        raise KubeconfigError(f'context "{context}" does not exist')
    if at is None:
        raise KubeconfigError(
            f"invalid configuration: [context was not found for specified context: {chosen}, "
            "cluster has no server defined]"
        )
    named = name or str(at.get("cluster") or "")
    server = _named(config, "clusters", named)
    if server is None or not server.get("server"):
        raise KubeconfigError(f'invalid configuration: no server found for cluster "{named}"')
    user = _named(config, "users", str(at.get("user") or "")) or {}
    unsupported = [key for key in _UNSUPPORTED_USER if user.get(key)]
    unsupported += ["proxy-url"] if server.get("proxy-url") else []
    if unsupported:
        raise KubeconfigError(
            f"{', '.join(unsupported)} is not supported by the lab's own kubernetes provider; "
            "give a kubeconfig with a client certificate or a token"
        )
    return Cluster(
        server=str(server["server"]).rstrip("/"),
        namespace=namespace or str(at.get("namespace") or "default"),
        certificate_authority=_text(server, "certificate-authority"),
        verify=not server.get("insecure-skip-tls-verify"),
        server_name=str(server.get("tls-server-name") or ""),
        client_certificate=_text(user, "client-certificate"),
        client_key=_text(user, "client-key"),
        token=_token(user),
        basic=_basic(user),
    )


def active_cluster(config: Object, *, context: str = "", name: str = "") -> Object | None:
    """Return the active cluster's entry, or None: what decides if it is another cluster now."""
    at = _named(config, "contexts", context or str(config.get("current-context") or ""))
    return None if at is None else _named(config, "clusters", name or str(at.get("cluster") or ""))


def _parse(text: str) -> Object:
    try:
        config = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe
    except yaml.YAMLError as error:
        # The error's own text quotes the line, which may hold a key.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise KubeconfigError(f"yaml: {where}{problem}") from None
    if not isinstance(config, dict):
        raise KubeconfigError(
            "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go "
            "value of type struct { APIVersion string; Kind string } "
            "(it is not a kubeconfig, and there is no file of this name)"
        )
    return config


def _anchored(config: Object, directory: Path) -> Object:
    """Make the file names in a kubeconfig relative to where it lies, as kubectl does."""
    for list_name, entry_name in (("clusters", "cluster"), ("users", "user")):
        for entry in config.get(list_name) or []:
            fields = entry.get(entry_name) or {}
            for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                if fields.get(key):
                    fields[key] = str(directory / fields[key])
    return config


def _named(config: Object, kind: str, name: str) -> Object | None:
    for entry in config.get(kind) or []:
        if entry.get("name") == name:
            found = entry.get(kind.removesuffix("s"))
            return found if isinstance(found, dict) else {}
    return None


def _text(fields: Object, key: str) -> str:
    if fields.get(f"{key}-data"):
        try:
            return base64.b64decode(fields[f"{key}-data"], validate=True).decode()
        except ValueError:
            raise KubeconfigError(f"illegal base64 data in {key}-data") from None
    if fields.get(key):
        try:
            return Path(fields[key]).read_text()
        except OSError as error:
            why = (error.strerror or "").lower()
            raise KubeconfigError(
                f"invalid configuration: unable to read {key} {fields[key]} "
                f"due to open {fields[key]}: {why}"
            ) from None
    return ""


def _token(user: Object) -> Callable[[], str] | None:
    if user.get("token"):
        value = str(user["token"])
        return lambda: value
    if user.get("tokenFile"):
        file = Path(user["tokenFile"])
        return lambda: file.read_text().strip()
    return None


def _basic(user: Mapping[str, Any]) -> str:
    if not user.get("username"):
        return ""
    return base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
