"""What stands on a control-plane host is read as its owner writes it, and kept as it runs."""

import os
import time
from pathlib import Path

import pytest

from components.control_plane import API_SERVER, CONTROLLER_MANAGER
from tests.unit.test_control_plane_script import (
    CONTROLLERS,
    DROP_IN,
    SERVER_FLAG,
    SIGNING,
    Host,
    own_cas,
    restarted,
)

PROGRAM = f"/usr/bin/{API_SERVER}"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def is_untouched(host: Host) -> bool:
    calls = host.root / "systemctl.log"
    changes = calls.read_text().replace("cat ", "") if calls.exists() else ""
    return "restart" not in changes and not (host.root / "etc/systemd").exists()


@pytest.mark.parametrize(
    "flag",
    [
        *("--enable-bootstrap-token-auth", "--enable-bootstrap-token-auth=1"),
        *("--enable-bootstrap-token-auth=T", "--enable-bootstrap-token-auth=True"),
        *("--enable_bootstrap_token_auth=true", "--enable_bootstrap_token_auth"),
    ],
)
def test_a_truth_counts_in_every_form_that_go_takes(host: Host, flag: str) -> None:
    host.runs(10, API_SERVER, flag, "--secure-port=6443")
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    assert restarted(host.install(manage=False)) == []


SEPARATE = [word for flag in SIGNING for word in flag.split("=")]


@pytest.mark.parametrize(
    "flags",
    [
        (*SEPARATE, CONTROLLERS),
        (*SIGNING, "--controllers", "*,bootstrapsigner,tokencleaner"),
        (*SIGNING, "--controllers", "-ttl,*,bootstrapsigner,tokencleaner"),
        (*SIGNING, "--controllers=*,bootstrap-signer-controller,token-cleaner-controller"),
        (*SIGNING, "--controllers=*", "--controllers=tokencleaner,bootstrap-signer-controller"),
        (*SIGNING, '--controllers="*","bootstrapsigner","tokencleaner"'),
        (*(flag.replace("-", "_").replace("__", "--", 1) for flag in SIGNING), CONTROLLERS),
        (*[word for flag in own_cas("kubelet-client", "kubelet-serving") for word in
           flag.split("=")], CONTROLLERS),
    ],
)  # fmt: skip
def test_flags_count_in_every_form_that_the_program_takes(
    host: Host, flags: tuple[str, ...]
) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *flags)
    assert restarted(host.install(manage=False)) == []


@pytest.mark.parametrize("off", ["-tokencleaner", "-token-cleaner-controller"])
def test_a_controller_that_is_off_is_named_as_it_is_written(host: Host, off: str) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, "--controllers", f"*,bootstrapsigner,{off}")
    done = host.install()
    assert f"remove {off} from it" in done.stderr
    assert is_untouched(host)


