"""By which proxy of the environment an API server is reached: as for Go's programs.

kubectl and Pulumi's Kubernetes provider read it with golang.org/x/net/http/httpproxy: networks in
NO_PROXY count, and this machine itself is always reached directly.
"""

import contextlib
import os
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": "80", "https": "443"}


def proxy_for(server: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the proxy's URL for that of an API server; None: it is reached directly."""
    address = urlsplit(server)
    proxy = _of(f"{address.scheme}_proxy", environ)
    if not proxy:
        return None
    host = address.hostname or ""
    port = str(address.port or DEFAULT_PORTS.get(address.scheme, ""))
    ip = _address(host)
    if host == "localhost" or (ip is not None and ip.is_loopback):
        return None
    entries = _of("no_proxy", environ).lower().split(",")
    if any(_matches(entry.strip(), host, port) for entry in entries):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _of(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name.upper()) or environ.get(name) or ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _matches(entry: str, host: str, port: str) -> bool:
    """Return whether an entry of NO_PROXY is for a host and its port."""
    if entry in ("", "*"):
        return entry == "*"
    address = _address(host)
    with contextlib.suppress(ValueError):
        if entry.rpartition("/")[2].isdecimal() and "/" in entry:
            network = ip_network(entry, strict=False)
            return address is not None and address in network
    name, of_port = _split(entry)
    if of_port not in ("", port):
        return False
    if address is not None:
        return _address(name) == address
    if name.startswith(("*.", ".")):
        return host.endswith(name.removeprefix("*"))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, str]:
    """Return a host and a port, "" if there is none."""
    if entry.startswith("[") and "]:" in entry:
        name, _, port = entry[1:].partition("]:")
        return name, port
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name:
        return name, port
    return entry, ""
