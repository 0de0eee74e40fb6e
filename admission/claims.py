"""The table of claims: which name or address is whose, and which no node may have.

A serving certificate may hold a node's names and addresses. What two nodes claim, and what no node
may have, the settings refuse before anything is touched, and the gate and the resident approver
when it is requested. All of them ask here.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Claim = str | IpAddress
Claimant = TypeVar("Claimant")

# Names by which pods and the API server itself reach the API server and other Services.
CLUSTER_NAME = re.compile(
    r"\A(localhost|kubernetes)(\..*)?\Z|\A(.*\.)?localhost\Z|\A.*\.svc(\..*)?\Z"
)
BROADCAST = ipaddress.IPv4Address("255.255.255.255")


def claim(value: Claim) -> Claim:
    """Return a name or an address in the form in which the table has it.

    A name that is an address claims that address: a kubelet asks for its host name as an address
    then (pkg/kubelet/certificate/kubelet.go: addressesToHostnamesAndIPs).
    """
    if not isinstance(value, str):
        return value
    name = value.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return name


def nobodys(value: Claim) -> str:
    """Say why no node of any cluster may have a name or an address; empty: one may.

    Of addresses a kubelet refuses most itself (pkg/kubelet/kubelet_node_status.go: validateNodeIP).
    """
    wanted = claim(value)
    if isinstance(wanted, str):
        return "one of the cluster's own names" if CLUSTER_NAME.match(wanted) else ""
    if isinstance(wanted, ipaddress.IPv6Address) and wanted.ipv4_mapped:
        return "an IPv4 address in IPv6 form"
    kinds = {
        "a loopback address": wanted.is_loopback,
        "the unspecified address": wanted.is_unspecified,
        "a multicast address": wanted.is_multicast,
        "a link-local address": wanted.is_link_local,
        "the broadcast address": wanted == BROADCAST,
    }
    return next((kind for kind, found in kinds.items() if found), "")


class Claims(Generic[Claimant]):
    """Who claims what, in the order in which they were added."""

    def __init__(self) -> None:
        self._claimants: dict[Claim, list[Claimant]] = {}

    def add(self, claimant: Claimant, values: Iterable[Claim]) -> None:
        """Note what somebody claims, each name and address once."""
        for wanted in dict.fromkeys(map(claim, values)):
            self._claimants.setdefault(wanted, []).append(claimant)

    def first(self, value: Claim) -> Claimant | None:
        """Return who has claimed a name or an address before all others."""
        claimants = self._claimants.get(claim(value))
        return claimants[0] if claimants else None

    def disputes(self) -> Iterator[tuple[Claim, list[Claimant]]]:
        """Yield what more than one claims, and who they are."""
        for wanted, claimants in self._claimants.items():
            if len(claimants) > 1:
                yield wanted, claimants
