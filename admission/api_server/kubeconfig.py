"""Which API server to talk to, and as whom: by a kubeconfig, or by the pod that this runs in."""

import asyncio
import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config.kube_config import KubeConfigLoader

from admission.api_server.credentials import verifying_as_go
from admission.api_server.current_context import CurrentContext, parse
from admission.api_server.exec_plugin import PluginFailed
from admission.api_server.kubeconfig_content import Unusable
from admission.api_server.named_files import NamedFiles, checked
from admission.api_server.proxy import proxy_for


async def client_of_kubeconfig(path: str | None, content: str | None) -> tuple[ApiClient, str]:
    """Return a client for the current context, and the PEM of the CA that it trusts, if any.

    The kubeconfig is given by its path or else by its content.

    Raises:
        ValueError: the kubeconfig can't be read or is invalid; the message quotes none of it.
    """
    name = path or "the kubeconfig that the stack's settings hold or name"
    configuration = Configuration()
    try:
        context, directory, files = await asyncio.to_thread(_read, path, content)
        files = await _authenticate(configuration, context, directory, files)
        return await asyncio.to_thread(_client, configuration, context, files), files.ca.decode()
    except Unusable as error:
        raise ValueError(f"{name} {error}") from None
    except OSError as error:
        missing = error.filename or path or "a file that the kubeconfig names"
        raise ValueError(f"{missing} can't be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - the library's errors may quote the content
        raise ValueError(f"{name} is not a usable kubeconfig ({type(error).__name__})") from None


def _read(path: str | None, content: str | None) -> tuple[CurrentContext, Path, NamedFiles]:
    """Return what a kubeconfig says, what its paths are relative to, and what is in the files."""
    directory, text = Path.cwd(), content or ""
    if path is not None:
        file = Path(path).expanduser()
        directory, text = file.absolute().parent, file.read_text()  # of the link, as for kubectl
    context = parse(text)
    return context, directory, checked(context, directory)


async def _authenticate(
    configuration: Configuration, context: CurrentContext, directory: Path, files: NamedFiles
) -> NamedFiles:
    """Set who asks, and return the files with the certificate of a plugin, if it gives one."""
    configuration.impersonation = [*context.headers]
    if context.login:
        encoded = base64.b64encode(":".join(context.login).encode()).decode()
        configuration.api_key["BearerToken"] = f"Basic {encoded}"
    if files.token:
        configuration.api_key["BearerToken"] = f"Bearer {files.token}"
    if context.oidc is not None:
        await KubeConfigLoader(_with_oidc(context.oidc)).load_and_set(configuration)
    if context.plugin is None:
        return files
    try:
        given = await context.plugin.run(directory, _cluster(context, files))
    except (PluginFailed, OSError) as error:
        command = context.plugin.program(directory)
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unusable(
            f"names an exec plugin that gave no credentials ({why}); run {command} to see why"
        ) from None
    if "token" in given:
        configuration.api_key["BearerToken"] = f"Bearer {given['token']}"
    certificate, key = given.get("clientCertificateData", ""), given.get("clientKeyData", "")
    return files.with_identity(certificate.encode(), key.encode())


def _with_oidc(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig of which the library reads the user alone."""
    provider = {"name": "oidc", "config": dict(settings)}
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"extensions": []}}],
        "users": [{"name": "u", "user": {"auth-provider": provider}}],
    }


def _cluster(context: CurrentContext, files: NamedFiles) -> dict[str, Any]:
    """Return what a plugin is told of the cluster: ExecCredential's `spec.cluster`."""
    ca = base64.b64encode(files.ca).decode()
    told = {
        "server": context.server,
        "tls-server-name": context.tls_server_name,
        "certificate-authority-data": ca,
        "proxy-url": context.proxy,
    }
    return {key: value for key, value in told.items() if value}


def _client(configuration: Configuration, context: CurrentContext, files: NamedFiles) -> ApiClient:
    configuration.host = context.server.rstrip("/")
    configuration.tls_server_name = context.tls_server_name or None
    configuration.proxy = context.proxy or None
    configuration.retries = None
    # The library reads files only: they are gone once it has, whatever ends this process.
    with tempfile.TemporaryDirectory(prefix="kubelet-tls-bootstrap-") as directory:
        for setting, content in (
            ("ssl_ca_cert", files.ca),
            ("cert_file", files.certificate),
            ("key_file", files.key),
        ):
            if content:
                file = Path(directory, setting)
                file.touch(mode=0o600)
                file.write_bytes(content)
                setattr(configuration, setting, str(file))
        return _client_of(configuration)


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
