"""A changed kubelet is proven healthy on its machine, or gets its former files back."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import node_files
from node_files import Node
from tests.unit.node_machine import SHELLS, Machine, cluster, with_shell
from tests.unit.test_node_delivery import bring, install
from tests.unit.test_node_scripts import ok

BAD = {"maxPods": 13}
GOOD = {"maxPods": 50}
# A kubelet that can't run with 13 pods stops again and again.
CRASHES = """\
if grep -q 'maxPods: 13' "$FAKE/loaded"; then
    echo 2 >"$FAKE/restarts"
    echo 'E1126 10:00:00.0 1 run.go:1] "command failed" err="13 pods can not be"' >"$FAKE/journal"
else
    echo 0 >"$FAKE/restarts"
fi
"""


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return joined(with_shell(tmp_path, request.param))


def joined(machine: Machine) -> Machine:
    """Return a machine whose kubelet serves a node."""
    bring(machine)
    ok(install(machine))
    machine.joins()
    machine.path("fake/active").touch()
    machine.path("fake/on-start").write_text(CRASHES)
    return machine


def change(machine: Machine, **changes: Any) -> subprocess.CompletedProcess[str]:
    bring(machine, **changes)
    return install(machine, **changes)


def text(machine: Machine, name: str) -> str:
    return machine.path(name).read_text()


def state(machine: Machine) -> set[str]:
    """What is in the state directory, once nobody watches over a change any more."""
    deadline = time.monotonic() + 20
    while any(path.name.startswith("brought.") for path in machine.path("lib/state").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return {path.name for path in machine.path("lib/state").iterdir()} - {"restarted"}


def restarts(machine: Machine) -> int:
    return machine.calls().count("restart kubelet.service")


def test_a_change_that_a_kubelet_can_do_is_kept(machine: Machine) -> None:
    report = ok(change(machine, kubelet=GOOD))
    assert report["kubelet"] == "restarted"
    assert datetime.fromisoformat(str(report["restarted"])) <= datetime.now(UTC)
    assert "maxPods: 50" in text(machine, "fake/loaded")
    # Until the next restart it says the same.
    again = ok(change(machine, kubelet=GOOD))
    assert (again["kubelet"], again["restarted"]) == ("running", report["restarted"])
    assert state(machine) == {"bundle", "lock", "manifest"}
    assert restarts(machine) == 1


def test_a_change_that_stops_a_kubelet_is_undone(machine: Machine) -> None:
    config = machine.path("lib/kubelet/config.yaml")
    config.chmod(0o640)  # somebody's own mode comes back, too
    before = text(machine, "lib/kubelet/config.yaml"), text(machine, "lib/state/bundle")
    listed = text(machine, "lib/state/manifest")
    unit = text(machine, "systemd/kubelet.service")
    done = change(machine, kubelet=BAD, watchdog_s=60)
    assert done.returncode == 1
    assert done.stderr == (
        "error: node-1: the kubelet is not healthy with its new files: it keeps stopping\n"
        "its kubelet's last errors:\n"
        '  E1126 10:00:00.0 1 run.go:1] "command failed" err="13 pods can not be"\n'
        "the former files are back; the kubelet is healthy with them\n"
    )
    assert (text(machine, "lib/kubelet/config.yaml"), text(machine, "lib/state/bundle")) == before
    assert config.stat().st_mode & 0o777 == 0o640
    assert text(machine, "systemd/kubelet.service") == unit
    assert text(machine, "lib/state/manifest") == listed
    assert text(machine, "fake/loaded") == before[0]
    assert restarts(machine) == 2
    assert "daemon-reload" in machine.calls()
    assert state(machine) == {"bundle", "lock", "manifest"}


def test_after_a_change_was_undone_the_next_one_is_made(machine: Machine) -> None:
    assert change(machine, kubelet=BAD).returncode == 1
    assert ok(change(machine, kubelet=GOOD))["changed"] == [
        f"{machine.root}/lib/kubelet/config.yaml"
    ]
    assert "maxPods: 50" in text(machine, "fake/loaded")


def test_a_file_that_is_new_with_a_change_goes_when_it_is_undone(machine: Machine) -> None:
    paths = {"config": f"{machine.root}/etc/new/kubelet.yaml"}
    machine.path("fake/on-start").write_text('echo 2 >"$FAKE/restarts"\n')
    assert change(machine, paths=paths).returncode == 1
    assert not machine.path("etc/new/kubelet.yaml").exists()
    assert machine.path("lib/kubelet/config.yaml").exists()


def test_paths_of_certificates_that_a_kubelet_can_not_use_are_undone(machine: Machine) -> None:
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text("#!/bin/sh\n")  # the certificate is the cluster's
    openssl.chmod(0o755)
    before = text(machine, "etc/kubelet.conf")
    machine.path("fake/on-start").write_text(
        'if [ -e "$FAKE/../srv/kubelet.conf" ]; then echo 2; else echo 0; fi >"$FAKE/restarts"\n'
    )
    paths = {
        "kubeconfig": f"{machine.root}/srv/kubelet.conf",
        "certificates": f"{machine.root}/srv/pki",
    }
    done = change(machine, paths=paths)
    assert "the former files are back; the kubelet is healthy with them" in done.stderr
    assert text(machine, "etc/kubelet.conf") == before
    assert not machine.path("srv/kubelet.conf").exists()
    assert not list(machine.path("srv/pki").iterdir())
    assert len(list(machine.path("lib/kubelet/pki").iterdir())) == 4


UNHEALTHY = {
    "curl": "#!/bin/sh\nexit 7\n",
    "systemctl": '#!/bin/sh\ncase "$*" in *is-active*) echo failed; exit 3 ;; esac\n',
}


@pytest.mark.parametrize("program", UNHEALTHY)
def test_a_kubelet_that_was_not_healthy_before_is_told_apart(
    machine: Machine, program: str
) -> None:
    machine.path(f"fake/bin/{program}").write_text(UNHEALTHY[program])
    changes: dict[str, Any] = {"kubelet": GOOD, "health_limit_s": 1, "skip_checks": ("server",)}
    done = change(machine, **changes)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "the former files are back; it was not healthy before this change either\n"
    )
    assert "maxPods" not in text(machine, "lib/kubelet/config.yaml")


def test_a_kubelet_that_was_not_healthy_may_be_mended(machine: Machine) -> None:
    machine.path("fake/state").write_text("activating\n")
    machine.path("fake/on-start").write_text('rm "$FAKE/state"\n')
    assert ok(change(machine, kubelet=GOOD))["kubelet"] == "restarted"


def test_a_kubelet_that_has_lost_its_certificate_is_not_healthy(machine: Machine) -> None:
    machine.path("fake/on-start").write_text(
        'cd "$FAKE/../lib/kubelet/pki"\n'
        'if grep -q "maxPods: 50" "$FAKE/loaded"; then mv kubelet-client-current.pem "$FAKE"\n'
        'else mv "$FAKE/kubelet-client-current.pem" .; fi\n'
    )
    done = change(machine, kubelet=GOOD, health_limit_s=1)
    assert "it has no client certificate" in done.stderr
    assert "the kubelet is healthy with them" in done.stderr


def test_a_kubelet_that_somebody_has_stopped_gets_its_files_alone(machine: Machine) -> None:
    machine.path("fake/active").unlink()
    assert ok(change(machine, kubelet=BAD))["kubelet"] == "stopped"
    assert "maxPods: 13" in text(machine, "lib/kubelet/config.yaml")
    assert restarts(machine) == 0
    assert state(machine) == {"bundle", "lock", "manifest"}


def test_a_machine_that_crashes_because_it_has_not_joined_is_not_proven(tmp_path: Path) -> None:
    """As a package leaves its kubelet, which has no configuration yet."""
    machine = with_shell(tmp_path, next(iter(SHELLS)))
    machine.path("fake/active").touch()
    machine.path("fake/state").write_text("activating\n")
    assert ok(change(machine))["kubelet"] == "stopped"
    assert restarts(machine) == 0


def test_one_whose_work_does_not_show_must_run_for_longer(machine: Machine) -> None:
    machine.unsure_s = 2
    began = time.monotonic()
    ok(change(machine, kubelet=GOOD))
    assert time.monotonic() - began > 2
    machine.unsure_s = 60
    machine.path("fake/on-start").write_text(
        'mkdir -p "$FAKE/../lib/kubelet/device-plugins"\n'
        # Some shells compare whole seconds.
        'touch -d @$(($(date +%s) + 2)) "$FAKE/../lib/kubelet/device-plugins/kubelet.sock"\n'
    )
    ok(change(machine, kubelet={"maxPods": 51}, health_limit_s=5))
    machine.path("fake/on-start").unlink()
    time.sleep(2)
    done = change(machine, kubelet={"maxPods": 52}, health_limit_s=5)
    assert "it has not kept running for 60 s" in done.stderr


# Whoever installs, whatever its shell is called, and what limits its time.
KILL = """\
[ ! -e "$FAKE/killed" ] || exit 0
: >"$FAKE/killed"
for process in /proc/[0-9]*; do
    case $(tr '\\0' ' ' <"$process/cmdline" 2>/dev/null) in
    *'STATE/state/brought install_brought '*) kill -9 "${process#/proc/}" ;;
    esac
