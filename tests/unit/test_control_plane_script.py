"""The script for a control-plane host, run for real on a root of fakes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from components.control_plane import API_SERVER, CONTROLLER_MANAGER, control_plane_input
from node_files import command

# Notes each call, and prints a unit as systemd does: its file's name, then the file.
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"$CONTROL_PLANE_ROOT/systemctl.log"
[ "$1" != cat ] || { echo "# /lib/$2"; cat "$CONTROL_PLANE_ROOT/lib/$2"; }
"""
# Ports 6443 and 10257 are listened on.
TCP = "0: 00000000:192B 00000000:0000 0A\n1: 00000000:2811 00000000:0000 0A\n"
PATHS = {
    "signing_certificate": "/etc/kubernetes/pki/ca.crt",
    "signing_key": "/etc/kubernetes/pki/ca.key",
}
SIGNING = (
    f"--cluster-signing-cert-file={PATHS['signing_certificate']}",
    f"--cluster-signing-key-file={PATHS['signing_key']}",
)
CONTROLLERS = "--controllers=*,bootstrapsigner,tokencleaner"
SERVER_FLAG = "--enable-bootstrap-token-auth=true"
DROP_IN = "50-kubelet-tls-bootstrap.conf"


class Host:
    """A root with processes and units, and a home directory with a file in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path, text in {
            "bin/systemctl": SYSTEMCTL,
            "proc/net/tcp": TCP,
            "home/notes.txt": "",
            "etc/kubernetes/pki/ca.crt": "",
            "etc/kubernetes/pki/ca.key": "",
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        (root / "bin/systemctl").chmod(0o755)

    def runs(self, pid: int, program: str, *flags: str) -> None:
        """Have a program run as the kernel shows it, by a unit of its name."""
        directory = self.root / f"proc/{pid}"
        directory.mkdir()
        (directory / "comm").write_text(f"{program:.15}\n")
        self.shows(pid, program, *flags)
        unit = self.root / f"lib/{program}.service"
        unit.parent.mkdir(exist_ok=True)
        unit.write_text(f"[Service]\nExecStart=/usr/bin/{program} {' '.join(flags)}\n")

    def shows(self, pid: int, program: str, *flags: str) -> None:
        command_line = "\0".join((f"/usr/bin/{program}", *flags, ""))
        (self.root / f"proc/{pid}/cmdline").write_text(command_line)

    def install(
        self, *, manage: bool = True, name: str = "cp-1", **changes: str
    ) -> subprocess.CompletedProcess[str]:
        settings = {**PATHS, **changes}
        return self._run("install", control_plane_input(name, manage=manage, **settings))

    def remove(self, name: str = "cp-1") -> subprocess.CompletedProcess[str]:
        return self._run("remove", control_plane_input(name, manage=True, **PATHS))

    def _run(self, action: str, stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command(60, action)],
            input=stdin.replace("restarts_s=300", "restarts_s=6"),
            cwd=self.root / "home",
            env={
                **os.environ,
                "CONTROL_PLANE_ROOT": str(self.root),
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def drop_in(self, program: str) -> str:
        return (self.root / f"etc/systemd/system/{program}.service.d/{DROP_IN}").read_text()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def restarted(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)["restarted"]
    return found


def test_programs_that_have_all_flags_are_left_alone(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install()) == []
    assert restarted(host.install(manage=False)) == []
    assert not (host.root / "systemctl.log").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_process_of_some_user_does_not_pass_for_the_control_plane(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    os.chown(host.root / "proc/10", 1000, 1000)
    done = host.install(manage=False)
    assert done.returncode == 1
    assert f"{API_SERVER} is not running on this machine" in done.stderr
    os.chown(host.root / "proc/10", 990, 990)
    assert restarted(host.install(manage=False)) == []


def test_missing_flags_come_by_a_drop_in_and_a_restart(host: Host) -> None:
    host.runs(10, API_SERVER, "--secure-port=6443")
    host.runs(11, CONTROLLER_MANAGER, SIGNING[0])
    assert restarted(host.install()) == [API_SERVER, CONTROLLER_MANAGER]
    assert f"ExecStart=/usr/bin/{API_SERVER} --secure-port=6443 {SERVER_FLAG}\n" in host.drop_in(
        API_SERVER
    )
    command_line = f"{SIGNING[0]} {SIGNING[1]} {CONTROLLERS}\n"
    assert command_line in host.drop_in(CONTROLLER_MANAGER)


def test_without_manage_missing_flags_are_named_and_nothing_is_changed(host: Host) -> None:
    host.runs(10, API_SERVER)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING)
    done = host.install(manage=False)
    assert done.returncode != 0
    assert f"{API_SERVER} runs without {SERVER_FLAG}\n" in done.stderr
    assert f"{CONTROLLER_MANAGER} runs without {CONTROLLERS}\n" in done.stderr
    assert not (host.root / "etc/systemd").exists()


def test_a_list_of_controllers_gets_no_others_than_are_needed(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, "--controllers=csrsigning")
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    own = "--controllers=csrsigning --controllers=bootstrapsigner,tokencleaner\n"
    assert own in host.drop_in(CONTROLLER_MANAGER)


def test_what_the_drop_in_added_stays_when_another_flag_is_missing(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, "--controllers=csrsigning")
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    unit = host.root / f"lib/{CONTROLLER_MANAGER}.service"
    unit.write_text(unit.read_text().replace(f" {SIGNING[1]}", ""))
    added = "--controllers=bootstrapsigner,tokencleaner"
    host.shows(11, CONTROLLER_MANAGER, SIGNING[0], "--controllers=csrsigning", added)
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    assert {SIGNING[1], added} < set(host.drop_in(CONTROLLER_MANAGER).split())


def test_a_program_whose_name_only_begins_alike_is_another_one(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, "kube-controllers")  # Calico's; the kernel keeps 15 characters of both names
    host.runs(12, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install(manage=False)) == []


@pytest.mark.parametrize("of_unit", [True, False])
def test_another_file_takes_the_place_of_one_that_the_program_added(
    host: Host, of_unit: bool
) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *(SIGNING if of_unit else SIGNING[:1]))
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    host.shows(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    new = "/etc/kubernetes/pki/new.key"
    (host.root / new[1:]).touch()
    done = host.install(signing_key=new)
    assert restarted(done) == ([] if of_unit else [CONTROLLER_MANAGER])
    words = host.drop_in(CONTROLLER_MANAGER).split()
    assert (SIGNING[1] in words) == of_unit
    assert (f"--cluster-signing-key-file={new}" in words) != of_unit
    assert CONTROLLERS in words


def test_another_rate_takes_the_place_of_one_that_the_program_added(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    added = ("--kube-api-qps=100", "--kube-api-burst=150")
    assert restarted(host.install(kube_api_qps=100)) == [CONTROLLER_MANAGER]
    assert set(added) <= set(host.drop_in(CONTROLLER_MANAGER).split())
    host.shows(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS, *added)
    assert restarted(host.install(kube_api_qps=100)) == []
    assert restarted(host.install(kube_api_qps=200)) == [CONTROLLER_MANAGER]
    words = set(host.drop_in(CONTROLLER_MANAGER).split())
    assert {"--kube-api-qps=200", "--kube-api-burst=300"} <= words
    assert not words & set(added)


def test_a_rate_that_the_settings_no_longer_have_goes(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install(kube_api_qps=100)) == [CONTROLLER_MANAGER]
    host.shows(
        *(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS),
        *("--kube-api-qps=100", "--kube-api-burst=150"),
    )
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    target = host.root / f"etc/systemd/system/{CONTROLLER_MANAGER}.service.d/{DROP_IN}"
    assert not target.exists()
    host.shows(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install()) == []


def test_the_other_flags_stay_when_a_rate_goes(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING)
    assert restarted(host.install(kube_api_qps=100)) == [CONTROLLER_MANAGER]
    words = host.drop_in(CONTROLLER_MANAGER).split()
    host.shows(11, CONTROLLER_MANAGER, *words[words.index("[Service]") + 3 :])
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    written = host.drop_in(CONTROLLER_MANAGER)
    assert "--kube-api" not in written
    assert "--controllers=*,bootstrapsigner,tokencleaner" in written


def test_a_rate_of_the_programs_own_command_stays(host: Host) -> None:
    own = ("--kube-api-qps=50", "--kube-api-burst=60")
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS, *own)
    assert restarted(host.install(kube_api_qps=100)) == []


def test_a_host_under_a_new_name_keeps_its_flags_when_the_old_name_goes(host: Host) -> None:
    """Pulumi makes what is new before it deletes what is old."""
    host.runs(10, API_SERVER)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install()) == [API_SERVER]
    host.shows(10, API_SERVER, SERVER_FLAG)
    assert restarted(host.install(name="cp-9")) == []
    before = host.drop_in(API_SERVER)
    done = host.remove("cp-1")
    assert done.returncode == 0
    assert "this machine is the control-plane host cp-9 now" in done.stdout
    assert host.drop_in(API_SERVER) == before
    assert SERVER_FLAG in before
    assert host.remove("cp-9").returncode == 0
    assert not (host.root / f"etc/systemd/system/{API_SERVER}.service.d").exists()


def test_a_drop_in_of_an_earlier_program_goes_with_its_host(host: Host) -> None:
    host.runs(10, API_SERVER)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install()) == [API_SERVER]
    target = host.root / f"etc/systemd/system/{API_SERVER}.service.d/{DROP_IN}"
    target.write_text(target.read_text().replace("# Host: cp-1\n", ""))
    assert host.remove("cp-1").returncode == 0
    assert not target.exists()


QUOTED = """\
[Service]
ExecStart=/usr/bin/kube-apiserver \\
  "--audit-policy-file=/etc/my  policy.yaml" \\
  # --v=4
  '--enable-bootstrap-token-auth=false'
