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
USER = "[A-Za-z_][A-Za-z0-9_.@-]*"  # as a directory has them too
LENGTH = re.compile(r"/[0-9]{1,3}\Z")
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


def _count_or_percent(value: object) -> object:
    text = str(value)
    # A number as text too: so the engine passes on those of a stack.
    if re.fullmatch(r"[0-9]{1,6}", text):
        return int(text)
    if isinstance(value, str) and re.fullmatch(r"([0-9]{1,2}|100)%", text):
        return text
    raise ValueError('is not a number from 0 or a percentage up to "100%"; give one such as 5')


def of_total(limit: int | str, total: int) -> int:
    """Return how many of a total a number or a percentage allows, rounded down."""
    if isinstance(limit, int):
        return limit
    return total * int(limit.removesuffix("%")) // 100


def _not_zero(value: int | str) -> int | str:
    if value in (0, "0%"):
        raise ValueError("allows no node, so nothing could ever change; give 1 or more")
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


def _domain(value: str) -> str:
    _name(value.removesuffix("."))  # a kubelet takes both
    return value


def _network(value: str) -> str:
    try:
        # The API server takes no other form: neither a netmask nor one address alone.
        return str(ipaddress.ip_network(value if LENGTH.search(value) else ""))
    except ValueError:
        raise ValueError(
            "is not a network such as 10.96.0.0/12; give its first address and its prefix length"
        ) from None


def _networks(value: object) -> tuple[str, ...]:
    # As kubeadm and the API server's --service-cluster-ip-range take them, or as a list.
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(entry, str) for entry in given):
        raise ValueError("is not a network such as 10.96.0.0/12, or a list of two")
    networks = tuple(_network(entry.strip()) for entry in given)
    versions = {ipaddress.ip_network(network).version for network in networks}
    if not networks or len(versions) != len(networks):
        raise ValueError("is not one network, or one of IPv4 and one of IPv6; give no others")
    return networks


def _host_path(value: str) -> str:
    value = value.removesuffix("/")  # of a directory
    if not HOST_PATH.match(value) or ".." in value:
        raise ValueError(
            "is not an absolute path of letters, digits and _ . @ + -; give one such as"
            " /var/lib/kubelet"
        )
    return value


def _unit_path(value: str) -> str:
    value = _host_path(value)
    if not value.endswith("/kubelet.service"):
        raise ValueError("does not end in /kubelet.service; the service is started by that name")
    return value


def _endpoint(value: object) -> object:
    # Kubelets take a path too, and a URL without slashes before it.
    path = value.removeprefix("unix:") if isinstance(value, str) else ""
    return f"unix://{path}" if re.match("/[^/]", path) else value


Name = Annotated[str, AfterValidator(_name)]
DomainName = Annotated[str, AfterValidator(_domain)]
# Of a cluster in a kubeconfig: kubectl takes any.
ClusterName = Annotated[
    str, matching(r"[^\x00-\x1f\x7f]{1,253}", "is not one line of text; give the cluster's name")
]
# A pool's name is part of resource names and of the token's group, which can't have dots.
PoolName = Annotated[
    str,
    matching(
        DNS_LABEL, "is not a pool's name; use up to 63 lower-case letters, digits and -, no dots"
    ),
]
Address = Annotated[
    str,
    AfterValidator(
        _ip_address("the machine's own; sshAddress is for SSH alone, and may be a DNS name")
    ),
]
IpAddress = Annotated[str, AfterValidator(_ip_address("one such as 10.0.0.11 or fd00::11"))]
Networks = Annotated[tuple[str, ...], BeforeValidator(_networks)]
Port = Annotated[int, between(1, 65535)]
CountOrPercent = Annotated[int | str, BeforeValidator(_count_or_percent)]
Repair = Annotated[int, at_least(0)]
HostPath = Annotated[str, AfterValidator(_host_path)]
UnitPath = Annotated[str, AfterValidator(_unit_path)]
UserName = Annotated[
    str,
    matching(
        USER,
        "is not the name of a user or group; use letters, digits and _ . @ -, beginning with a"
        " letter or _",
    ),
]
# As LDAP and Active Directory have them too. ssh.c (valid_ruser) takes no more than these.
LoginName = Annotated[
    str,
    matching(
        r"""(?!-)(?:[^\s\x00-\x1f\x7f'`"$;&<>|(){}]|(?<=\S) (?=[^\s-])){1,256}(?<!\\)""",
        "is not a user that ssh logs in as; use letters, digits and . _ - @ \\; no - first",
    ),
]
AclEntry = Annotated[
    str,
    matching(
        rf"[ug]:{USER}:r",
        "is not an ACL entry that lets a user or group read; give one such as u:kube:r",
    ),
]
SelinuxType = Annotated[
    str, matching(r"[a-z_][a-z0-9_]*", "is not an SELinux type such as container_file_t")
]
Endpoint = Annotated[
    str,
    BeforeValidator(_endpoint),
    matching(
        r"unix:///[A-Za-z0-9_./-]+",
        "is not a socket's URL; give one such as unix:///run/containerd/containerd.sock",
    ),
]
Namespace = Annotated[
    str, matching(DNS_LABEL, "is not a namespace's name; use lower-case letters, digits and -")
]
# A reference, as kubelets read it; what they find wrong in more detail is left to them.
Image = Annotated[
    str,
    matching(
        r"(?![a-z]+://)[^\s@]+(@\S+)?",
        "is not an image; give one such as registry.example.org/approver@sha256:...",
    ),
]
StackName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+){0,2}",
        "is not a stack's name; give organization/project/stack (pulumi stack ls --all shows them)",
    ),
]
OutputName = Annotated[str, matching(r"[^\s-][^\s]*", "is not an output's name; give one")]
Share = Annotated[CountOrPercent, AfterValidator(_not_zero)]