done
"""


@pytest.mark.parametrize("settings", [BAD, GOOD])
def test_a_run_that_is_killed_is_settled_by_the_machine(
    machine: Machine, settings: dict[str, Any]
) -> None:
    """It dies while it waits for the kubelet."""
    marker = machine.path("fake/killed")
    machine.path("fake/on-start").write_text(CRASHES + KILL.replace("STATE", f"{machine.root}/lib"))
    bring(machine, kubelet=settings)
    done = install(machine, kubelet=settings)
    assert marker.exists()
    assert done.returncode != 0
    assert state(machine) == {"bundle", "lock", "manifest"}
    kept = settings == GOOD
    assert ("maxPods: 50" in text(machine, "fake/loaded")) == kept
    assert text(machine, "fake/loaded") == text(machine, "lib/kubelet/config.yaml")
    assert text(machine, "fake/restarts") == "0\n"
    report = json.loads(change(machine, kubelet=GOOD).stdout)
    assert (report["changed"] == []) == kept
    assert "maxPods: 50" in text(machine, "fake/loaded")


def test_without_a_unit_of_its_own_to_watch_nothing_is_changed(machine: Machine) -> None:
    machine.path("fake/bin/systemd-run").write_text("#!/bin/sh\nexit 1\n")
    before = machine.files()
    done = change(machine, kubelet=GOOD)
    assert "systemd-run could not start a unit, nothing was changed" in done.stderr
    assert "maxPods" not in text(machine, "lib/kubelet/config.yaml")
    assert machine.files() == before


def test_a_change_that_no_kubelet_reads_restarts_none(machine: Machine) -> None:
    machine.path("lib/kubelet/config.yaml").chmod(0o644)
    assert ok(change(machine))["kubelet"] == "running"
    assert restarts(machine) == 0
    assert state(machine) == {"bundle", "lock", "manifest"}


@pytest.mark.parametrize(("answer", "kept"), [("HTTP/1.1 401 Unauthorized", True), ("", False)])
def test_without_curl_the_kubelets_main_port_must_answer(
    machine: Machine, answer: str, kept: bool
) -> None:
    machine.path("fake/bin/curl").unlink()
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text(f'#!/bin/sh\necho "$*" >>"$FAKE/openssl.log"\necho "{answer}"\n')
    openssl.chmod(0o755)
    hide_curl(machine)
    done = change(machine, kubelet=GOOD, health_limit_s=1, skip_checks=("server", "clock", "skew"))
    assert (done.returncode == 0) == kept
    assert "-connect 127.0.0.1:10250" in text(machine, "fake/openssl.log")


def hide_curl(machine: Machine) -> None:
    """Leave only a directory of links to this computer's programs in PATH, without curl."""
    programs = machine.path("fake/programs")
    programs.mkdir()
    for directory in reversed(os.environ["PATH"].split(":")):
        for program in Path(directory).glob("*") if Path(directory).is_dir() else ():
            if program.name != "curl":
                link = programs / program.name
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    machine.env["PATH"] = f"{machine.root}/fake/bin:{programs}"


