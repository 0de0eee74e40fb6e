"""The lab's network: a bridge, its addresses, and a route that keeps its traffic on this machine.

The bridge's alias holds the lab's directory. By it a lab tells its own bridge from another lab's
and from anybody else's. A bridge outlives a lab whose processes were all killed; the next lab
takes it over.
"""

import fcntl
import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

from lab.errors import LabError

BRIDGE = "ktb0"
UNNAMED = f"{BRIDGE}-new"
SUBNET = ipaddress.IPv4Network("10.98.0.0/24")
HOST_ADDRESS = "10.98.0.1"
CONTROL_PLANE_ADDRESS = "10.98.0.10"
MOST_NODES = 200
# Marks our route; the kernel and iproute2 give numbers from 64 up no meaning.
ROUTE_PROTOCOL = "98"
ROUTE_METRIC = "4278198272"
ALIAS = "kubelet-tls-bootstrap lab in "


def node_address(number: int) -> str:
    """Return the address of `node-<number>`; the first is 1."""
    return str(SUBNET[10 + number])


def ip(*args: str, check: bool = True) -> str:
    """Run `ip` and return its stdout; raise LabError with its message if it fails."""
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise LabError(
            f"ip {' '.join(args)}: {done.stderr.strip()}",
            "check that the kernel has this feature",
        )
    return done.stdout


def _json(*args: str) -> list[dict[str, Any]]:
    return json.loads(ip("-json", *args, check=False) or "[]")  # type: ignore[no-any-return]


def owner(links: list[dict[str, Any]]) -> str | None:
    """Return the bridge's owner: a lab's directory, "" for somebody else, None if unused."""
    for link in links:
        if link.get("ifname") == BRIDGE:
            alias = str(link.get("ifalias", ""))
            return alias.removeprefix(ALIAS) if alias.startswith(ALIAS) else ""
    return None


def conflict(
    directory: Path, links: list[dict[str, Any]], routes: list[dict[str, Any]]
) -> LabError | None:
    """Return what prevents our bridge, or None.

    Args:
        directory: the lab's own.
        links: what `ip -json -details address show` prints.
        routes: what `ip -json route show table all` prints.
    """
    holder = owner(links)
    if holder == "":
        return LabError(
            f"a network interface named {BRIDGE} exists and is not the lab's",
            f"remove or rename it (ip link show {BRIDGE})",
        )
    if holder is not None and holder != str(directory) and _in_use(holder, links):
        return LabError(
            f"another lab runs from {holder}",
            f"stop it first: LAB_DIR={holder} .venv/bin/python -m lab down",
        )
    for link in links:
        for address in link.get("addr_info", []):
            found = ipaddress.ip_address(address["local"])
            if link["ifname"] != BRIDGE and found in SUBNET:
                return LabError(
                    f"interface {link['ifname']} has the address {found}, which is in the "
                    f"lab's network {SUBNET}",
                    f"remove it while the lab runs (ip address show dev {link['ifname']})",
                )
    for route in routes:
        if route.get("dev") == BRIDGE or str(route.get("protocol")) == ROUTE_PROTOCOL:
            continue
        if _inside(str(route["dst"])):
            return LabError(
                f"this machine has a route to {route['dst']} by {route.get('dev', 'a rule')}, "
                f"which is in the lab's network {SUBNET}",
                f"remove it while the lab runs (ip route show {route['dst']})",
            )
    return None


def _in_use(holder: str, links: list[dict[str, Any]]) -> bool:
    """Return whether another lab has a machine on the bridge, or is about to start or stop one."""
    if any(link.get("master") == BRIDGE for link in links):
        return True
    try:
        with (Path(holder) / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _inside(destination: str) -> bool:
    try:
        network = ipaddress.ip_network(destination, strict=False)
    except ValueError:
        return False
    return isinstance(network, ipaddress.IPv4Network) and network.subnet_of(SUBNET)


def check(directory: Path) -> None:
    """Raise LabError if the bridge or an address of the lab belongs to somebody else."""
    found = conflict(
        directory,
        _json("-details", "address", "show"),
        _json("-4", "route", "show", "table", "all"),
    )
    if found:
        raise found


def start(directory: Path) -> None:
    """Make the route, the bridge and its address, unless they exist already."""
    check(directory)
    routes = _json("-4", "route", "show", "proto", ROUTE_PROTOCOL, str(SUBNET))
    if not routes:
        # First in, last out: traffic to a machine of the lab never takes the default route.
        ip("route", "add", *_route())
    holder = owner(_json("link", "show"))
    if holder is not None and holder != str(directory):
        ip("link", "delete", BRIDGE)
    if holder != str(directory):
        # Under another name until it has its alias, so that every bridge of our name has an owner.
        ip("link", "delete", UNNAMED, check=False)
        ip("link", "add", UNNAMED, "type", "bridge")
        ip("link", "set", UNNAMED, "alias", f"{ALIAS}{directory}")
        ip("link", "set", UNNAMED, "name", BRIDGE)
    ip("address", "replace", f"{HOST_ADDRESS}/{SUBNET.prefixlen}", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")


def _route() -> list[str]:
    return ["unreachable", str(SUBNET), "metric", ROUTE_METRIC, "proto", ROUTE_PROTOCOL]


def up(directory: Path) -> bool:
    """Return whether this lab's bridge exists."""
    return owner(_json("link", "show")) == str(directory)


def stop(directory: Path) -> None:
    """Remove this lab's bridge and route; leave those of other labs and of anybody else."""
    holder = owner(_json("link", "show"))
    if holder is not None and holder != str(directory):
        return
    if holder is not None:
        ip("link", "delete", BRIDGE)
    if _json("-4", "route", "show", "proto", ROUTE_PROTOCOL, str(SUBNET)):
        ip("route", "delete", *_route())
