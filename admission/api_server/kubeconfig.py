"""Which API server to talk to, and as whom: by a kubeconfig, or by the pod that this runs in."""

import asyncio
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config.kube_config import KubeConfigLoader


async def client_of_kubeconfig(path: str | None, content: str | None) -> tuple[ApiClient, str]:
    """Return a client for the current context, and the PEM of the CA that it trusts, if any.

    The kubeconfig is given by its path or else by its content.

    Raises:
        ValueError: the kubeconfig can't be read or is invalid; the message quotes none of it.
    """
    configuration = Configuration()
    try:
        document, directory = await asyncio.to_thread(_load, path, content)
        loader = KubeConfigLoader(config_dict=document, config_base_path=directory)
        await loader.load_and_set(configuration)
        configuration.retries = None
        ca = ""
        if configuration.ssl_ca_cert:
            ca = await asyncio.to_thread(Path(configuration.ssl_ca_cert).read_text)
        return ApiClient(configuration=configuration), ca
    except FileNotFoundError as error:
        name = error.filename or path or "a file that the kubeconfig names"
        raise ValueError(f"{name} can't be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - the library's errors may quote the content
        name, kind = path or "the secret key kubeconfig", type(error).__name__
        raise ValueError(f"{name} is not a usable kubeconfig ({kind})") from None


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
    return ApiClient(configuration=configuration), ca


def _load(path: str | None, content: str | None) -> tuple[Any, str | None]:
    """Return the kubeconfig's document, and the directory that its relative paths start from."""
    if path is None:
        return yaml.safe_load(content or ""), None
    file = Path(path).expanduser()
    return yaml.safe_load(file.read_text()), str(file.resolve().parent)