# The command of a unit, and the words that systemd makes of it (as `systemd --test` shows them).
COMMANDS = {
    "spaces around everything": (f"  ExecStart  =  {PROGRAM}   --a=1\t--b=2  \n", "--a=1 --b=2"),
    "a comment with a path": (
        f"ExecStart={PROGRAM} \\\n  --a=1 \\\n# /usr/bin/old --v=4 \\\n  --b=2\n",
        "--a=1 --b=2",
    ),
    "a comment with the path of a file": (
        f"ExecStart={PROGRAM} \\\n  --a=1 \\\n# /etc/kubernetes/apiserver.conf\n  --b=2\n",
        "--a=1 --b=2",
    ),
    "a comment with a semicolon": (
        f"ExecStart={PROGRAM} \\\n  --a=1 \\\n ; --v=4 \\\n  --b=2\n",
        "--a=1 --b=2",
    ),
    "a blank line at the end": (
        f"ExecStart={PROGRAM} \\\n  --a=1 \\\n\nRestart=always\n",
        "--a=1",
    ),
    "an end that goes on": (f"ExecStart={PROGRAM} \\\n  --a=1 \\\n  --b=2 \\", "--a=1 --b=2"),
    "lines of Windows": (f"ExecStart={PROGRAM} \\\r\n  --a=1\r\nRestart=always\r\n", "--a=1"),
    "quotes in a word": (f'ExecStart={PROGRAM} --a=\'x\' "--b"="y"\n', "--a=x --b=y"),
    "escapes": (f'ExecStart={PROGRAM} --a=\\"x\\" --b=a\\\\.b\\x41\n', '--a="x" --b=a\\.bA'),
    "percents and dollars": (f"ExecStart={PROGRAM} --a=1%% --b=$$x\n", "--a=1% --b=$x"),
    "what only systemd knows": (f"ExecStart={PROGRAM} --a=%H --b=${{B}}\n", "--a=cp --b=any"),
    "words of variables": (
        f"Environment='A=--a=1 --b=2'\nExecStart={PROGRAM} $NONE $A --c=1 $B\n",
        "--a=1 --b=2 --c=1",
    ),
    "a prefix": (f"ExecStart=-{PROGRAM} --a=1\n", "--a=1"),
    "a name of its own": (f"ExecStart=@{PROGRAM} {API_SERVER} --a=1\n", "--a=1"),
    "no variables": (f"ExecStart=:{PROGRAM} --a=$A --b=${{B}}\n", "--a=$A --b=${B}"),
    "characters of patterns": (f"ExecStart={PROGRAM} --a=[x]*.^+(y|z)\n", "--a=[x]*.^+(y|z)"),
    "an earlier command": (f"ExecStart=/bin/false\nExecStart=\nExecStart={PROGRAM} --a\n", "--a"),
}


@pytest.mark.parametrize("title", COMMANDS)
def test_a_units_command_is_kept_in_whatever_form_it_is(host: Host, title: str) -> None:
    text, words = COMMANDS[title]
    host.runs(10, API_SERVER, *words.split())
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    unit = host.root / f"lib/{API_SERVER}.service"
    unit.write_text(f"[Service]\n{text}", newline="")
    assert restarted(host.install()) == [API_SERVER]
    (line,) = [line for line in host.drop_in(API_SERVER).splitlines() if PROGRAM in line]
    assert line.endswith(f" {SERVER_FLAG}")
    assert "--v=4" not in line
    # What systemd would make of it, read in the same way, is what ran before.
    host.shows(10, API_SERVER, *words.split(), SERVER_FLAG)
    assert restarted(host.install()) == []


NOT_ITS_COMMAND = {
    "changed since its start": f"ExecStart={PROGRAM} --a=2 --authorization-mode=RBAC\n",
    "another order": f"ExecStart={PROGRAM} --authorization-mode=Node --a=1\n",
    "a script": "ExecStart=/opt/start-kube-apiserver\n",
    "a shell": f'ExecStart=/bin/sh -c "exec {PROGRAM} --a=1 --authorization-mode=Node"\n',
}


@pytest.mark.parametrize("title", NOT_ITS_COMMAND)
def test_a_program_that_does_not_run_its_units_command_is_not_restarted(
    host: Host, title: str
) -> None:
    host.runs(10, API_SERVER, "--a=1", "--authorization-mode=Node")
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    (host.root / f"lib/{API_SERVER}.service").write_text(f"[Service]\n{NOT_ITS_COMMAND[title]}")
    done = host.install()
    assert done.returncode == 1
    assert f"error: {API_SERVER} does not run with the command of {API_SERVER}.service" in (
        done.stderr
    )
    assert f"add {SERVER_FLAG} by hand and set controlPlane.manage to false" in done.stderr
    if title == "changed since its start":
        assert "service (--a --authorization-mode), so it would restart" in done.stderr
    assert is_untouched(host)


