"""Whether the kubelet takes a text: addresses, sizes, sets of CPUs, paths, endpoints, images.

A check returns what is wrong with a text, or None.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

from node_files.versions import quantities

WHOLE_SHARE = re.compile(r"\A[+]?[0-9]{1,9}%+\Z")
IMAGES = "preloadedImagesVerificationAllowlist[]"
_CPUS = re.compile(r"\A([+]?[0-9]{1,9})(?:-([+]?[0-9]{1,9}))?\Z")
_HOST = r"(?:[A-Za-z0-9._~!$&'()*+,;=\u00a1-\uffff-]*|\[[0-9A-Fa-f:.]+\])"
_ENDPOINT = re.compile(rf"\A(?:(?:dns|unix|unix-abstract):)?//{_HOST}(?::[0-9]*)?(?:/[!-~]*)?\Z")
_TARGET = re.compile(rf"\A{_HOST}(?::[0-9]*)?(?:/[!-~]*)?\Z")
# github.com/distribution/reference, without a tag and a digest.
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = (
    r"(?:(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?"
)
_IMAGE = re.compile(rf"\A{_DOMAIN}{_NAME}(?:/{_NAME})*\Z")


def _address(text: str) -> str | None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return f'"{text}" is not an IP address'
    return None


def _size(text: str) -> str | None:
    # parseMaxSize in pkg/kubelet/logs/container_log_manager.go; a negative one rotates nothing
    if not quantities.is_whole(text):
        return f'"{text}" is not a whole number of bytes; write one such as 10Mi'
    return None


def _cpus(text: str) -> str | None:
    # k8s.io/utils/cpuset, Parse
    for part in text.split(","):
        match = _CPUS.match(part)
        if not match:
            return f'"{text}" is not a list of CPUs such as 0-3,8'
        if match[2] and int(match[1]) > int(match[2]):
            return f'"{text}" has "{part}", which ends before it begins'
    return None


def _file_pattern(text: str) -> str | None:
    return f'"{text}" must not contain "=" or a comma' if "=" in text or "," in text else None


def _clean_path(text: str) -> str | None:
    clean = text.startswith("/") and "//" not in text and (text == "/" or not text.endswith("/"))
    if clean and text.isascii() and not {".", ".."} & set(text.split("/")):
        return None
    return f'"{text}" is not an absolute path in its shortest form'


def _endpoint(text: str) -> str | None:
    # component-base tracing/api/v1/config.go
    form = _ENDPOINT if "//" in text else _TARGET
    if form.match(text):
        return None
    return f'"{text}" is not an endpoint such as localhost:4317, dns://... or unix://...'


def _image(text: str) -> str | None:
    # getAllowlistImagePattern in pkg/kubelet/images/pullmanager
    prefix = text.removesuffix("/*")
    if prefix != text:
        right = bool(prefix) and "*" not in prefix and prefix == prefix.strip()
    else:
        right = bool(_IMAGE.match(text))
    if right:
        return None
    return f'"{text}" is neither an image without a tag nor a pattern such as registry.example/a/*'


def needs_registry(image: str) -> bool:
    """Return whether an image lacks its registry, which kubelets until 1.35 ask for."""
    first, slash, _ = image.partition("/")
    named = slash and (first == "localhost" or {".", ":", "["} & set(first))
    return not named and not image.endswith("/*")


CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "address": _address,
    "clusterDNS[]": _address,
    "containerLogMaxSize": _size,
    "healthzBindAddress": _address,
    "logging.vmodule[].filePattern": _file_pattern,
    "podLogsDir": _clean_path,
    IMAGES: _image,
    "reservedSystemCPUs": _cpus,
    "tracing.endpoint": _endpoint,
}
