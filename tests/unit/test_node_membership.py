"""Whose machine it is, and what follows the settings on a machine that has joined."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import node_files
from node_files import Cluster
from tests.unit.node_machine import CA, INSTALL, OTHER_SIGNER, Machine
from tests.unit.test_node_preflight import NO_SIGNER

OTHER_SERVER = "https://10.0.0.8:6443"
OPENSSL = f"""\
#!/bin/sh
[ "$1" = verify ] || exit 1
[ ! -e "$FAKE/wrong-signer" ] || {{ echo '{OTHER_SIGNER}' >&2 && exit 2; }}
"""


@pytest.fixture(params=("dash", "busybox"))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    (tmp_path / "systemd").mkdir()
    made = Machine(tmp_path, ("busybox", "sh") if request.param == "busybox" else ("dash",))
    openssl = tmp_path / "fake/bin/openssl"
    openssl.write_text(OPENSSL)
    openssl.chmod(0o755)
    return made


def ok(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def everything(machine: Machine) -> dict[str, str]:
    """Each file of the machine with its mode and content, but for the lock."""
    return {
        name: f"{mode} {machine.path(name).read_text()}" for name, mode in machine.files().items()
    }


def install(machine: Machine, cluster: Cluster, **changes: Any) -> dict[str, Any]:
    bundle = node_files.bundle(cluster, machine.node(**changes))
    return ok(machine.run(INSTALL, bundle))


def without_owner(machine: Machine) -> None:
    """Turn the list on the machine into one of a program that did not note the owner."""
    manifest = machine.path("lib/state/manifest")
    kept = [
        line
        for line in manifest.read_text().splitlines(keepends=True)
        if line.startswith(("dir ", "file ", "wrote "))
    ]
    manifest.write_text("".join(kept))


@pytest.mark.parametrize("listed", [True, False])
def test_another_nodes_machine_is_refused_before_it_is_changed(
    machine: Machine, listed: bool
) -> None:
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    if not listed:
        without_owner(machine)
    before = everything(machine)
    done = machine.install(name="node-9")
    assert done.returncode != 0
    assert (
        "this machine is the node node-1; to make it node-9, remove node-1 from the settings and"
        " run pulumi up, then add node-9 and run it again" in done.stderr
    )
    assert everything(machine) == before
    assert not any(call.startswith(("restart", "disable")) for call in machine.calls())


@pytest.mark.parametrize("listed", [True, False])
def test_a_machine_that_is_another_node_now_is_not_removed(machine: Machine, listed: bool) -> None:
    """As at the end of a run in which a reinstalled machine has joined under a new name."""
    ok(machine.install(name="node-9"))
    machine.joins()
    machine.path("fake/active").touch()
    if not listed:
        without_owner(machine)
    before = everything(machine)
    report = ok(machine.remove(name="node-1"))
    assert report["removed"] == []
    assert report["notes"] == ["this machine is the node node-9 now; nothing was removed"]
    assert everything(machine) == before
    assert not any(call.startswith("disable") for call in machine.calls())


def test_the_same_node_is_taken_over_from_a_list_without_an_owner(machine: Machine) -> None:
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    listed = machine.path("lib/state/manifest").read_text()
    without_owner(machine)
    assert ok(machine.install())["changed"] == []
    assert machine.path("lib/state/manifest").read_text() == listed
    assert not any(call.startswith("restart") for call in machine.calls())


OTHER_STACK = "o/p/other"


def test_another_stacks_machine_is_refused_before_it_is_changed(machine: Machine) -> None:
    """Though its node has the same name there."""
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    before = everything(machine)
    done = machine.install(stack=OTHER_STACK)
    assert done.returncode != 0
    manifest = machine.path("lib/state/manifest")
    assert (
        "this machine is the node node-1 of the stack o/p/s; to make it node-1 of o/p/other, remove"
        " node-1 from the settings of o/p/s and run pulumi up there, then run it here again (if"
        f' o/p/s no longer exists, remove the line "stack o/p/s" from {manifest} on this machine)'
        in done.stderr
    )
    assert "node-1 from the settings and" not in done.stderr
    assert everything(machine) == before
    manifest.write_text(manifest.read_text().replace("stack o/p/s\n", ""))
    assert ok(machine.install(stack=OTHER_STACK))["changed"] == []
    assert "stack o/p/other\n" in manifest.read_text()


def test_a_machine_that_is_another_stacks_now_is_not_removed(machine: Machine) -> None:
    ok(machine.install(stack=OTHER_STACK))
    machine.joins()
    machine.path("fake/active").touch()
    before = everything(machine)
    report = ok(machine.remove())
    assert report["removed"] == []
    assert report["notes"] == [
        "this machine is the node node-1 of the stack o/p/other now; nothing was removed"
    ]
    assert everything(machine) == before
    assert not any(call.startswith("disable") for call in machine.calls())


def without_stack(machine: Machine) -> None:
    """Turn the list on the machine into one of a program that did not note the stack."""
    manifest = machine.path("lib/state/manifest")
    manifest.write_text(manifest.read_text().replace("stack o/p/s\n", ""))


def test_a_list_without_a_stack_gets_it_and_nothing_else_happens(machine: Machine) -> None:
    """Nothing to prove either: a kubelet that is not healthy goes on as it is."""
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    machine.path("fake/no-server").touch()  # nor does the kubelet answer
    listed = machine.path("lib/state/manifest").read_text()
    without_stack(machine)
    names = [
        name for name in machine.files() if name not in ("lib/state/manifest", "lib/state/lock")
    ]
    before = {name: machine.path(name).stat() for name in names}
    machine.path("fake/bin/systemd-run").unlink()
    report = ok(machine.install())
    assert (report["changed"], report["repaired"], report["kubelet"]) == ([], [], "running")
    assert machine.path("lib/state/manifest").read_text() == listed
    assert {name: machine.path(name).stat().st_mtime_ns for name in names} == {
        name: was.st_mtime_ns for name, was in before.items()
    }
    assert not any(call.startswith("restart") for call in machine.calls())


def test_a_machine_whose_list_names_no_stack_is_removed_by_any(machine: Machine) -> None:
    ok(machine.install())
    without_stack(machine)
    ok(machine.remove(stack=OTHER_STACK))
    assert machine.files() == {}


PATHS = {
    "kubeconfig": "{root}/srv/kubelet.conf",
    "certificates": "{root}/srv/certificates",
}


@pytest.mark.parametrize("listed", [True, False])
def test_a_joined_kubelet_keeps_its_certificates_when_their_paths_change(
    machine: Machine, listed: bool
) -> None:
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    if not listed:
        without_owner(machine)
    moved = {"paths": {name: path.format(root=machine.root) for name, path in PATHS.items()}}
    report = ok(machine.install(**moved))
    assert report["kubelet"] == "restarted"
    assert f"{machine.root}/srv/kubelet.conf" in report["changed"]
    for use in ("client", "server"):
        current = machine.path(f"srv/certificates/kubelet-{use}-current.pem")
        assert current.readlink() == machine.path(
            f"srv/certificates/kubelet-{use}-2026-01-01-00-00-00.pem"
        )
        assert current.read_text() == f"{use} certificate and key\n"
        assert current.stat().st_mode & 0o777 == 0o600
    kubeconfig = machine.path("srv/kubelet.conf").read_text()
    assert kubeconfig.count(f"{machine.root}/srv/certificates/kubelet-client-current.pem") == 2
    # Nothing of the old place is left, and nothing happens in a second run.
    assert not machine.path("etc/kubelet.conf").exists()
    assert not list(machine.path("lib/kubelet/pki").iterdir())
    assert ok(machine.install(**moved))["changed"] == []
    # And back, by which it is as it was.
    assert ok(machine.install())["kubelet"] == "restarted"
    assert machine.path("lib/kubelet/pki/kubelet-client-current.pem").exists()
    assert not list(machine.path("srv/certificates").iterdir())


def test_a_new_server_reaches_a_machine_that_has_joined(machine: Machine) -> None:
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    written = machine.path("etc/kubelet.conf").read_text()
    report = install(machine, Cluster(name="k", server=OTHER_SERVER, ca_certificate=CA))
    assert report["kubelet"] == "restarted"
    assert report["changed"] == [f"{machine.root}/etc/kubelet.conf"]
    now = machine.path("etc/kubelet.conf")
    assert now.read_text() == written.replace("https://10.0.0.9:6443", OTHER_SERVER)
    assert now.stat().st_mode & 0o777 == 0o600


def test_a_ca_that_is_to_be_embedded_reaches_a_machine_that_has_joined(machine: Machine) -> None:
    ok(machine.install())
    machine.joins()
    written = machine.path("etc/kubelet.conf").read_text()
    assert ok(machine.install(embed_ca=True))["changed"] == [f"{machine.root}/etc/kubelet.conf"]
    assert "certificate-authority-data: LS0t" in machine.path("etc/kubelet.conf").read_text()
    assert ok(machine.install(embed_ca=True))["changed"] == []
    assert ok(machine.install())["changed"] == [f"{machine.root}/etc/kubelet.conf"]
    assert machine.path("etc/kubelet.conf").read_text() == written


def test_a_machine_does_not_slip_into_another_cluster(machine: Machine) -> None:
    ok(machine.install())
    machine.joins()
    machine.path("fake/wrong-signer").touch()
    before = everything(machine)
    bundle = node_files.bundle(
        Cluster(name="k", server=OTHER_SERVER, ca_certificate=CA), machine.node()
    )
    done = machine.run(INSTALL, bundle)
    assert done.returncode != 0
    assert NO_SIGNER in done.stderr
    assert everything(machine) == before


def test_a_kubeconfig_that_was_moved_away_is_not_made_again(machine: Machine) -> None:
    """Which is how a person has a machine join once more."""
    ok(machine.install())
    machine.joins()
    machine.path("etc/kubelet.conf").unlink()
    assert ok(machine.install())["changed"] == []
    assert not machine.path("etc/kubelet.conf").exists()


def test_a_removal_takes_what_the_kubelet_made_at_former_paths_too(machine: Machine) -> None:
    ok(machine.install())
    machine.joins()
    moved = {"paths": {name: path.format(root=machine.root) for name, path in PATHS.items()}}
    machine.path("srv").mkdir()
    # The settings have changed, and the machine has not had them yet.
    ok(machine.remove(**moved))
    assert machine.files() == {}


@pytest.mark.parametrize("data", ["lib/kubelet", "data/kubelet"])
def test_a_mount_below_a_directory_that_is_reached_by_a_link_is_kept(
    machine: Machine, data: str
) -> None:
    """The kernel tells of mounts by their real paths."""
    parent = data.partition("/")[0]
    machine.path(f"real/{parent}").mkdir(parents=True)
    machine.path(parent).symlink_to(machine.path(f"real/{parent}"))
    settings = {"paths": {"root": f"{machine.root}/{data}"}}
    ok(machine.install(**settings))
    volume = machine.path(f"{data}/pods/a/volumes/db")
    volume.parent.mkdir(parents=True)
    volume.write_text("precious\n")
    mount = f"36 35 0:30 / {volume.parent.resolve()} rw shared:1 - ext4 /dev/sdb rw\n"
    machine.path("fake/proc/self/mountinfo").write_text(mount)
    assert ok(machine.remove(**settings))["kept"] == [f"{machine.root}/{data}"]
    assert volume.read_text() == "precious\n"


def test_volumes_of_containers_that_still_run_are_kept(machine: Machine) -> None:
    ok(machine.install())
    uid = "0f2e8a1c-5d1b-4c59-9a53-0f4b0f3a2b11"
    volume = machine.path(f"lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/d/file")
    volume.parent.mkdir(parents=True)
    volume.write_text("precious\n")
    process = machine.path("fake/proc/4711")
    process.mkdir()
    # As the process in the container sees it: the field before its own path is the host's.
    (process / "mountinfo").write_text(
        f"911 870 8:1 /var/lib/kubelet/pods/{uid}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
    )
    report = ok(machine.remove())
    assert report["kept"] == [f"{machine.root}/lib/kubelet"]
    assert "containers of 1 pods still run" in report["notes"][0]
    assert volume.read_text() == "precious\n"
    assert not machine.path("etc/kubelet.env").exists()


def test_a_pod_that_still_ends_is_waited_for_while_the_kubelet_runs(machine: Machine) -> None:
    ok(machine.install())
    machine.path("fake/active").touch()
    uid = "0f2e8a1c-5d1b-4c59-9a53-0f4b0f3a2b11"
    machine.path(f"lib/kubelet/pods/{uid}").mkdir(parents=True)
    process = machine.path("fake/proc/4711")
    process.mkdir()
    (process / "mountinfo").write_text(
        f"911 870 8:1 /var/lib/kubelet/pods/{uid}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
    )
    # It ends at the second look.
    sleep = machine.path("fake/bin/sleep")
    sleep.write_text(f'#!/bin/sh\nrm -rf "{process}"\nexec /bin/sleep "$@"\n')
    sleep.chmod(0o755)
    machine.shell = ("dash",)
    assert ok(machine.remove())["kept"] == []
    assert not machine.path("lib/kubelet").exists()
    assert "disable --now kubelet.service" in machine.calls()


@pytest.mark.parametrize("program", ["flock", "awk", "sha256sum"])
def test_a_program_that_the_machine_does_not_have_is_named(machine: Machine, program: str) -> None:
    """Not taken for a lock that somebody holds."""
    directory = machine.path("fake/few")
    directory.mkdir()
    for place in ("/bin", "/usr/bin", "/usr/sbin", "/sbin"):
        for found in Path(place).iterdir():
            if found.name != program and not (directory / found.name).exists():
                (directory / found.name).symlink_to(found)
    bundle = node_files.bundle(Cluster(name="k", server=OTHER_SERVER, ca_certificate=CA),
                               machine.node())  # fmt: skip
    bundle = bundle.replace(
        "PATH=$PATH:/usr/sbin:/sbin", f"PATH={machine.root}/fake/bin:{directory}"
    )
    machine.shell = ("dash",)
    done = machine.run(INSTALL, bundle)
    assert done.returncode != 0
    assert f"this machine lacks {program}; install" in done.stderr
    assert not machine.path("lib").exists()


def test_without_cmp_a_second_run_changes_nothing(machine: Machine) -> None:
    ok(machine.install())
    broken = machine.path("fake/bin/cmp")
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert ok(machine.install())["changed"] == []


def test_a_node_that_has_run_out_of_space_can_still_be_changed(machine: Machine) -> None:
    """It may be the change that makes room."""
    df = machine.path("fake/bin/df")
    df.write_text(
        "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "echo /dev/sda1 50000000 49950000 50000 99% /\n"
    )
    df.chmod(0o755)
    bundle = node_files.bundle(Cluster(name="k", server=OTHER_SERVER, ca_certificate=CA),
                               machine.node())  # fmt: skip
    whole = bundle.replace("enough_data_kib=1048576", "enough_data_kib=1048577")
    machine.shell = ("dash",)
    done = machine.run(INSTALL, whole)
    assert "has 50000 KiB free" in done.stderr
    df.rename(machine.path("fake/df"))
    ok(machine.install())
    machine.path("fake/df").rename(df)
    assert ok(machine.run(INSTALL, whole))["changed"] == []


def certified(machine: Machine, name: str, *, foreign: bool = False) -> None:
    """Have a kubelet run that nobody here has set up, as kubeadm leaves it."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
    )
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(ca, subject, key.public_key(), 7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    client = machine.path("lib/kubelet/pki/kubelet-client-current.pem")
    client.parent.mkdir(parents=True)
    client.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    machine.path("etc").mkdir()
    machine.path("etc/kubelet.conf").write_text("server: https://10.0.0.9:6443\n")
    openssl = machine.path("fake/bin/openssl")
    verdict = f"echo '{OTHER_SIGNER}'; exit 2" if foreign else "exit"
    openssl.write_text(
        f'#!/bin/sh\n[ "$1" != verify ] || {{ {verdict}; }}\nexec /usr/bin/openssl "$@"\n'
    )


@pytest.mark.parametrize(
    ("name", "foreign", "told"),
    [
        ("node-1", False, ""),
        ("node-10", False, "certificate: this machine is the node node-10 by "),
        ("node-1", True, "so this machine is a node of another cluster; correct the CA"),
    ],
)
def test_a_living_node_of_others_is_known_before_it_is_changed(
    machine: Machine, name: str, foreign: bool, told: str
) -> None:
    certified(machine, name, foreign=foreign)
    machine.path("fake/active").touch()
    before = everything(machine)
    done = machine.install()
    assert told in done.stderr
    assert (done.returncode == 0) == (not told)
    assert not told or everything(machine) == before | {"lib/state/lock": "0600 "}
    assert not told or not any(call.startswith("restart") for call in machine.calls())