def test_a_unit_that_has_changed_beside_our_drop_in_says_what_to_remove(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING)
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    host.shows(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    unit = host.root / f"lib/{CONTROLLER_MANAGER}.service"
    unit.write_text(unit.read_text().replace("\n", " --v=4\n").replace("] --v=4", "]"))
    before = host.drop_in(CONTROLLER_MANAGER)
    done = host.install(kube_api_qps=100)
    assert done.returncode == 1
    assert (
        "(--v), so it would restart with other flags, too; restart it with that yourself (rm"
        in (done.stderr)
    )
    assert host.drop_in(CONTROLLER_MANAGER) == before


def test_a_drop_in_after_ours_would_hide_it(host: Host) -> None:
    """As `systemctl edit` makes it."""
    host.runs(10, API_SERVER, "--a=1")
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    override = f"/etc/systemd/system/{API_SERVER}.service.d/override.conf"
    unit = host.root / f"lib/{API_SERVER}.service"
    unit.write_text(
        f"[Service]\nExecStart=/bin/false\n\n# {override}\n"
        f"[Service]\nExecStart=\nExecStart={PROGRAM} --a=1\n"
    )
    done = host.install()
    assert f"{override} sets the command of {API_SERVER} after our {DROP_IN}" in done.stderr
    assert "such as 40-override.conf" in done.stderr
    assert is_untouched(host)
    unit.write_text(unit.read_text().replace("override.conf", "40-override.conf"))
    assert restarted(host.install()) == [API_SERVER]
    assert f"ExecStart={PROGRAM} --a=1 {SERVER_FLAG}\n" in host.drop_in(API_SERVER)


def test_nothing_is_written_for_one_program_if_the_other_one_is_refused(host: Host) -> None:
    host.runs(10, API_SERVER)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, "--controllers=*,-tokencleaner")
    assert host.install().returncode == 1
    assert is_untouched(host)


def test_no_program_keeps_a_drop_in_that_nobody_has_tried(host: Host) -> None:
    host.runs(10, API_SERVER)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING)
    (host.root / "proc/net/tcp").write_text("")
    done = host.install()
    assert f"{API_SERVER} did not come up with its new flags" in done.stderr
    for program in (API_SERVER, CONTROLLER_MANAGER):
        assert not (host.root / f"etc/systemd/system/{program}.service.d").exists()
    assert f"restart {CONTROLLER_MANAGER}" not in (host.root / "systemctl.log").read_text()


@pytest.mark.parametrize(
    ("flags", "listening"),
    [
        (("--secure-port=0",), ""),
        (("--secure-port", "10357"), "0: 00000000:2875 00000000:0000 0A\n"),
    ],
)
def test_a_controller_manager_comes_up_at_the_port_that_it_has(
    host: Host, flags: tuple[str, ...], listening: str
) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, *flags)
    (host.root / "proc/net/tcp").write_text(listening)
    assert restarted(host.install()) == [CONTROLLER_MANAGER]


def test_the_control_plane_of_a_cluster_in_containers_is_another_one(host: Host) -> None:
    for pid, flags in ((9, ()), (10, (SERVER_FLAG,))):
        host.runs(pid, API_SERVER, *flags)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    for pid, network in ((1, "net:[1]"), (9, "net:[9]"), (10, "net:[1]"), (11, "net:[1]")):
        namespaces = host.root / f"proc/{pid}/ns"
        namespaces.mkdir(parents=True)
        (namespaces / "net").symlink_to(network)
    assert restarted(host.install(manage=False)) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("of_service", [True, False])
def test_a_service_may_run_as_any_user(host: Host, of_service: bool) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    slice_ = f"system.slice/{API_SERVER}.service" if of_service else "user.slice/user-1001.slice"
    (host.root / "proc/10/cgroup").write_text(f"0::/{slice_}\n")
    os.chown(host.root / "proc/10", 1001, 1001)
    assert (host.install(manage=False).returncode == 0) == of_service


