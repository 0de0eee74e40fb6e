"""Which API server to talk to, and as whom: by a kubeconfig, or by the pod that this runs in."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, kube_config, load_incluster_config
from kubernetes.aio.config.kube_config import KubeConfigLoader

from admission.api_server.credentials import named, proxy_for, verifying_as_go


async def client_of_kubeconfig(path: str | None, content: str | None) -> tuple[ApiClient, str]:
    """Return a client for the current context, and the PEM of the CA that it trusts, if any.

    The kubeconfig is given by its path or else by its content.

    Raises:
        ValueError: the kubeconfig can't be read or is invalid; the message quotes none of it.
    """
    name = path or "the kubeconfig that the stack's settings hold or name"
    try:
        client, ca, plugin = await _client(path, content)
    except FileNotFoundError as error:
        missing = error.filename or path or "a file that the kubeconfig names"
        raise ValueError(f"{missing} can't be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - the library's errors may quote the content
        raise ValueError(f"{name} is not a usable kubeconfig ({type(error).__name__})") from None
    configuration = client.configuration
    if plugin and not (configuration.api_key or configuration.cert_file):
        await client.close()
        raise ValueError(f"{name}: its exec plugin gave no credentials; run {plugin} to see why")
    if not configuration.verify_ssl:
        await client.close()
        raise ValueError(
            f"{name} sets insecure-skip-tls-verify, so anybody on the way to the API server could"
            " take its place; give the cluster's certificate-authority in its place"
        )
    return client, ca


async def _client(path: str | None, content: str | None) -> tuple[ApiClient, str, str]:
    """Return a client, the CA's PEM, and the exec plugin's command, if there is one."""
    configuration = Configuration()
    document, directory = await asyncio.to_thread(_load, path, content)
    context = named(document, "context", document["current-context"])
    user = named(document, "user", context["user"])
    await asyncio.to_thread(_as_kubectl_reads, user, Path(directory) if directory else Path.cwd())
    # What a kubeconfig holds as data, the library writes into files: they are gone once it has read
    # them, whatever ends this process.
    with tempfile.TemporaryDirectory(prefix="kubelet-tls-bootstrap-") as files:
        loader = KubeConfigLoader(
            config_dict=document, config_base_path=directory, temp_file_path=files
        )
        kube_config._temp_files.clear()  # it would name files that are gone
        await loader.load_and_set(configuration)
        configuration.retries = None
        ca = ""
        if configuration.ssl_ca_cert:
            ca = await asyncio.to_thread(Path(configuration.ssl_ca_cert).read_text)
        configuration.impersonation = impersonation(user)
        client = _client_of(configuration)
    plugin = user.get("exec")
    return client, ca, str(plugin["command"]) if plugin else ""


def _as_kubectl_reads(user: dict[str, Any], directory: Path) -> None:
    """Make of a user what the library reads otherwise than kubectl (client-go's clientcmd)."""
    if file := user.pop("tokenFile", None):
        user["token"] = (directory / str(file)).read_text().strip()
    plugin = user.get("exec")
    if isinstance(plugin, dict) and "/" in (command := str(plugin.get("command") or "")):
        plugin["command"] = str(directory / command)


def impersonation(user: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers with which a kubeconfig's user acts as another one.

    Raises:
        TypeError: a value is no list or no text where kubectl wants one, or no header can hold it.
    """
    if not isinstance(user.get("as-groups") or [], list):
        raise TypeError("as-groups")
    headers: list[tuple[str, Any]]
    headers = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    headers += [("Impersonate-Group", group) for group in user.get("as-groups") or ()]
    for key, values in (user.get("as-user-extra") or {}).items():
        if not isinstance(values, list):
            raise TypeError("as-user-extra")
        headers += [(f"Impersonate-Extra-{quote(str(key), safe='')}", value) for value in values]
    for name, value in headers:
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            raise TypeError(name)
    return [(name, value) for name, value in headers if value]


def _client_of(configuration: Configuration) -> ApiClient:
    """Return a client whose every request goes the same way.

    The library would read .netrc too, and send what that says to an API server.
    """
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or proxy_for(configuration.host)
    client = ApiClient(configuration=configuration)
    verifying_as_go(client.rest_client.ssl_context)
    return client


async def client_of_pod() -> tuple[ApiClient, str]:
    """Return a client for the ServiceAccount of this pod, and the PEM of the CA that it trusts.

    The library reads the token's file again every minute: the kubelet renews it.

    Raises:
        ValueError: this is not a pod with a ServiceAccount's token.
    """
    configuration = Configuration()
    try:
        await asyncio.to_thread(load_incluster_config, configuration)
        ca = await asyncio.to_thread(Path(configuration.ssl_ca_cert or "").read_text)
    except (ConfigException, OSError) as error:
        raise ValueError(
            f"this is not a pod with a ServiceAccount ({error}); elsewhere, give --kubeconfig"
        ) from None
    configuration.retries = None
    return _client_of(configuration), ca


def _load(path: str | None, content: str | None) -> tuple[Any, str | None]:
    """Return the kubeconfig's document, and the directory that its relative paths start from."""
    if path is None:
        return yaml.safe_load(content or ""), None
    file = Path(path).expanduser()
    return yaml.safe_load(file.read_text()), str(file.absolute().parent)
