"""Nodes: what the kubelet itself reports there."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

NO_ADDRESS = "(not an address)"
MACHINE_ID = re.compile(r"[0-9a-f]{32}")
VERSION = re.compile(r"v\d{1,4}(\.\d{1,4}){2}([-+][0-9A-Za-z.+-]{1,64})?")


def internal_addresses(node: Mapping[str, Any] | None) -> list[str]:
    """Return the Node's internal IP addresses; what its kubelet wrote that is none is told so."""
    return [
        _address(address.get("address"))
        for address in _status(node).get("addresses") or ()
        if address.get("type") == "InternalIP"
    ]


def _address(text: Any) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return NO_ADDRESS


def machine_id(node: Mapping[str, Any] | None) -> str:
    """Return the /etc/machine-id that the Node reports; empty if it reports another text."""
    found = system_info(node, "machineID")
    return found if MACHINE_ID.fullmatch(found) else ""


def ready_condition(node: Mapping[str, Any] | None, key: str) -> str:
    """Return the status or the message of the Node's condition Ready; empty if it has none."""
    conditions = _status(node).get("conditions") or ()
    return next((str(c.get(key, "")) for c in conditions if c["type"] == "Ready"), "")


def last_heartbeat(node: Mapping[str, Any] | None) -> datetime | None:
    """Return when the kubelet last reported how it is, by its own clock; None: it never did."""
    try:
        return datetime.fromisoformat(ready_condition(node, "lastHeartbeatTime"))
    except ValueError:
        return None


def is_silent(node: Mapping[str, Any]) -> bool:
    """Return whether its kubelet has not reported for so long that the cluster says so."""
    return ready_condition(node, "status") == "Unknown"


def system_info(node: Mapping[str, Any] | None, key: str) -> str:
    """Return a value of the Node's nodeInfo, such as kubeletVersion; empty if it has none."""
    return str((_status(node).get("nodeInfo") or {}).get(key, ""))


def kubelet_version(node: Mapping[str, Any] | None) -> str:
    """Return the version of the Node's kubelet, such as v1.37.2; empty if it reports another text.

    It gets into a stack's outputs, which others read.
    """
    found = system_info(node, "kubeletVersion")
    return found if VERSION.fullmatch(found) else ""


def _status(node: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (node or {}).get("status") or {}