def test_a_flag_of_an_environment_file_is_the_users_choice(host: Host) -> None:
    """It is in the command of neither unit nor drop-in, which both have the variable."""
    own = "--cluster-signing-key-file=/srv/mine.key"
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, SIGNING[0], own)
    unit = host.root / f"lib/{CONTROLLER_MANAGER}.service"
    unit.write_text(
        f"[Service]\nEnvironmentFile=/opt/file\nExecStart=/usr/bin/{CONTROLLER_MANAGER} $OPTS\n"
    )
    (host.root / "opt").mkdir()
    (host.root / "opt/file").write_text(f"OPTS={SIGNING[0]} {own}\n")
    assert restarted(host.install()) == [CONTROLLER_MANAGER]  # for its controllers
    assert f"ExecStart=/usr/bin/{CONTROLLER_MANAGER} $OPTS {CONTROLLERS}\n" in (
        host.drop_in(CONTROLLER_MANAGER)
    )
    host.shows(11, CONTROLLER_MANAGER, SIGNING[0], own, CONTROLLERS)
    assert restarted(host.install()) == []


def managed(host: Host) -> None:
    """Have the controller manager run with flags of our drop-in."""
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING)
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    host.shows(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)


def restarts(host: Host) -> int:
    calls = (host.root / "systemctl.log").read_text().splitlines()
    return calls.count(f"restart {CONTROLLER_MANAGER}.service")


def test_a_program_that_does_not_come_up_without_our_flags_gets_them_back(host: Host) -> None:
    managed(host)
    before = host.drop_in(CONTROLLER_MANAGER)
    (host.root / "proc/net/tcp").write_text("")
    done = host.remove()
    assert done.returncode == 1
    assert f"{CONTROLLER_MANAGER} did not come up without the flags that were removed" in (
        done.stderr
    )
    assert host.drop_in(CONTROLLER_MANAGER) == before
    assert restarts(host) == 3


def test_our_flags_stay_while_their_removal_would_change_others(host: Host) -> None:
    managed(host)
    unit = host.root / f"lib/{CONTROLLER_MANAGER}.service"
    unit.write_text(unit.read_text().replace("/ca.key", "/other.key"))
    done = host.remove()
    assert done.returncode == 1
    assert "(--cluster-signing-key-file), so it would restart with other flags; do that" in (
        done.stderr
    )
    assert CONTROLLERS in host.drop_in(CONTROLLER_MANAGER)
    assert restarts(host) == 1


@pytest.mark.parametrize("gone", ["proc/11/comm", f"lib/{CONTROLLER_MANAGER}.service"])
def test_what_no_longer_runs_from_its_unit_is_not_started_by_a_removal(
    host: Host, gone: str
) -> None:
    managed(host)
    (host.root / gone).unlink()
    assert host.remove().returncode == 0
    assert not (host.root / f"etc/systemd/system/{CONTROLLER_MANAGER}.service.d").exists()
    assert restarts(host) == 1


OPTIONS = {
    "on one line": 'KUBE_OPTS="--a=1 --b=2"\n',
    "on several lines": '# ours\nKUBE_OPTS="--a=1 \\\n  --b=2"\n',
    "in single quotes": "OTHER=x\nKUBE_OPTS = '--a=1\n--b=2'\n",
    "without quotes": "KUBE_OPTS=--a=1   --b=2 \r\n",
    "the last one": "KUBE_OPTS=--a=0\nKUBE_OPTS=--a=1 --b=2",
    "with quotes of its own": "KUBE_OPTS=\"--a=1 '--b=2'\"\n",
}