@pytest.mark.parametrize(
    ("fields", "urls"),
    [
        ({}, "http://127.0.0.1:10248 https://127.0.0.1:10250"),
        ({"healthzPort": 11248}, "http://127.0.0.1:11248 https://127.0.0.1:10250"),
        (
            {"healthzBindAddress": "0.0.0.0", "address": "::"},  # noqa: S104
            "http://127.0.0.1:10248 https://[::1]:10250",
        ),
        ({"healthzPort": 0}, "https://127.0.0.1:10250 https://127.0.0.1:10250"),
        (
            {"healthzPort": 0, "address": "10.0.0.5"},
            "https://10.0.0.5:10250 https://10.0.0.5:10250",
        ),
    ],
)
def test_the_bundle_says_where_the_kubelet_answers(fields: dict[str, Any], urls: str) -> None:
    node = Node(name="n", addresses=("10.0.0.5",), kubelet=fields, unsafe=frozenset({"address"}))
    assert f"health 60 {urls}" in node_files.bundle(cluster(), node).splitlines()


@pytest.mark.parametrize("port", [10249, 10247])
def test_a_kubelet_is_asked_at_the_port_that_it_changes_to(machine: Machine, port: int) -> None:
    curl = machine.path("fake/bin/curl")
    curl.write_text(
        '#!/bin/sh\nport=$(sed -n "s/^healthzPort: //p" "$FAKE/loaded")\n'
        'case "$*" in\n*":${port:-10248}/healthz"*) printf "HTTP/1.1 200 OK\\r\\n" ;;\n'
        "*) exit 7 ;;\nesac\n"
    )
    assert ok(change(machine, kubelet={"healthzPort": port}, health_limit_s=2))
    assert ok(change(machine, health_limit_s=2))
    assert "healthzPort" not in text(machine, "fake/loaded")


def test_what_was_half_kept_goes_with_the_next_run(machine: Machine) -> None:
    ok(machine.install())
    left = machine.path("lib/state/former.new")
    left.mkdir()
    (left / "1").touch()
    ok(machine.install())
    assert not left.exists()
