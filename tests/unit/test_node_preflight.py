"""The checks on a machine: each problem is found, named, and told with what to do about it."""

import importlib
import json
import re
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import node_files
from node_files import CHECKS
from node_files.bundle import FILES_SCRIPTS
from tests.unit.node_machine import INSTALL, OTHER_SIGNER, SHELLS, Machine, cluster, with_shell

ALWAYS = {"node", "certificate", "owner", "acl", "paths"}  # what can't be skipped


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "systemd").mkdir()
    return Machine(tmp_path, ("dash",))


def write(name: str, text: str) -> Callable[[Machine], None]:
    def change(machine: Machine) -> None:
        machine.path(f"fake/{name}").write_text(text)

    return change


def gone(name: str) -> Callable[[Machine], None]:
    return lambda machine: machine.path(f"fake/{name}").unlink()


def link_root(machine: Machine) -> None:
    machine.path("lib").mkdir()
    machine.path("elsewhere").mkdir()
    machine.path("lib/kubelet").symlink_to(machine.path("elsewhere"))


def package_unit(machine: Machine) -> None:
    write("FragmentPath", "/usr/lib/systemd/system/kubelet.service\n")(machine)


def package_drop_in(machine: Machine) -> None:
    drop_in = machine.path("fake/10-kubeadm.conf")
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n")
    write("DropInPaths", f"{drop_in}\n")(machine)


def later_drop_in(machine: Machine) -> None:
    """As `systemctl edit` makes it."""
    write("FragmentPath", "/usr/lib/systemd/system/kubelet.service\n")(machine)
    override = machine.path("fake/override.conf")
    override.write_text("[Service]\n ExecStart =\n ExecStart = /usr/bin/kubelet --v=4\n")
    earlier = machine.path("fake/10-kubeadm.conf")
    earlier.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n")
    write("DropInPaths", f"{earlier} {override}\n")(machine)


def taskset(machine: Machine, text: str) -> None:
    """Have a drop-in after ours."""
    write("FragmentPath", "/usr/lib/systemd/system/kubelet.service\n")(machine)
    later = machine.path("fake/99-taskset.conf")
    later.write_text(f"[Service]\n{text}\n")
    write("DropInPaths", f"{later}\n")(machine)


def own_unit(machine: Machine) -> None:
    assert machine.install().returncode == 0
    write("FragmentPath", f"{machine.root}/systemd/kubelet.service\n")(machine)


def foreign_unit(machine: Machine) -> None:
    machine.path("systemd/kubelet.service").write_text("mine\n")


def joined_elsewhere(machine: Machine) -> None:
    assert machine.install().returncode == 0
    machine.joins(server="https://elsewhere:6443")
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text(f"#!/bin/sh\necho '{OTHER_SIGNER}' >&2\nexit 2\n")
    openssl.chmod(0o755)


def directory_as_file(machine: Machine) -> None:
    machine.path("etc/kubelet.env").mkdir(parents=True)


NO_SIGNER = "was not signed by the CA in the settings"
LISTENS = "   1: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 0\n"
SWAP = "Filename Type Size Used Priority\n/dev/sda2 partition 1048576 0 -2\n"
A_DAY_AHEAD = "tomorrow"
NO_LISTENER = "0000: 00000003 00000000 00000000 0001 03 7 /run/containerd/containerd.sock\n"