@pytest.mark.parametrize("title", OPTIONS)
@pytest.mark.parametrize("command", ["$KUBE_OPTS", "--a=1 $B $KUBE_B", "${KUBE_OPTS}"])
def test_options_of_an_environment_file_are_those_that_run(
    host: Host, title: str, command: str
) -> None:
    text = OPTIONS[title]
    words = ["--a=1", "--b=2"]
    if command == "${KUBE_OPTS}":  # one word, which kube-apiserver would refuse
        words = [" ".join(words)] if title == "on one line" else ["any"]
        text = text if title == "on one line" else ""
    host.runs(10, API_SERVER, *words)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    file = host.root / "opt/apiserver.conf"
    file.parent.mkdir()
    file.write_text(text + "\nB=\nKUBE_B='--b=2'\n", newline="")
    (host.root / f"lib/{API_SERVER}.service").write_text(
        "[Service]\nEnvironmentFile=/opt/missing\nEnvironmentFile=\n"
        f"EnvironmentFile=-/opt/apiserver.conf\nExecStart={PROGRAM} {command}\n"
    )
    assert restarted(host.install()) == [API_SERVER]
    assert f"ExecStart={PROGRAM} {command} {SERVER_FLAG}\n" in host.drop_in(API_SERVER)


def test_options_that_have_changed_since_the_start_restart_nothing(host: Host) -> None:
    host.runs(10, API_SERVER, "--a=1", "--b=2")
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    (host.root / "opt").mkdir()
    (host.root / "opt/apiserver.conf").write_text('KUBE_OPTS="--a=1 --b=3 --c"\n')
    (host.root / f"lib/{API_SERVER}.service").write_text(
        f"[Service]\nEnvironmentFile=/opt/apiserver.conf\nExecStart={PROGRAM} $KUBE_OPTS\n"
    )
    done = host.install()
    assert done.returncode == 1
    assert f"with the command of {API_SERVER}.service (--b --c), so it would" in done.stderr
    assert is_untouched(host)


def test_an_empty_path_of_a_ca_is_none(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, "--cluster-signing-cert-file=", SIGNING[1], CONTROLLERS)
    done = host.install(manage=False)
    assert f"{CONTROLLER_MANAGER} runs without {SIGNING[0]}" in done.stderr


def edit(host: Host, program: str, *replacements: tuple[str, str]) -> None:
    """Change a unit, as its user would."""
    unit = host.root / f"lib/{program}.service"
    text = unit.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    unit.write_text(text)


def without_notes(host: Host) -> None:
    """Have the drop-in of the controller manager as an earlier program wrote it."""
    target = host.root / f"etc/systemd/system/{CONTROLLER_MANAGER}.service.d/{DROP_IN}"
    lines = target.read_text().splitlines(keepends=True)
    target.write_text("".join(line for line in lines if not line.startswith("# Adds: ")))


def managed_with(host: Host, *flags: str) -> None:
    """Have the controller manager run with flags of its own, and with --controllers by us."""
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *flags)
    assert restarted(host.install()) == [CONTROLLER_MANAGER]
    host.shows(11, CONTROLLER_MANAGER, *flags, CONTROLLERS)


