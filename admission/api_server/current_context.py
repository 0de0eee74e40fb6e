"""The current context of a kubeconfig: which API server, whom to trust there, and who asks.

The settings, the gate, a leaving node and `status` all read it here, as kubectl and Pulumi's
Kubernetes provider do: client-go's tools/clientcmd (client_config.go, validation.go). What those
refuse is refused, and so is what they take and this program can't do.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from admission.api_server import kubeconfig_yaml
from admission.api_server.exec_plugin import ExecPlugin, read_plugin
from admission.api_server.impersonation import impersonation
from admission.api_server.kubeconfig_content import Content, Unusable

CA, CERTIFICATE, KEY, TOKEN = "certificate-authority", "client-certificate", "client-key", "token"
COMMAND = "command of exec"
TEXTS = {
    "context": ("cluster", "user", "namespace"),
    "cluster": ("server", "tls-server-name", "proxy-url", CA, f"{CA}-data"),
    "user": (
        *(CERTIFICATE, f"{CERTIFICATE}-data", KEY, f"{KEY}-data"),
        *(TOKEN, "tokenFile", "username", "password"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class CurrentContext:
    """What a kubeconfig's current context says; nothing of it has been read from other files."""

    server: str
    tls_server_name: str
    proxy: str
    ca: Content
    certificate: Content
    key: Content
    token: Content = field(repr=False)
    login: tuple[str, str] | None = field(repr=False)
    """A user's name and password, for a proxy in front of the API server."""
    plugin: ExecPlugin | None
    oidc: Mapping[str, Any] | None = field(repr=False)
    """The settings of the auth-provider `oidc`."""
    headers: tuple[tuple[str, str], ...]
    """By which the user acts as another one."""

    def relative_paths(self) -> Iterator[str]:
        """Yield the name of each path in it that counts from some directory."""
        for content in (self.ca, self.certificate, self.key, self.token):
            if content.path and not Path(content.path).is_absolute():
                yield content.name
        if self.plugin and "/" in self.plugin.command and self.plugin.command[0] != "/":
            yield COMMAND


def parse(text: str, *, needs_user: bool = True) -> CurrentContext:
    """Return the current context of a kubeconfig, which without `needs_user` may be nobody's.

    Raises:
        Unusable: it is none, or says what can't be done.
    """
    try:
        document = kubeconfig_yaml.load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Unusable(
            "is not a kubeconfig: it is not YAML; give one that kubectl can use"
        ) from None
    if not isinstance(document, dict) or not _is_config(document):
        raise Unusable("is not a kubeconfig with a current context; give one that kubectl can use")
    context = _named(document, "context", _text(document, "current-context", "it"))
    cluster = _named(document, "cluster", _text(context, "cluster", "its context"))
    name = _text(context, "user", "its context")
    user = _named(document, "user", name) if needs_user or _has_user(document, name) else {}
    plain, who = _texts(cluster, "cluster"), _texts(user, "user")
    _check_cluster(cluster, plain)
    certificate = _content(who, CERTIFICATE)
    key = _content(who, KEY) if certificate else Content()
    if certificate and not key:
        raise Unusable("has a client-certificate without its client-key; give both")
    # A password alone is not sent: client-go's transport.Config.HasBasicAuth.
    login = (who["username"], who["password"]) if who["username"] else None
    # A file is read again and again, so it counts more: client-go's transport/token_source.go.
    token = Content(TOKEN, who[TOKEN].encode())
    if who["tokenFile"]:
        token = Content("tokenFile", path=who["tokenFile"])
    if (who[TOKEN] and who["password"]) or (token and login):
        raise Unusable("has both a token and a username with a password; remove one of them")
    plugin, oidc = read_plugin(user, cluster, Unusable), _oidc(user)
    # It is not asked then: client-go's plugin/pkg/client/auth/exec, UpdateTransportConfig.
    is_idle = bool(certificate or token or login)
    if plugin and plugin.asks and not is_idle:
        raise Unusable(
            "has an exec plugin that asks somebody at a terminal (interactiveMode: Always), where"
            " nobody is; give credentials that need nobody"
        )
    if needs_user and not (certificate or token or login or plugin or oidc is not None):
        raise Unusable(
            "names no credentials for its user, so nobody could ask the API server for anything;"
            " give an administrator's (kubectl config view --minify shows what it has)"
        )
    return CurrentContext(
        server=plain["server"],
        tls_server_name=plain["tls-server-name"],
        proxy=plain["proxy-url"],
        ca=_content(plain, CA),
        certificate=certificate,
        key=key,
        token=token,
        login=login,
        plugin=None if is_idle else plugin,
        oidc=oidc,
        headers=tuple(impersonation(user, Unusable)),
    )