Restart=always
"""


def test_words_in_quotes_and_comments_of_a_unit_are_read_as_systemd_reads_them(host: Host) -> None:
    host.runs(10, API_SERVER, "--audit-policy-file=/etc/my  policy.yaml")
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    (host.root / f"lib/{API_SERVER}.service").write_text(QUOTED)
    assert restarted(host.install()) == [API_SERVER]
    assert (
        'ExecStart=/usr/bin/kube-apiserver "--audit-policy-file=/etc/my  policy.yaml"'
        f" '--enable-bootstrap-token-auth=false' {SERVER_FLAG}\n" in host.drop_in(API_SERVER)
    )


def test_a_signing_file_in_quotes_is_the_users_choice(host: Host) -> None:
    own = "--cluster-signing-key-file=/srv/mine.key"
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, SIGNING[0], own)
    unit = host.root / f"lib/{CONTROLLER_MANAGER}.service"
    unit.write_text(f'[Service]\nExecStart=/usr/bin/kube-controller-manager {SIGNING[0]} "{own}"\n')
    assert restarted(host.install()) == [CONTROLLER_MANAGER]  # for its controllers
    host.shows(11, CONTROLLER_MANAGER, SIGNING[0], own, CONTROLLERS)
    assert restarted(host.install()) == []


@pytest.mark.parametrize("managed_before", [True, False])
def test_a_program_that_does_not_come_up_gets_its_former_flags_back(
    host: Host, managed_before: bool
) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, SIGNING[0])
    before = ""
    if managed_before:
        assert restarted(host.install()) == [CONTROLLER_MANAGER]
        before = host.drop_in(CONTROLLER_MANAGER)
        host.shows(11, CONTROLLER_MANAGER, SIGNING[0], CONTROLLERS)  # one is missing now
    (host.root / "proc/net/tcp").write_text("0: 00000000:192B 00000000:0000 0A\n")
    done = host.install()
    assert done.returncode != 0
    assert f"{CONTROLLER_MANAGER} did not come up with its new flags" in done.stderr
    target = host.root / f"etc/systemd/system/{CONTROLLER_MANAGER}.service.d/{DROP_IN}"
    assert (target.read_text() if target.exists() else "") == before
    calls = (host.root / "systemctl.log").read_text().splitlines()
    assert calls.count(f"restart {CONTROLLER_MANAGER}.service") == (3 if managed_before else 2)


def own_cas(*signers: str) -> list[str]:
    files = ("cert-file=/etc/kubernetes/pki/{}.crt", "key-file=/etc/kubernetes/pki/{}.key")
    return [f"--cluster-signing-{s}-{file.format(s)}" for s in signers for file in files]


@pytest.mark.parametrize("manage", [False, True])
def test_signers_with_cas_of_their_own_lack_nothing(host: Host, manage: bool) -> None:
    """A common CA beside them would keep kube-controller-manager from starting."""
    for file in ("ca.crt", "ca.key"):
        (host.root / "etc/kubernetes/pki" / file).unlink()
    signers = own_cas("kubelet-client", "kubelet-serving", "kube-apiserver-client")
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *signers, CONTROLLERS)
    assert restarted(host.install(manage=manage)) == []


@pytest.mark.parametrize("manage", [False, True])
@pytest.mark.parametrize("signers", [("kubelet-serving",), ("legacy-unknown",)])
def test_a_signer_of_kubelets_that_lacks_its_ca_beside_others_is_named(
    host: Host, signers: tuple[str, ...], manage: bool
) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *own_cas(*signers), CONTROLLERS)
    done = host.install(manage=manage)
    assert done.returncode == 1
    assert (
        "runs with a CA of its own for some signers; add --cluster-signing-kubelet-client-cert-file"
        " and --cluster-signing-kubelet-serving-cert-file, or remove"
    ) in done.stderr
    assert not (host.root / "systemctl.log").exists()