OWN_CA = ("--cluster-signing-cert-file=/srv/a.crt", "--cluster-signing-key-file=/srv/a.key")


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("form", ["=", " ", "_"])
def test_a_signing_ca_that_its_user_changes_in_the_unit_is_left_alone(
    host: Host, form: str, noted: bool
) -> None:
    """Our drop-in has a copy of the unit's former command, which is not ours."""
    managed_with(host, *OWN_CA)
    if not noted:
        without_notes(host)
    new = " ".join(OWN_CA).replace("/srv/a", "/srv/b")
    if form == " ":
        new = new.replace("=", " ")
    elif form == "_":
        new = new.replace("signing-", "signing_")
    edit(host, CONTROLLER_MANAGER, (" ".join(OWN_CA), new))
    before = host.drop_in(CONTROLLER_MANAGER)
    assert restarted(host.install()) == []
    assert host.drop_in(CONTROLLER_MANAGER) == before


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("setting", [{}, {"kube_api_qps": 100}])
def test_a_rate_that_its_user_changes_in_the_unit_is_left_alone(
    host: Host, setting: dict[str, str], noted: bool
) -> None:
    managed_with(host, *SIGNING, "--kube-api-qps=50", "--kube-api-burst=75")
    if not noted:
        without_notes(host)
    edit(host, CONTROLLER_MANAGER, ("qps=50", "qps=100"), ("burst=75", "burst=150"))
    assert restarted(host.install(**setting)) == []


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("flag", ["--v=4", "--kube-api-burst=75", "--cluster-signing-duration=1h"])
def test_a_flag_that_has_gone_from_the_unit_is_not_lost_unsaid(
    host: Host, flag: str, noted: bool
) -> None:
    managed_with(host, *SIGNING, flag)
    if not noted:
        without_notes(host)
    edit(host, CONTROLLER_MANAGER, (f" {flag}", ""))
    before = host.drop_in(CONTROLLER_MANAGER)
    done = host.install(kube_api_qps=100)
    if flag.startswith("--kube-api") and not noted:  # it passes for an earlier program's flag
        assert restarted(done) == [CONTROLLER_MANAGER]
        return
    assert done.returncode == 1
    assert (
        f"({flag.split('=', maxsplit=1)[0]}), so it would restart with other flags, too"
        in done.stderr
    )
    assert host.drop_in(CONTROLLER_MANAGER) == before
    assert restarts(host) == 1


def test_a_signing_ca_that_has_gone_from_the_unit_is_not_replaced(host: Host) -> None:
    managed_with(host, *OWN_CA)
    edit(host, CONTROLLER_MANAGER, (" " + " ".join(OWN_CA), ""))
    assert restarted(host.install()) == []
    assert host.install(kube_api_qps=100).returncode == 1
    assert restarts(host) == 1


def test_what_an_earlier_program_has_added_goes_on_as_ours(host: Host) -> None:
    managed_with(host, *SIGNING)
    without_notes(host)
    assert restarted(host.install()) == []
    assert restarted(host.install(kube_api_qps=100)) == [CONTROLLER_MANAGER]
    assert f"# Adds: {CONTROLLERS}\n# Adds: --kube-api-burst=150\n" in (
        host.drop_in(CONTROLLER_MANAGER)
    )


def test_a_run_that_has_ended_before_its_restart_is_made_up_for(host: Host) -> None:
    managed_with(host, *SIGNING)
    host.shows(11, CONTROLLER_MANAGER, *SIGNING)
    assert restarted(host.install()) == [CONTROLLER_MANAGER]


def test_a_drop_in_that_somebody_has_edited_is_not_replaced(host: Host) -> None:
    managed_with(host, *SIGNING)
    target = host.root / f"etc/systemd/system/{CONTROLLER_MANAGER}.service.d/{DROP_IN}"
    target.write_text(target.read_text().replace(SIGNING[0], f"{SIGNING[0]} --v=4"))
    done = host.install(kube_api_qps=100)
    assert done.returncode == 1
    assert "(--v), so it would restart with other flags, too" in done.stderr
    assert "--v=4" in host.drop_in(CONTROLLER_MANAGER)


def test_where_only_a_rate_must_go_nothing_is_to_be_added(host: Host) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    rates = ("--kube-api-qps=100", "--kube-api-burst=150")
    assert restarted(host.install(kube_api_qps=100)) == [CONTROLLER_MANAGER]
    host.shows(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS, *rates)
    edit(host, CONTROLLER_MANAGER, (CONTROLLERS, f"{CONTROLLERS} --v=4"))
    done = host.install()
    assert done.returncode == 1
    assert "and run again, or set controlPlane.manage to false\n" in done.stderr
    assert "by hand" not in done.stderr