def _is_config(document: Mapping[str, Any]) -> bool:
    """Return whether a document says that it is a kubeconfig, or nothing about that."""
    return (document.get("apiVersion") or "v1") == "v1" and (
        document.get("kind") or "Config"
    ) == "Config"


def _has_user(document: Mapping[str, Any], name: str) -> bool:
    users = document.get("users")
    return any(
        isinstance(entry, dict) and entry.get("name") == name
        for entry in (users if isinstance(users, list) else ())
    )


def _named(document: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return a kubeconfig's context, cluster or user (`kind`) of a name."""
    if not name:
        where = "current context" if kind == "context" else f"{kind} in its current context"
        raise Unusable(f"has no {where}; set it (kubectl config get-contexts lists what there is)")
    entries = document.get(f"{kind}s") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Unusable(f"is not a kubeconfig: {kind}s is not a list of objects; correct it")
    names = [_text(entry, "name", f"one of its {kind}s") for entry in entries]
    if len(names) != len(set(names)):
        raise Unusable(f"has two {kind}s of one name; rename or remove one")
    for entry in entries:
        if not isinstance(entry.get(kind) or {}, dict):
            raise Unusable(f"is not a kubeconfig: a {kind} is not an object; correct it")
        _texts(entry.get(kind) or {}, kind)
    if name not in names:
        raise Unusable(f"has no {kind} of the name that it gives; correct the name")
    found: dict[str, Any] = entries[names.index(name)].get(kind) or {}
    return found


def _texts(entry: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {key: _text(entry, key, f"a {kind}") for key in TEXTS[kind]}


def _text(entry: Mapping[str, Any], key: str, owner: str) -> str:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise Unusable(f"is not a kubeconfig: {key} of {owner} is not text; put it in quotes")
    return value or ""


def _content(texts: Mapping[str, str], key: str) -> Content:
    data, path = texts[f"{key}-data"], texts[key]
    if data and path:
        raise Unusable(f"has both {key} and {key}-data; remove one of them")
    if not data:
        return Content(key, path=path or None)
    try:
        return Content(f"{key}-data", base64.b64decode(re.sub(r"[\r\n]", "", data), validate=True))
    except (binascii.Error, ValueError):
        raise Unusable(f"has a {key}-data that is not base64; correct it") from None


def _check_cluster(cluster: Mapping[str, Any], plain: Mapping[str, str]) -> None:
    """Raise Unusable for a cluster that kubectl refuses, or that can't be reached from here."""
    for key in ("insecure-skip-tls-verify", "disable-compression"):
        if not isinstance(cluster.get(key), bool | None):
            raise Unusable(f"is not a kubeconfig: {key} is neither true nor false; correct it")
    if cluster.get("insecure-skip-tls-verify"):
        raise Unusable(
            "sets insecure-skip-tls-verify, so anybody on the way to the API server could take its"
            " place; give the cluster's certificate-authority in its place"
        )
    if not plain["server"]:
        raise Unusable("names no server for its cluster; set it")
    try:
        address, proxy = urlsplit(plain["server"]), urlsplit(plain["proxy-url"])
        is_url = bool(address.hostname and (address.port, proxy.port)) and not (
            {*plain["server"]} & {*" ?#@"} or not plain["server"].isprintable()
        )
    except ValueError:
        is_url = False
    if not is_url or address.scheme not in ("http", "https"):
        raise Unusable("has a server that is not a plain URL; give https://HOST:PORT")
    if plain["proxy-url"] and (proxy.scheme != "http" or not proxy.hostname):
        raise Unusable(
            "has a proxy-url that the gate's client can't use; give one that begins with http://,"
            " or a server that is reached without a proxy"
        )


def _oidc(user: Mapping[str, Any]) -> Mapping[str, Any] | None:
    provider = user.get("auth-provider")
    if provider is None:
        return None
    settings = provider.get("config") if isinstance(provider, dict) else None
    needed = ("idp-issuer-url", "client-id")
    if (
        not isinstance(settings, dict)
        or provider.get("name") != "oidc"
        or not all(isinstance(text, str) for text in settings.values())
        or not all(settings.get(key) for key in needed)
    ):
        raise Unusable(
            "has an auth-provider that is not oidc with an idp-issuer-url and a client-id; use an"
            " exec plugin"
        )
    if user.get("exec") is not None:
        raise Unusable("has both an auth-provider and an exec plugin; remove one of them")
    return settings
