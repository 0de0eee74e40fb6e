"""The formats of hosts in the settings: where the API server and sshd answer, DNS names and more.

They are as wide as what connects there: Go and OpenSSH take `_` and capitals in a name, which no
Node and no certificate of one has. A validator's message continues as in `formats`.
"""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"\A{_LABEL}(\.{_LABEL})*\.?\Z")
# A name with a number at its end is read as an IPv4 address, or not at all (RFC 1123, 2.1).
_NUMBER_AT_END = re.compile(r"(\A|\.)([0-9]+|0x[0-9a-f]*)\.?\Z", re.IGNORECASE)
_SERVER = re.compile(
    r"\Ahttps://(?P<host>\[(?P<ipv6>[0-9a-f:.]+)\]|[^\[\]:/@]+)(:(?P<port>[0-9]{1,5}))?/?\Z",
    re.IGNORECASE,
)


def _is_name(value: str) -> bool:
    return bool(_HOST.match(value)) and len(value) <= 253 and not _NUMBER_AT_END.search(value)


def _ssh_host(value: str) -> str:
    """Return the host as it is given, or the shortest form of its address."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        if _is_name(value):
            return value
        raise ValueError(
            "is neither an IP address nor a DNS name; give the one at which the machine's sshd"
            " answers, without a user, its port and brackets, such as 203.0.113.7 or"
            " node-1.example.org"
        ) from None
    zone = isinstance(address, ipaddress.IPv6Address) and address.scope_id
    if zone and not (address.is_link_local and re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", zone)):
        raise ValueError("has a zone, which only a link-local address has; leave it out")
    if _is_nowhere(address) or str(address) == "255.255.255.255":
        raise ValueError(
            "is an address at which no machine can be reached; give the one at which its sshd"
            " answers"
        )
    return str(address)


def _ssh_address(value: str) -> str:
    host = _ssh_host(value)
    return host if "%" in host else host.lower()


def _bastion_address(value: str) -> str:
    _ssh_host(value)
    return value  # its machines' commands have it as it was given


def _server(value: str) -> str:
    match = _SERVER.match(value)
    right = match is not None and (match["port"] is None or 0 < int(match["port"]) <= 65535)
    if match is None or not right or not _is_host(match["ipv6"], match["host"]):
        raise ValueError(
            "is not an https URL of a host and its port, without a path; give the API server's,"
            " such as https://10.0.0.10:6443 or https://[fd00::10]:6443"
        )
    return f"https{value[len('https') :].removesuffix('/')}"


def _is_host(ipv6: str | None, host: str) -> bool:
    try:
        address = ipaddress.ip_address(ipv6 or host)
    except ValueError:
        return _is_name(host)
    return address.version == (6 if ipv6 else 4) and not _is_nowhere(address)


def _is_nowhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # A link-local address of IPv6 means nothing without a zone.
    zoneless = isinstance(address, ipaddress.IPv6Address) and not address.scope_id
    return address.is_unspecified or address.is_multicast or (zoneless and address.is_link_local)


SshAddress = Annotated[str, AfterValidator(_ssh_address)]
BastionAddress = Annotated[str, AfterValidator(_bastion_address)]
Server = Annotated[str, AfterValidator(_server)]
