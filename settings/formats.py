"""The formats of single values in the settings: names, addresses, numbers, paths.

A validator's message continues after the path and the value: `is not ...; give ...`.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DNS_NAME = re.compile(rf"\A{DNS_LABEL}(\.{DNS_LABEL})*\Z")
PERCENTAGE = re.compile(r"\A([0-9]{1,3})%\Z")
HOST_PATH = re.compile(r"\A(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+\Z")


def between(low: int, high: int) -> AfterValidator:
    """Return the validator of a number in a range, both ends included."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"is not a number from {low} to {high}")
        return value

    return AfterValidator(check)


def at_least(low: int) -> AfterValidator:
    """Return the validator of a number with a lower limit."""

    def check(value: int) -> int:
        if value < low:
            raise ValueError(f"is less than {low}; give {low} or more")
        return value

    return AfterValidator(check)


def _share(value: object) -> object:
    """Return a number, or the text of a percentage as it is."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)  # so the engine may pass it on
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("is not a number of nodes or a percentage; give one such as 1 or 10%")
    if isinstance(value, int):
        if value < 1:
            raise ValueError("is less than 1; nothing could ever change, so give 1 or more")
        return value
    found = PERCENTAGE.match(value)
    if found is None or not 1 <= int(found[1]) <= 100:
        raise ValueError("is not a percentage from 1% to 100%; give one such as 10%")
    return value


def matching(pattern: str, message: str) -> AfterValidator:
    """Return the validator of a text that must match a pattern as a whole."""
    compiled = re.compile(rf"\A(?:{pattern})\Z")

    def check(value: str) -> str:
        if not compiled.match(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _name(value: str) -> str:
    if not DNS_NAME.match(value) or len(value) > 253:
        raise ValueError(
            "is not a name in lower-case letters, digits, - and . (RFC 1123); give one such as"
            " node-1 or node-1.example.org"
        )
    return value


def _ip_address(hint: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            # A zone, such as %eth0, means something on one machine only. No kubelet accepts one.
            return str(ipaddress.ip_address("" if "%" in value else value))
        except ValueError:
            raise ValueError(f"is not an IP address; give {hint}") from None

    return check


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(
            "is not a network such as 10.96.0.0/12; give its first address and its prefix length"
        ) from None


def _server(value: str) -> str:
    if not re.match(r"\Ahttps://[A-Za-z0-9.:\[\]-]+\Z", value):
        raise ValueError(
            "is not an https URL without a path; give the API server's, such as"
            " https://10.0.0.10:6443"
        )
    return value


def _host_path(value: str) -> str:
    if not HOST_PATH.match(value) or ".." in value:
        raise ValueError(
            "is not an absolute path of letters, digits and _ . @ + -; give one such as"
            " /var/lib/kubelet"
        )
    return value


def _unit_path(value: str) -> str:
    if not _host_path(value).endswith("/kubelet.service"):
        raise ValueError("does not end in /kubelet.service; the service is started by that name")
    return value


Name = Annotated[str, AfterValidator(_name)]
# A pool's name is part of resource names and of the token's group, which can't have dots.
PoolName = Annotated[
    str,
    matching(
        DNS_LABEL, "is not a pool's name; use up to 63 lower-case letters, digits and -, no dots"
    ),
]
Address = Annotated[
    str, AfterValidator(_ip_address("the address on which the machine's sshd listens"))
]
IpAddress = Annotated[str, AfterValidator(_ip_address("one such as 10.0.0.11 or fd00::11"))]
Network = Annotated[str, AfterValidator(_network)]
Server = Annotated[str, AfterValidator(_server)]
Port = Annotated[int, between(1, 65535)]
Repair = Annotated[int, at_least(0)]
HostPath = Annotated[str, AfterValidator(_host_path)]
UnitPath = Annotated[str, AfterValidator(_unit_path)]
UserName = Annotated[
    str,
    matching(
        r"[a-z_][a-z0-9_-]*",
        "is not the name of a user or group; use lower-case letters, digits, _ and -, beginning"
        " with a letter or _",
    ),
]
AclEntry = Annotated[
    str,
    matching(
        r"[ug]:[a-z_][a-z0-9_-]*:r",
        "is not an ACL entry that lets a user or group read; give one such as u:kube:r",
    ),
]
SelinuxType = Annotated[
    str, matching(r"[a-z_][a-z0-9_]*", "is not an SELinux type such as container_file_t")
]
Endpoint = Annotated[
    str,
    matching(
        r"unix:///[A-Za-z0-9_./-]+",
        "is not a socket's URL; give one such as unix:///run/containerd/containerd.sock",
    ),
]
Namespace = Annotated[
    str, matching(DNS_LABEL, "is not a namespace's name; use lower-case letters, digits and -")
]
Share = Annotated[int | str, BeforeValidator(_share)]