@pytest.mark.parametrize(
    ("lines", "passes"),
    [
        ('Environment="OTHER=x y" "OPTS=--a=1 --b=2"\n', True),
        ("Environment=OPTS=--c OPTS='--a=1 \\\n  --b=2'\n", True),
        ("Environment=OPTS=--c\nEnvironment=\nEnvironment='OPTS=--a=1 \"--b=2\"'\n", True),
        ("Environment='OPTS=--a=%i --b=2'\n", True),
        ("Environment=OPTS=--c\nEnvironmentFile=/opt/file\n", True),
        ("EnvironmentFile=/opt/file\nEnvironment=OPTS=--c\n", True),
        ('Environment="OPTS=--a=1 --b=3"\n', False),
        ("Environment=OPTS=--c\n", False),
        ('Environment="OPTS=--a=1 --b=2 --c"\n', False),
        ("Environment='OPTS=--a=1 --b=\\\\2'\n", False),
        ("EnvironmentFile=/opt/quoted\n", False),
        ("EnvironmentFile=/opt/backslash\n", False),
        ("PassEnvironment=OPTS\n", False),
        ("", False),
    ],
)
def test_words_of_a_variable_are_known_or_nothing_is_restarted(
    host: Host, lines: str, passes: bool
) -> None:
    host.runs(10, API_SERVER, "--a=1", "--b=2")
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    (host.root / "opt").mkdir()
    (host.root / "opt/file").write_text("OPTS=\"--a=1 '--b=2'\"\n")
    (host.root / "opt/quoted").write_text("OPTS=\"--a=1 '--b=3'\"\n")
    (host.root / "opt/backslash").write_text("OPTS=--a=1 --b=\\\\2\n")
    (host.root / f"lib/{API_SERVER}.service").write_text(
        f"[Service]\n{lines}ExecStart={PROGRAM} $NONE $OPTS\n"
    )
    done = host.install()
    if passes:
        assert restarted(done) == [API_SERVER]
        return
    assert done.returncode == 1
    assert f"{API_SERVER} does not run with the command of {API_SERVER}.service" in done.stderr
    known = ("OPTS=" in lines and "\\" not in lines) or "quoted" in lines
    assert ("$NONE $OPTS are unknown (set it in an Environment" in done.stderr) != known
    assert is_untouched(host)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("cgroup", "passes"),
    [
        (f"system.slice/{API_SERVER}.service", True),
        (f"kube.slice/kube-a.slice/{API_SERVER}.service", True),
        ("system.slice/cron.service", False),
        (f"system.slice/my-{API_SERVER}.service", False),
        (f"user.slice/user-1001.slice/user@1001.service/app.slice/{API_SERVER}.service", False),
    ],
)
def test_a_job_of_some_user_does_not_pass_for_the_control_plane(
    host: Host, cgroup: str, passes: bool
) -> None:
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    (host.root / "proc/10/cgroup").write_text(f"0::/{cgroup}\n")
    os.chown(host.root / "proc/10", 1001, 1001)
    assert (host.install(manage=False).returncode == 0) == passes


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_process_of_root_counts_before_that_of_another_user(host: Host) -> None:
    host.runs(9, API_SERVER)
    host.runs(10, API_SERVER, SERVER_FLAG)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING, CONTROLLERS)
    (host.root / "proc/9/cgroup").write_text(f"0::/system.slice/{API_SERVER}.service\n")
    os.chown(host.root / "proc/9", 1001, 1001)
    assert restarted(host.install(manage=False)) == []


def test_what_was_there_is_put_back_in_time(host: Host) -> None:
    """Each wait ends by the clock, however long a try takes."""
    host.runs(10, API_SERVER)
    host.runs(11, CONTROLLER_MANAGER, *SIGNING)
    (host.root / "proc/net/tcp").write_text("")
    systemctl = host.root / "bin/systemctl"
    systemctl.write_text(systemctl.read_text() + '[ "$1" != is-active ] || sleep 1\n')
    start = time.monotonic()
    done = host.install()
    assert f"{API_SERVER} did not come up with its new flags" in done.stderr
    assert "which are restored" in done.stderr
    assert time.monotonic() - start < 12