# check -> what is wrong, what the settings say, and part of the message.
Problem = tuple[str, Callable[[Machine], None], dict[str, Any], str]
PROBLEMS: list[Problem] = [
    ("node", lambda m: m.install(name="node-2"), {}, "this machine is the node node-2"),
    ("certificate", joined_elsewhere, {}, NO_SIGNER),
    ("systemd", lambda m: shutil.rmtree(m.path("fake/run")), {}, "does not run systemd; use one"),
    ("kubelet", gone("bin/kubelet"), {}, "is not executable; install the kubelet"),
    ("kubelet", write("bin/kubelet", "#!/bin/sh\nexit 1\n"), {}, "--version fails"),
    ("version", lambda m: None, {"version": "1.36"}, 'is "Kubernetes v1.37.2", but the settings'),
    ("runtime", gone("socket"), {}, "start the container runtime"),
    ("runtime", write("proc/net/unix", NO_LISTENER), {}, "nothing listens on"),
    ("server", write("wrong-ca", ""), {}, "presents a certificate that the CA did not sign"),
    ("skew", write("minor", "36"), {}, "supports kubelets 1.33 to 1.36, but this one is 1.37"),
    ("skew", write("minor", "41+"), {}, "supports kubelets 1.38 to 1.41"),
    ("clock", write("time", A_DAY_AHEAD), {}, "set up time synchronization"),
    ("clock", write("time", "31 seconds ago"), {}, "this machine's clock is 3"),
    ("cgroup", gone("sys/fs/cgroup/cgroup.controllers"), {}, "failCgroupV1"),
    ("swap", write("proc/swaps", SWAP), {}, "failSwapOn"),
    ("resolver", write("resolv.conf", "nameserver 127.0.0.53\n"), {}, "resolvConf"),
    ("resolver", gone("resolv.conf"), {}, "resolvConf"),
    ("port", write("proc/net/tcp6", LISTENS), {}, "port 10250 is in use"),
    ("root", link_root, {}, "is a symbolic link"),
    ("address", lambda m: None, {"addresses": ("10.9.9.9",)}, "10.9.9.9 is on no interface"),
    ("machine", write("machine-id", "uninitialized\n"), {}, "systemd-machine-id-setup"),
    ("machine", gone("machine-id"), {}, "systemd-machine-id-setup"),
    ("unit", package_unit, {}, "would hide it; set unit to drop-in"),
    ("unit", package_drop_in, {}, "10-kubeadm.conf changes what"),
    ("unit", later_drop_in, {"unit_drop_in": True}, "override.conf sets the kubelet's command"),
    ("unit", lambda m: None, {"unit_drop_in": True}, "install the kubelet's package"),
    ("unit", own_unit, {"unit_drop_in": True}, "install the kubelet's package"),
    ("files", foreign_unit, {}, "was not written by this program; move it away"),
    ("paths", directory_as_file, {}, "is not a regular file; move it away"),
    ("owner", lambda m: None, {"paths": {"user": "nobody-here"}}, "useradd --system nobody-here"),
    ("acl", lambda m: None, {"paths": {"kubeconfig_acl": ("u:nobody-here:r",)}}, "no such user"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "change", "settings", "words"), PROBLEMS)
def test_a_problem_is_reported_by_name_and_nothing_is_changed(
    machine: Machine,
    check: str,
    change: Callable[[Machine], None],
    settings: dict[str, Any],
    words: str,
) -> None:
    change(machine)
    before = outside_of_state(machine)
    done = machine.install(**settings)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if line.startswith(f"{check}: ")]
    assert words in told
    assert outside_of_state(machine) == before


