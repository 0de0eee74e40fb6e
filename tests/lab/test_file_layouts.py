"""Real kubelets run with the classic layout, and by a drop-in of a package's unit.

Runs before `test_join` by name, on the same lab, and leaves it with nothing joined.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.project import Project

pytestmark = pytest.mark.lab

PACKAGE_UNIT = "/usr/lib/systemd/system/kubelet.service"
# As kubeadm's package has it: a unit that would not start by itself, and a drop-in that sets what
# it runs.
PACKAGE = f"""\
mkdir -p {PACKAGE_UNIT}.d
cat >{PACKAGE_UNIT} <<'END'
[Unit]
Description=the unit of a package
[Service]
ExecStart=/usr/bin/kubelet
[Install]
WantedBy=multi-user.target
END
cat >{PACKAGE_UNIT}.d/10-kubeadm.conf <<'END'
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart=/usr/bin/kubelet --config=/nowhere
END
"""
CLASSIC_KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"


@pytest.fixture(scope="module")
def joined(project: Project) -> Iterator[Project]:
    """Two machines that join: one by the classic layout, one with a package's unit."""
    project.ssh("node-1", "useradd --system kube")
    project.ssh("node-2", PACKAGE)
    original, settings = project.settings(), project.settings()
    classic, packaged = settings["config"]["kubelet-tls-bootstrap:pools"]["workers"]["nodes"]
    classic["preset"] = "classic"
    packaged |= {"preset": "cis", "unit": "drop-in", "watchdogSeconds": 60, "embedCa": True}
    project.write_settings(settings)
    project.up()
    yield project
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")
    # Wherever its root is, a kubelet makes its device plugins' directory there.
    project.ssh("node-1", "userdel kube; rm -r /var/lib/kubelet")
    project.ssh("node-2", f"rm -r {PACKAGE_UNIT} {PACKAGE_UNIT}.d; systemctl daemon-reload")


def configuration(project: Project, node: str) -> dict[str, Any]:
    """What the node's kubelet says that it runs with."""
    text = project.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz").stdout
    found: dict[str, Any] = json.loads(text)["kubeletconfig"]
    return found


def test_the_classic_layout_has_its_paths_its_owner_and_its_acl(joined: Project) -> None:
    found = joined.ssh(
        "node-1", f"stat -c '%a %U:%G' /data/kubelet; getfacl -cp {CLASSIC_KUBECONFIG}"
    )
    assert found.startswith("700 kube:kube\n")
    assert "user:kube:r--\n" in found
    reader = f"setpriv --reuid=kube --regid=kube --clear-groups head -c 10 {CLASSIC_KUBECONFIG}"
    assert joined.ssh("node-1", reader) == "apiVersion"
    arguments = joined.ssh("node-1", "tr '\\0' '\\n' </proc/$(pidof kubelet)/cmdline")
    assert "--root-dir=/data/kubelet\n--v=4\n" in arguments
    assert joined.ssh("node-1", "readlink /proc/$(pidof kubelet)/cwd") == "/data/kubelet\n"
    fields = configuration(joined, "node-1")
    assert fields["authentication"]["x509"]["clientCAFile"] == "/etc/kubernetes/ssl/ca.pem"
    assert fields["enableContentionProfiling"] is True
    assert fields.get("seccompDefault", False) is False


def test_a_packages_unit_stays_and_runs_what_our_drop_in_says(joined: Project) -> None:
    assert "the unit of a package" in joined.ssh("node-2", f"cat {PACKAGE_UNIT}")
    shown = joined.ssh("node-2", "systemctl show -p ExecStart,EnvironmentFiles kubelet.service")
    assert "$KUBELET_ARGS" in shown
    assert "/nowhere" not in shown
    assert "kubeadm-flags" not in shown


def test_the_watchdog_hears_the_kubelet(joined: Project) -> None:
    shown = joined.ssh(
        "node-2", "systemctl show -p Type,WatchdogUSec,NRestarts,ActiveState kubelet.service"
    )
    assert set(shown.split()) == {
        *("Type=notify", "WatchdogUSec=1min", "NRestarts=0", "ActiveState=active"),
    }
    assert "Starting systemd watchdog" in joined.ssh("node-2", "journalctl -u kubelet -o cat")


def test_the_cis_preset_is_what_the_kubelet_runs_with(joined: Project) -> None:
    fields = configuration(joined, "node-2")
    assert fields["podPidsLimit"] == 4096
    assert len(fields["tlsCipherSuites"]) == 6
    assert fields["seccompDefault"] is True
    assert fields["makeIPTablesUtilChains"] is True


def test_the_kubelet_keeps_the_embedded_ca(joined: Project) -> None:
    kubeconfig = joined.ssh("node-2", "cat /etc/kubernetes/kubelet.conf")
    assert "certificate-authority-data:" in kubeconfig
    assert "certificate-authority:" not in kubeconfig


def test_the_next_preview_changes_nothing(joined: Project) -> None:
    assert joined.preview() == {}


def test_leaving_takes_our_files_and_keeps_the_packages_unit(joined: Project) -> None:
    joined.pulumi("destroy", "--yes", "--skip-preview")
    drop_in = f"/etc/systemd/system/{PACKAGE_UNIT.rpartition('/')[2]}.d"
    assert joined.ssh("node-2", f"ls {PACKAGE_UNIT}; ls -d {drop_in} || true").split() == [
        PACKAGE_UNIT
    ]
    left = f"ls -d /data/kubelet {CLASSIC_KUBECONFIG} /etc/kubernetes/ssl 2>/dev/null || true"
    assert joined.ssh("node-1", left) == ""
