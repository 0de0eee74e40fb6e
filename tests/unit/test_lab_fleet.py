"""The disks of the lab's machines, made in a directory of the test's own; no machine runs."""

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.fleet import Fleet
from lab.layout import Layout
from lab.machine import HOST_KEY, Machine


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A fleet of a control plane and a node, each with a file that somebody wrote on its disk."""
    fleet = Fleet(Layout(tmp_path / "lab", tmp_path / "cache"))
    fleet.layout.directory.mkdir()
    fleet.layout.ssh_key.with_suffix(".pub").write_text("ssh-ed25519 AAAA lab\n")
    layer = tmp_path / "layer"
    layer.mkdir()
    for machine, kubelet in ((fleet.control_plane, ""), (fleet.node(1), "1.35")):
        machine.create([layer], {}, kubelet=kubelet)
        (machine.upper / "etc/written").write_text("by somebody")
    return fleet


def known_key(fleet: Fleet, machine: Machine) -> str:
    lines = fleet.layout.known_hosts.read_text().splitlines()
    (key,) = [line.split(" ", 1)[1] for line in lines if line.startswith(f"{machine.address} ")]
    return key


@pytest.mark.parametrize("keep", [False, True])
def test_a_reinstalled_machine_has_a_new_disk_and_the_same_kubelet(
    fleet: Fleet, *, keep: bool
) -> None:
    node = fleet.node(1)
    layers, key = node.layers(), node.host_key()
    fleet.renew("node-1", keep_host_key=keep)

    assert not (node.upper / "etc/written").exists()
    assert (node.layers(), node.kubelet()) == (layers, "1.35")
    assert (node.host_key() == key) is keep
    assert known_key(fleet, node) == node.host_key()
    assert (node.upper / HOST_KEY).stat().st_mode & 0o777 == 0o600
    assert (fleet.control_plane.upper / "etc/written").exists()


def test_the_control_plane_is_not_reinstalled(fleet: Fleet) -> None:
    with pytest.raises(LabError, match="cp-1 holds the cluster"):
        fleet.renew("cp-1", keep_host_key=False)
    assert (fleet.control_plane.upper / "etc/written").exists()