PEERS = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever
2: ppp0    inet 10.0.0.11 peer 10.0.0.12/32 scope global ppp0\\       valid_lft forever
3: eth0    inet6 fd00::11/64 scope global dynamic \\       valid_lft 60sec
"""


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        (("10.0.0.11",), ""),
        (("10.0.0.11", "fd00::11"), ""),
        (("10.0.0.12",), "10.0.0.12 is on no interface"),
        (("10.0.0.1",), "10.0.0.1 is on no interface"),
        (("fd00::1",), "fd00::1 is on no interface"),
    ],
)
def test_an_address_with_a_peer_is_the_machines_and_the_peers_is_not(
    tmp_path: Path, addresses: tuple[str, ...], refused: str
) -> None:
    machine = with_shell(tmp_path, "dash")
    machine.path("fake/bin/ip").write_text(f"#!/bin/sh\ncat <<'END'\n{PEERS}END\n")
    done = machine.install(addresses=addresses)
    assert refused in done.stderr
    assert (done.returncode == 0) == (not refused)


def outside_of_state(machine: Machine) -> set[str]:
    return {name for name in machine.files() if not name.startswith("lib/state/")}


def test_a_drop_in_takes_the_place_of_our_unit_where_the_package_has_one(machine: Machine) -> None:
    own_unit(machine)
    machine.path("fake/units").mkdir()
    write("units/kubelet.service", "the package's\n")(machine)
    done = machine.install(unit_drop_in=True)
    assert done.returncode == 0, done.stderr
    assert not machine.path("systemd/kubelet.service").exists()
    assert machine.path("systemd/kubelet.service.d/90-kubelet-tls-bootstrap.conf").exists()


@pytest.mark.parametrize("name", ["90-kubelet-tls-bootstrap.conf", "10-kubeadm.conf"])
def test_our_drop_in_does_not_come_after_itself(machine: Machine, name: str) -> None:
    """Its list was lost. Nor does another one of its name, over which systemd prefers ours."""
    package_unit(machine)
    assert machine.install(unit_drop_in=True).returncode == 0
    drop_in = machine.path("systemd/kubelet.service.d/90-kubelet-tls-bootstrap.conf")
    other = machine.path(f"fake/{name}")
    other.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n")
    write("DropInPaths", f"{other} {drop_in}\n")(machine)
    shutil.rmtree(machine.path("lib/state"))
    done = machine.install(unit_drop_in=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changed"] == []


RUN = "ExecStart=\nExecStart=/usr/bin/taskset -c 0-3 /usr/bin/kubelet"
LATER = {
    f"{RUN} $KUBELET_ARGS": True,
    " ExecStart =\n ExecStart = /usr/bin/taskset \\\n kubelet $KUBELET_ARGS --v=4": True,
    "ExecStart=\n# ours \\\nExecStart=/bin/sh -c 'exec kubelet ${KUBELET_ARGS}'": True,
    f"{RUN} $KUBELET_ARGS\n{RUN}": False,
    f"{RUN} $KUBELET_ARGS_OF_MINE": False,
    f"{RUN} $KUBELET_ARGS\nEnvironmentFile=": False,
    # systemd takes no second command of such a service.
    "ExecStart=/usr/bin/kubelet $KUBELET_ARGS": False,
}


@pytest.mark.parametrize(("text", "taken"), LATER.items())
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_later_drop_in_may_run_the_kubelet_with_our_arguments(
    machine: Machine, text: str, taken: bool, shell: tuple[str, ...]
) -> None:
    machine.shell = shell
    taskset(machine, text)
    done = machine.install(unit_drop_in=True)
    assert (done.returncode == 0) == taken, done.stderr
    assert ("99-taskset.conf sets the kubelet's command after" in done.stderr) != taken


@pytest.mark.parametrize(
    ("check", "change", "settings"),
    [(check, change, settings) for check, change, settings, _ in PROBLEMS if check not in ALWAYS],
)
def test_a_check_that_is_skipped_refuses_nothing_and_is_said(
    machine: Machine, check: str, change: Callable[[Machine], None], settings: dict[str, Any]
) -> None:
    change(machine)
    done = machine.install(skip_checks=(check,), **settings)
    problems = re.findall(r"^(\w+): ", done.stderr, re.MULTILINE)
    # A kubelet that is not there has no version either, and so on: but the skipped one is silent.
    assert check not in problems
    if not problems:
        assert json.loads(done.stdout)["skipped"] == [check]


def test_every_check_that_can_be_skipped_has_a_problem_here_but_disk_and_selinux() -> None:
    assert {problem[0] for problem in PROBLEMS} == {*CHECKS, *ALWAYS} - {"disk", "selinux"}


def test_the_checks_of_the_script_are_those_that_settings_may_name() -> None:
    package = resources.files("node_files")
    text = "".join(package.joinpath(name).read_text() for name in FILES_SCRIPTS)
    (listed,) = re.findall(r"^checks='([^']*)'", text, re.MULTILINE)
    assert set(listed.split()) == {*CHECKS, *ALWAYS}
    assert set(re.findall(r"^check_(\w+)\(\)", text, re.MULTILINE)) == set(listed.split())


def test_a_name_that_is_no_check_is_refused(machine: Machine) -> None:
    with pytest.raises(ValueError, match="'sawp' is not a check that can be skipped: systemd,"):
        node_files.bundle(cluster(), machine.node(skip_checks=("sawp",)))


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "sh")])
def test_all_problems_are_reported_at_once(machine: Machine, shell: tuple[str, ...]) -> None:
    machine.shell = shell
    gone("socket")(machine)
    write("proc/swaps", SWAP)(machine)
    foreign_unit(machine)
    done = machine.install(version="1.36")
    assert re.findall(r"^(\w+): ", done.stderr, re.MULTILINE) == [
        *("error", "version", "runtime", "swap", "files"),
    ]


def test_a_full_disk_is_reported(machine: Machine) -> None:
    bundle = node_files.bundle(cluster(), machine.node())
    enough = "enough_kib=16384"
    assert enough in bundle
    done = machine.run(INSTALL, bundle.replace(enough, "enough_kib=999999999999"))
    assert "KiB free, but " in done.stderr
    assert "needs 999999999999 KiB; free some" in done.stderr


def test_what_the_kubelet_does_not_mind_is_not_checked(machine: Machine) -> None:
    write("proc/swaps", SWAP)(machine)
    gone("sys/fs/cgroup/cgroup.controllers")(machine)
    gone("resolv.conf")(machine)
    fields = {"failSwapOn": False, "failCgroupV1": False, "resolvConf": ""}
    done = machine.install(kubelet=fields)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"] == []


def test_cgroup_v1_is_fine_for_a_kubelet_before_1_35(machine: Machine) -> None:
    gone("sys/fs/cgroup/cgroup.controllers")(machine)
    write("bin/kubelet", "#!/bin/sh\necho Kubernetes v1.34.1\n")(machine)
    assert machine.install(version="1.34").returncode == 0
    assert "cgroup: " in machine.install(version="1.34", kubelet={"failCgroupV1": True}).stderr


def test_a_silent_api_server_is_noted_and_stops_nothing(machine: Machine) -> None:
    write("no-server", "")(machine)
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["notes"] == [
        "server: no answer from https://10.0.0.9:6443",
        "skew: no version from the API server",
        "clock: no time from the API server",
    ]


def test_a_running_kubelet_may_hold_its_port(machine: Machine) -> None:
    write("proc/net/tcp6", LISTENS)(machine)
    machine.path("fake/active").touch()
    assert machine.install().returncode == 0


def test_types_are_noted_where_selinux_is_off(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_root(monkeypatch)
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["notes"] == ["selinux: SELinux is off, so no types are set"]


CHCON = '#!/bin/sh\n[ "$2" != no_such_t ] || exit 1\necho "$2 $3" >>"$FAKE/chcon.log"\n'


def test_types_are_set_where_selinux_is_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_root(monkeypatch)
    enforce = machine.path("fake/sys/fs/selinux/enforce")
    enforce.parent.mkdir()
    enforce.write_text("1")
    chcon = machine.path("fake/bin/chcon")
    chcon.write_text(CHCON)
    chcon.chmod(0o755)
    assert machine.install().returncode == 0
    log = machine.path("fake/chcon.log").read_text()
    assert f"container_file_t {machine.root}/lib/kubelet\n" in log
    label_root(monkeypatch, "no_such_t")
    assert "selinux: this machine's policy has no type no_such_t" in machine.install().stderr


def label_root(monkeypatch: pytest.MonkeyPatch, selinux_type: str = "container_file_t") -> None:
    """Give the data directory an SELinux type."""
    module = importlib.import_module("node_files.bundle")
    original = module.directories

    def directories(node: node_files.Node) -> tuple[node_files.Directory, ...]:
        return tuple(
            node_files.Directory(
                path=d.path,
                mode=d.mode,
                selinux_type=selinux_type if d.path == node.paths.root else "",
            )
            for d in original(node)
        )

    monkeypatch.setattr(module, "directories", directories)


def test_free_space_that_nobody_tells_is_noted(machine: Machine) -> None:
    machine.shell = ("dash",)
    program = machine.path("fake/bin/df")
    program.write_text("#!/bin/sh\necho 'df: no such mount' >&2\nexit 1\n")
    program.chmod(0o755)
    done = machine.install()
    assert done.returncode == 0, done.stderr
    notes = json.loads(done.stdout)["notes"]
    assert [
        note for note in notes if note.startswith("disk: df does not report the free space of ")
    ]
